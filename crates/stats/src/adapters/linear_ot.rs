//! The linear Monge map.

use super::covariance::{Covariance, SHRINKAGE};
use super::view::Affine;
use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::product::product;
use crate::{Result, symmetric};
use faer::Mat;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "linear-ot",
    summary: "the cheapest linear map that gives source features the target's means and covariance",
    paper: "Knott & Smith 1984; Flamary, Lounici & Ferrari 2019, arXiv:1905.10155",
    family: Family::Transport,
    settings: &[SHRINKAGE],
    fit,
};

/// `z = A (x − μ_s) + μ_t` with `A = C_s^{-1/2} (C_s^{1/2} C_t C_s^{1/2})^{1/2} C_s^{-1/2}` for source rows: of all
/// maps that CORAL could choose, the one that moves least. Takes `5 d²` numbers.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let shrinkage = options.of(&SHRINKAGE);
    let source = Covariance::of(problem.source(), shrinkage)?;
    let target = Covariance::of(problem.target(), shrinkage)?;
    let (root, inverse) = (source.power(0.5), source.power(-0.5));
    let between =
        product(product(root.as_ref(), target.power(1.0).as_ref()).as_ref(), root.as_ref());
    let (values, vectors) = symmetric::eigen(&between)?;
    let d = values.len();
    let scaled = Mat::from_fn(d, d, |i, j| vectors[(i, j)] * values[j].max(0.0).sqrt());
    let middle = product(scaled.as_ref(), vectors.transpose());
    let map = product(product(inverse.as_ref(), middle.as_ref()).as_ref(), inverse.as_ref());
    problem.seen(View::Affine(Affine::between(&map, &source.mean, &target.mean)), View::Raw)
}
