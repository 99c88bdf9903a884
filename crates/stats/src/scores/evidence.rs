//! What scores look at, and what they share.

use std::sync::OnceLock;

use faer::Mat;

use super::spectrum::Spectrum;
use crate::{Probabilities, Result, Rows, StatsError, check, content, moments};

/// The features of labelled samples. Decompositions that several scores need are made once.
pub struct Evidence<'a> {
    rows: Rows<'a>,
    labels: &'a [u32],
    counts: Vec<usize>,
    source: Option<&'a Probabilities>,
    mean: Vec<f64>,
    products: OnceLock<Mat<f64>>,
    centred: OnceLock<Spectrum>,
    raw: OnceLock<Spectrum>,
    order: OnceLock<Vec<usize>>,
}

impl<'a> Evidence<'a> {
    /// `rows` `[n, d]` with `labels` below `n_classes`; `source` holds what the source's own classifier says,
    /// `[n, source classes]`, where it has one.
    ///
    /// # Errors
    /// Lengths that do not fit, labels out of range, values that are not finite (the row is named).
    pub fn new(
        rows: Rows<'a>,
        labels: &'a [u32],
        n_classes: usize,
        source: Option<&'a Probabilities>,
    ) -> Result<Self> {
        check::labelled(rows, labels, n_classes)?;
        if let Some(source) = source {
            if source.n() != rows.n() {
                return Err(StatsError::Shape {
                    expected: format!("{} answers of the source", rows.n()),
                    actual: source.n().to_string(),
                });
            }
            let broken = |p: &f64| !(p.is_finite() && *p >= 0.0);
            if let Some(row) = source.rows().position(|row| row.iter().any(broken)) {
                return Err(StatsError::NotFinite { what: "the source's answers", row });
            }
        }
        Ok(Self {
            rows,
            labels,
            counts: check::counts(labels, n_classes),
            source,
            mean: moments::means(rows),
            products: OnceLock::new(),
            centred: OnceLock::new(),
            raw: OnceLock::new(),
            order: OnceLock::new(),
        })
    }

    pub(super) fn rows(&self) -> Rows<'a> {
        self.rows
    }
    pub(super) fn labels(&self) -> &'a [u32] {
        self.labels
    }
    pub(super) fn n_classes(&self) -> usize {
        self.counts.len()
    }
    /// Samples of each class.
    pub(super) fn counts(&self) -> &[usize] {
        &self.counts
    }
    pub(super) fn source(&self) -> Option<&'a Probabilities> {
        self.source
    }
    /// Mean of every feature.
    pub(super) fn mean(&self) -> &[f64] {
        &self.mean
    }
    /// Classes that have samples.
    pub(super) fn present(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&c| self.counts[c] > 0).collect()
    }
    /// Samples of class `c`.
    pub(super) fn members(&self, c: usize) -> Vec<usize> {
        (0..self.labels.len()).filter(|&i| self.labels[i] as usize == c).collect()
    }

    /// The smaller of `ZᵀZ` and `ZZᵀ` for centred features `Z`.
    pub(super) fn products(&self) -> &Mat<f64> {
        self.products.get_or_init(|| {
            if self.rows.d() <= self.rows.n() {
                moments::scatter(self.rows, &self.mean)
            } else {
                moments::gram(self.rows, &self.mean)
            }
        })
    }

    /// Of centred features.
    pub(super) fn centred(&self) -> Result<&Spectrum> {
        kept(&self.centred, || Spectrum::centred(self))
    }

    /// Of the features as they are.
    pub(super) fn raw(&self) -> Result<&Spectrum> {
        kept(&self.raw, || Spectrum::raw(self))
    }

    /// All samples in an order that only their features decide: a draw that is the same whatever order the
    /// samples come in.
    pub(super) fn by_content(&self) -> &[usize] {
        self.order.get_or_init(|| content::order(self.rows))
    }

    /// The fold of each sample, see [`content::folds`].
    pub(super) fn folds(&self, folds: usize) -> Vec<usize> {
        content::deal(self.rows, self.by_content(), self.labels, self.counts.len(), folds)
    }
}

fn kept<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}
