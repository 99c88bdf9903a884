//! Correlation alignment, domain by domain.

use super::covariance::{Covariance, SHRINKAGE};
use super::view::Affine;
use super::{Adapted, Adapter, Family, Options, Problem, View, domains};
use crate::product::product;
use crate::{Result, Rows};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "domain-coral",
    summary: "gives each source domain the target's means and covariance",
    paper: "Sun, Feng & Saenko 2016, arXiv:1511.05547, for each of several sources",
    family: Family::Domains,
    settings: &[SHRINKAGE],
    fit,
};

/// `z = C_t^{1/2} C_k^{-1/2} (x − μ_k) + μ_t` for rows of the source domain `k`; target rows stay as they are, and one
/// head is fitted to all domains as they are shown. Of one domain, that is `coral`. Takes `4 d²` numbers, and `d²`
/// more for each domain.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let shrinkage = options.of(&SHRINKAGE);
    let target = Covariance::of(problem.target(), shrinkage)?;
    let root = target.power(0.5);
    let view = |rows: Rows<'_>| -> Result<View> {
        let own = Covariance::of(rows, shrinkage)?;
        let map = product(root.as_ref(), own.power(-0.5).as_ref());
        Ok(View::Affine(Affine::between(&map, &own.mean, &target.mean)))
    };
    let pooled = view(problem.source())?;
    let own = domains::views(problem, &pooled, view)?;
    problem.seen_by_domain(pooled, own, View::Raw)
}
