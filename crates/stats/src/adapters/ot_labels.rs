//! Labels carried by optimal transport.

use super::transport::{CLASS, EPSILON, Transport};
use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::heads::Targets;
use crate::{Matrix, Result};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "ot-labels",
    summary: "carries source labels to target rows at the least cost, and fits a head to them",
    paper: "Redko et al. 2019, arXiv:1803.04899; Solomon et al. 2014, Wasserstein propagation, ICML",
    family: Family::Transport,
    settings: &[CLASS, EPSILON],
    fit,
};

/// Target row `j` is taken for class `c` by the share `Σ_{y_i = c} P_ij/Σ_i P_ij`.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let mut transport = Transport::of(problem, options);
    let plan = transport.plan_by_class(options);
    let (shares, cost) = (plan.shares(), plan.cost());
    let rows = Matrix::gather(problem.target(), &transport.target);
    let head = problem.fit_head(rows.rows(), Targets::Shares(&shares), &[])?;
    let adapted = problem.adapted(View::Raw, View::Raw, head);
    Ok(adapted.fact("cost", cost).fact("iterations", transport.iterations as f64))
}
