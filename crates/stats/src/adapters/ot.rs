//! Optimal transport of source rows to the target.

use super::transport::{CLASS, EPSILON, Transport};
use super::view::Nearest;
use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::{Matrix, Result};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "ot",
    summary: "carries source rows to the target at the least cost, each class to rows of its own",
    paper: "Courty et al. 2017, arXiv:1507.00504; Cuturi 2013, arXiv:1306.0895",
    family: Family::Transport,
    settings: &[CLASS, EPSILON],
    fit,
};

/// Source row `i` becomes the mean of the target rows that it goes to, `Σ_j P_ij t_j/Σ_j P_ij`, and others move as
/// the nearest of these does. The head is fitted to the moved rows; target rows stay as they are.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let mut transport = Transport::of(problem, options);
    let plan = transport.plan_by_class(options);
    let (moved, cost) = (plan.barycentres(problem.target())?, plan.cost());
    let rows = Matrix::gather(problem.source(), &transport.source);
    let view = Nearest {
        d: problem.source().d(),
        rows: rows.rows().data().to_vec(),
        moved: moved.rows().data().to_vec(),
    };
    let adapted = problem.seen(View::Nearest(view), View::Raw)?;
    Ok(adapted.fact("cost", cost).fact("iterations", transport.iterations as f64))
}
