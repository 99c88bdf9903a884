//! Correlation alignment.

use super::covariance::{Covariance, SHRINKAGE};
use super::view::Affine;
use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::Result;
use crate::product::product;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "coral",
    summary: "gives source features the target's means and covariance",
    paper: "Sun, Feng & Saenko 2016, arXiv:1511.05547",
    family: Family::Align,
    settings: &[SHRINKAGE],
    fit,
};

/// `z = C_t^{1/2} C_s^{-1/2} (x − μ_s) + μ_t` for source rows; target rows stay as they are. The paper centres
/// both sides beforehand, which comes to the same. Takes `3 d²` numbers.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let shrinkage = options.of(&SHRINKAGE);
    let source = Covariance::of(problem.source(), shrinkage)?;
    let target = Covariance::of(problem.target(), shrinkage)?;
    let map = product(target.power(0.5).as_ref(), source.power(-0.5).as_ref());
    problem.seen(View::Affine(Affine::between(&map, &source.mean, &target.mean)), View::Raw)
}
