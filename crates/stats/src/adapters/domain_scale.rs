//! Means and variances, domain by domain.

use faer::Mat;

use super::view::Affine;
use super::{Adapted, Adapter, Family, Options, Problem, Setting, View, domains};
use crate::{Result, Rows, moments};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "domain-scale",
    summary: "gives each source domain the target's means and variances, feature by feature",
    paper: "Chang et al. 2019, Domain-specific batch normalization, arXiv:1906.03950, on features as they are",
    family: Family::Domains,
    settings: &[DAMPING],
    fit,
};

const DAMPING: Setting = Setting {
    name: "damping",
    summary: "share of the mean variance that is added to each, so that what hardly varies is not blown up",
    default: Some(0.01),
    range: (1e-9, 1.0),
    choices: &[0.001, 0.01, 0.1],
};

/// `z_j = (x_j − μ_kj) σ_tj/σ_kj + μ_tj` for rows of the source domain `k`; target rows stay as they are. What several
/// domains have in common besides means and variances, such as which features go together, stays as it is, which
/// few rows of a domain suffice for. Takes `d²` numbers for each domain.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let damping = options.of(&DAMPING).unwrap_or(0.01);
    let of = |rows: Rows<'_>| -> (Vec<f64>, Vec<f64>) {
        let mean = moments::means(rows);
        let variances = moments::mean_squares(rows, &mean);
        let average = variances.iter().sum::<f64>() / variances.len() as f64;
        // Where nothing varies, any variance will do.
        let least = damping * if average > 0.0 { average } else { 1.0 };
        (mean, variances.into_iter().map(|v| (v + least).sqrt()).collect())
    };
    let (to, wide) = of(problem.target());
    let view = |rows: Rows<'_>| -> Result<View> {
        let (from, narrow) = of(rows);
        let d = from.len();
        let ratio = |i: usize, j: usize| if i == j { wide[i] / narrow[i] } else { 0.0 };
        Ok(View::Affine(Affine::between(&Mat::from_fn(d, d, ratio), &from, &to)))
    };
    let pooled = view(problem.source())?;
    let own = domains::views(problem, &pooled, view)?;
    problem.seen_by_domain(pooled, own, View::Raw)
}
