//! What a classifier of the source says of samples that it was not fitted on.

use super::Known;
use crate::heads::{self, FitOptions, Head};
use crate::{Matrix, Probabilities, Result, Rows, StatsError, calibrate, cv};

/// Parts of cross-validation.
const FOLDS: usize = 5;

/// Beyond so many rows, fewer parts do.
const MANY: usize = 5000;

/// Answers on both sides.
pub struct Answers {
    /// Of labelled source rows, each by a head that it had no part in, `[n, classes]`.
    pub source: Probabilities,
    /// Of all target rows; heads take turns, so that both sides are judged by the same mixture.
    pub target: Probabilities,
    /// Mean of the largest probability on both sides, calibrated on the source.
    pub confidence: [f64; 2],
}

impl Answers {
    pub fn of(known: &Known, target: Rows<'_>, n_classes: usize, seed: u64) -> Result<Self> {
        let (heads, folds) = fit(known, n_classes, seed)?;
        let source = held_out(known, &heads, &folds, n_classes)?;
        let turn: Vec<usize> = (0..target.n()).map(|i| i % heads.len()).collect();
        let target = by_turn(target, &heads, &turn, n_classes)?;
        let logs: Vec<f64> =
            source.rows().flatten().map(|p| p.max(f64::MIN_POSITIVE).ln()).collect();
        let temperature = calibrate::scale(&logs, &known.labels, n_classes)?.temperature;
        let confidence = [&source, &target].map(|p| {
            let soft = calibrate::soften(p, temperature);
            let largest = soft.rows().map(|row| row.iter().copied().fold(0.0, f64::max));
            largest.sum::<f64>() / soft.n().max(1) as f64
        });
        Ok(Self { source, target, confidence })
    }
}

/// Answers for labelled rows by heads that they had no part in.
pub fn out_of_fold(known: &Known, n_classes: usize, seed: u64) -> Result<Probabilities> {
    let (heads, folds) = fit(known, n_classes, seed)?;
    held_out(known, &heads, &folds, n_classes)
}

pub fn accuracy(answers: &Probabilities, labels: &[u32]) -> f64 {
    let hits = labels.iter().enumerate().filter(|&(i, &y)| answers.predicted(i) == y).count();
    hits as f64 / labels.len().max(1) as f64
}

/// A head for each part, of all other parts, and the part of each row.
fn fit(known: &Known, n_classes: usize, seed: u64) -> Result<(Vec<Head>, Vec<usize>)> {
    // Shrunken discriminant analysis has a closed form: nothing to choose, and quick.
    let lda = heads::find("lda").ok_or_else(|| StatsError::Unusable("no head `lda`".into()))?;
    let parts = if known.labels.len() > MANY { 3 } else { FOLDS.min(known.labels.len()) };
    let folds = cv::stratified_folds(&known.labels, parts, seed);
    let heads = (0..parts)
        .map(|fold| {
            let kept: Vec<usize> = (0..folds.len()).filter(|&i| folds[i] != fold).collect();
            let labels: Vec<u32> = kept.iter().map(|&i| known.labels[i]).collect();
            let rows = Matrix::gather(known.rows.rows(), &kept);
            Ok(lda.fit(rows.rows(), &labels, n_classes, &FitOptions::default())?.head)
        })
        .collect::<Result<_>>()?;
    Ok((heads, folds))
}

fn held_out(
    known: &Known,
    heads: &[Head],
    folds: &[usize],
    n_classes: usize,
) -> Result<Probabilities> {
    by_turn(known.rows.rows(), heads, folds, n_classes)
}

/// Row `i` judged by head `turn[i]`.
fn by_turn(
    rows: Rows<'_>,
    heads: &[Head],
    turn: &[usize],
    n_classes: usize,
) -> Result<Probabilities> {
    let mut out = vec![0.0; rows.n() * n_classes];
    for (index, head) in heads.iter().enumerate() {
        let own: Vec<usize> = (0..rows.n()).filter(|&i| turn[i] == index).collect();
        let said = head.predict(Matrix::gather(rows, &own).rows())?;
        for (&i, row) in own.iter().zip(said.rows()) {
            out[i * n_classes..][..n_classes].copy_from_slice(row);
        }
    }
    Probabilities::new(n_classes, out)
        .ok_or_else(|| StatsError::Unusable("answers without classes".into()))
}
