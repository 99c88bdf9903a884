//! NLEEP: LEEP for sources without a classifier; the clusters of a mixture stand for its classes.

use super::{Evidence, Score, leep, mixture};
use crate::Result;

pub(super) const SCORE: Score = Score {
    name: "nleep",
    summary: "log-likelihood of the labels given a Gaussian mixture's clusters",
    paper: "Li et al. 2021, arXiv:2011.11200",
    needs_source: false,
    compute,
};

/// Share of the variance that the principal components keep.
const KEPT: f64 = 0.8;
/// Clusters a class.
const EACH: usize = 5;
/// Samples a cluster at least: with a cluster for every sample any labels are explained.
const SAMPLES: usize = 4;

/// LEEP with the posteriors of a mixture with diagonal covariances on the principal components that hold 80 % of
/// the variance; five clusters a class, and at most one for four samples.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let spectrum = evidence.centred()?;
    let n = evidence.rows().n();
    let total: f64 = spectrum.values.iter().sum();
    let mut sum = 0.0;
    let below = |value: &&f64| {
        sum += **value;
        sum <= KEPT * total
    };
    let p = spectrum.values.iter().take_while(below).count() + 1;
    let p = p.min(spectrum.values.len());
    let clusters = (EACH * evidence.present().len()).min(n / SAMPLES).max(1);
    let points = mixture::Points { p, data: spectrum.coordinates(evidence, p), n };
    let posteriors = mixture::posteriors(&points, clusters)?;
    Ok(leep::expected(evidence, &posteriors))
}
