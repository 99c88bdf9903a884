//! How far two sets of features are apart, and whether that is more than chance.
//!
//! [`all`] is the registry. A [`Pair`] holds the two sets and what several distances need, computed
//! once: the sums of kernels over all pairs of samples, a classifier that tells the sets apart, and
//! one set of permutations. Every test uses the same permutations, so [`combined`] can take the
//! smallest of several p-values and still keep its level exactly.

mod c2st;
mod cells;
mod classifier;
mod combined;
mod coral;
mod covariance;
mod energy;
mod features;
mod frechet;
pub(crate) mod kernels;
mod mmd;
mod pair;
mod pairwise;
mod proxy_a;
mod sliced_wasserstein;

pub use combined::combined;
pub use features::{FeatureShift, features};
pub use pair::Pair;
pub(crate) use pairwise::median_distance;
pub use sliced_wasserstein::along;

use crate::Result;

/// How a [`Pair`] is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Permutations behind each p-value; the smallest that can come out is `1/(permutations + 1)`.
    pub permutations: usize,
    /// Resamples behind each interval.
    pub resamples: usize,
    /// Keys every random draw.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { permutations: 999, resamples: 200, seed: 0 }
    }
}

/// What a distance says of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Of the registry's entry.
    pub name: &'static str,
    /// The distance.
    pub value: f64,
    /// 95 % bootstrap interval, where the distance has one.
    pub interval: Option<[f64; 2]>,
    /// What the distance is between two random parts of the pooled sets, as large as these; for c2st
    /// and proxy_a the mean over permutations, too.
    pub chance: Option<f64>,
    /// `(1 + #{T* ≥ T})/(B + 1)`, where the distance is a test.
    pub p_value: Option<f64>,
    /// The test statistic of the pair as it is, then of every permutation, `[B + 1]`; empty where the
    /// distance is no test. The order of permutations is that of all distances of the pair.
    pub statistics: Vec<f64>,
}

/// A distance of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    /// The word that a user reads and the key in JSON.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Whether it has a p-value.
    pub is_test: bool,
    /// What it is for a set and itself, and nearly is for two samples of one distribution.
    pub least: f64,
    compute: fn(&Pair<'_>) -> Result<Measure>,
}

impl Distance {
    /// The distance of a pair.
    ///
    /// # Errors
    /// Eigenvalues that do not converge.
    pub fn of(&self, pair: &Pair<'_>) -> Result<Measure> {
        (self.compute)(pair)
    }
}

/// All distances in alphabetical order.
pub fn all() -> &'static [Distance] {
    &[
        c2st::DISTANCE,
        coral::DISTANCE,
        energy::DISTANCE,
        frechet::DISTANCE,
        mmd::DISTANCE,
        proxy_a::DISTANCE,
        sliced_wasserstein::DISTANCE,
    ]
}

/// The distance called `name`.
pub fn find(name: &str) -> Option<&'static Distance> {
    all().iter().find(|distance| distance.name == name)
}

/// `(1 + #{T* ≥ T})/(B + 1)` (Phipson & Smyth 2010) of `[B + 1]` statistics, the observed one first.
/// What differs by rounding counts as equal.
pub(crate) fn p_value(statistics: &[f64]) -> Option<f64> {
    let (&observed, permuted) = statistics.split_first()?;
    let slack = rounding(statistics);
    let as_large = permuted.iter().filter(|&&t| t >= observed - slack).count();
    (!permuted.is_empty()).then(|| (1 + as_large) as f64 / statistics.len() as f64)
}

/// Differences below this are rounding.
fn rounding(statistics: &[f64]) -> f64 {
    1e-10 * statistics.iter().fold(0.0, |most: f64, t| most.max(t.abs()))
}

/// The 2.5 % and 97.5 % quantiles of resampled values.
fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |q: f64| values[(q * last as f64).round() as usize];
    Some([at(0.025), at(0.975)])
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
