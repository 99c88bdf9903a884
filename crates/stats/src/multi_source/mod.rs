//! How much each of several sources' features should count when one head reads them all side by side.
//!
//! [`all`] is the registry. A weighting looks at [`Kernels`]: what each source, scaled to a common variance,
//! holds alike about the same training samples. Concatenating features that are scaled by `w` adds their
//! kernels with the weights `w²` (Lanckriet et al. 2004, JMLR 5:27).

mod alignment;
mod cv;
mod equal;
mod press;

use faer::Mat;
use offshoot_random::permutation;

use crate::heads::Scaling;
use crate::{Matrix, Result, Rows, StatsError, check, moments};
use press::Press;

/// Training samples that weights are chosen on, at most: each choice decomposes a matrix of that size.
const MOST: usize = 400;

/// Kernels of several sources on the same samples.
pub struct Kernels {
    /// Centred, of trace `n`, `[n, n]`; zero where a source says the same of every sample.
    each: Vec<Mat<f64>>,
    /// Of the samples.
    labels: Vec<u32>,
    n_classes: usize,
}

impl Kernels {
    /// Of sources that hold one row a sample, in the same order. Beyond 400 samples as many are taken, drawn by
    /// `seed`, each class in its share.
    ///
    /// # Errors
    /// As heads; fewer than two samples, or sources of another number of samples.
    pub fn new(sources: &[Rows<'_>], labels: &[u32], n_classes: usize, seed: u64) -> Result<Self> {
        sources.iter().try_for_each(|rows| check::labelled(*rows, labels, n_classes))?;
        if labels.len() < 2 {
            return Err(StatsError::Unusable("weights of sources need two samples or more".into()));
        }
        let chosen = drawn(labels, seed);
        let kernel = |rows: &Rows<'_>| {
            let part = Matrix::gather(*rows, &chosen);
            let scaled = Scaling::of(part.rows(), true, &[]).apply(part.rows());
            let scaled = Rows::new(chosen.len(), rows.d(), &scaled).unwrap_or(part.rows());
            let mut gram = moments::gram(scaled, &moments::means(scaled));
            let trace: f64 = (0..chosen.len()).map(|i| gram[(i, i)]).sum();
            let factor = if trace > 0.0 { chosen.len() as f64 / trace } else { 0.0 };
            for j in 0..chosen.len() {
                gram.col_as_slice_mut(j).iter_mut().for_each(|k| *k *= factor);
            }
            gram
        };
        let labels = chosen.iter().map(|&i| labels[i]).collect();
        Ok(Self { each: sources.iter().map(kernel).collect(), labels, n_classes })
    }

    /// Number of sources.
    pub fn sources(&self) -> usize {
        self.each.len()
    }

    /// Squared errors of held-out samples, by leaving out one at a time, with these weights of the sources.
    fn errors(&self, weights: &[f64]) -> Result<Vec<f64>> {
        let n = self.labels.len();
        let total: f64 = weights.iter().map(|w| w * w).sum();
        let sum = Mat::from_fn(n, n, |i, j| {
            let parts = self.each.iter().zip(weights);
            parts.map(|(kernel, w)| w * w * kernel[(i, j)]).sum::<f64>() / total
        });
        Ok(Press::new(&sum, &self.labels, self.n_classes)?.best())
    }
}

/// Samples of each class in their share, at most 400.
pub fn drawn(labels: &[u32], seed: u64) -> Vec<usize> {
    let n = labels.len();
    if n <= MOST {
        return (0..n).collect();
    }
    let mut order = permutation(n, seed, "samples that weigh sources", 0);
    order.sort_by_key(|&i| labels[i]);
    // Evenly along the classes, each shuffled.
    let mut chosen: Vec<usize> = (0..MOST).map(|k| order[k * n / MOST]).collect();
    chosen.sort_unstable();
    chosen
}

/// A way to weigh sources.
#[derive(Debug, Clone, Copy)]
pub struct Weighting {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    weigh: fn(&Kernels) -> Result<Vec<f64>>,
}

impl Weighting {
    /// A weight for each source, not below 0; the squares sum to the number of sources, so that equal weights are
    /// all 1.
    ///
    /// # Errors
    /// Eigenvalues that do not converge; no sources.
    pub fn of(&self, kernels: &Kernels) -> Result<Vec<f64>> {
        if kernels.each.is_empty() {
            return Err(StatsError::Unusable("weights of no sources at all".into()));
        }
        let weights = (self.weigh)(kernels)?;
        let total: f64 = weights.iter().map(|w| w * w).sum();
        if !(total > 0.0 && total.is_finite()) {
            return Ok(vec![1.0; weights.len()]);
        }
        let factor = (weights.len() as f64 / total).sqrt();
        Ok(weights.into_iter().map(|w| w * factor).collect())
    }
}

/// All weightings in alphabetical order.
pub fn all() -> &'static [Weighting] {
    &[alignment::WEIGHTING, cv::WEIGHTING, equal::WEIGHTING]
}

/// The weighting called `name`.
pub fn find(name: &str) -> Option<&'static Weighting> {
    all().iter().find(|weighting| weighting.name == name)
}
