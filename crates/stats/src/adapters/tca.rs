//! Transfer component analysis.

use super::components::{COMPONENTS, Components, MU};
use super::kernel::BANDWIDTH;
use super::{Adapted, Adapter, Family, Options, Problem};
use crate::Result;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "tca",
    summary: "kernel components with much variance in which the sides' means are close",
    paper: "Pan et al. 2011, Domain adaptation via transfer component analysis, IEEE TNN 22",
    family: Family::Align,
    settings: &[BANDWIDTH, COMPONENTS, MU],
    fit,
};

/// `max tr Wᵀ KHK W` for `Wᵀ (K e eᵀ K + μI) W = I`, `e` being `1/n_s` for source rows and `−1/n_t` for target rows.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let components = Components::of(problem, options)?;
    let (view, k) = components.view(&[components.contrast(&means(problem))])?;
    let adapted = problem.seen(view.clone(), view)?;
    Ok(adapted.fact("components", k as f64))
}

/// The difference of the sides' means.
pub(super) fn means(problem: &Problem<'_>) -> Vec<(usize, f64)> {
    let (n, m) = (problem.source().n(), problem.target().n());
    let share = |i: usize| if i < n { 1.0 / n as f64 } else { -1.0 / m as f64 };
    (0..n + m).map(|i| (i, share(i))).collect()
}
