//! LOO: a ridge probe that is asked about every sample without having seen it.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{Evidence, Score};
use crate::Result;
use crate::calibrate::scale_few;

pub(super) const SCORE: Score = Score {
    name: "loo",
    summary: "leave-one-out log-likelihood of a ridge probe, in closed form",
    paper: "Allen 1974 (PRESS); Hoerl & Kennard 1970",
    needs_source: false,
    compute,
};

/// Strengths λ that are tried, as shares of the features' mean variance along a direction.
const GRID: [f64; 9] = [1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0];
/// Samples whose answers are formed together.
const BLOCK: usize = 256;

/// `−log-loss` of `softmax(ŷ/T)`, where `ŷ_i` is what least squares on one-hot labels with a free bias and penalty
/// `nλ‖W‖²` says of sample i after a fit to all others: `ŷ_i = y_i − (y_i − f_i)/(1 − h_i)` with the fit f to all and
/// the leverage h. λ has the least squared error, T the least log-loss (with Platt's doubt, as few labels need).
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let spectrum = evidence.centred()?;
    let (n, classes) = (evidence.rows().n(), evidence.n_classes());
    let (labels, counts) = (evidence.labels(), evidence.counts());
    let present = evidence.present();
    if n < 2 {
        return Ok(-(classes as f64).ln());
    }
    let s = &spectrum.values;
    let rank = s.len();
    let coordinates = spectrum.coordinates(evidence, rank);
    let total: f64 = s.iter().sum();
    // A mean over the directions that there can be, so that a feature of constant value changes nothing.
    let mean = total / rank.max(1) as f64;
    let mut best: Option<(f64, Vec<f64>)> = None;
    for share in GRID {
        let penalty = share * mean;
        let weights: Vec<f64> = (0..rank)
            .flat_map(|k| {
                let shrunk = s[k].sqrt() / (s[k] + penalty);
                present.iter().map(move |&c| shrunk * spectrum.classes[k][c])
            })
            .collect();
        let weights = MatRef::from_row_major_slice(&weights, rank, present.len());
        let mut answers = vec![0.0; n * present.len()];
        let width = present.len();
        answers.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, answers)| {
            let (first, count) = (block * BLOCK, answers.len() / width);
            let z = &coordinates[first * rank..][..count * rank];
            if rank > 0 {
                let to = MatMut::from_row_major_slice_mut(answers, count, width);
                let z = MatRef::from_row_major_slice(z, count, rank);
                matmul(to, Accum::Replace, z, weights, 1.0, Par::Seq);
            }
            for (i, answers) in answers.chunks_exact_mut(width).enumerate() {
                let z = &z[i * rank..][..rank];
                let leverage = 1.0 / n as f64
                    + z.iter().zip(s).map(|(z, s)| z * z / (s + penalty)).sum::<f64>();
                let left = (1.0 - leverage).max(1e-12);
                for (answer, &c) in answers.iter_mut().zip(&present) {
                    let y = f64::from(labels[first + i] as usize == c);
                    let fit = counts[c] as f64 / n as f64 + *answer;
                    *answer = y - (y - fit) / left;
                }
            }
        });
        let error: f64 = answers
            .chunks_exact(width)
            .zip(labels)
            .flat_map(|(row, &label)| {
                row.iter()
                    .zip(&present)
                    .map(move |(a, &c)| (a - f64::from(label as usize == c)).powi(2))
            })
            .sum();
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, answers));
        }
    }
    let mut compact = vec![0; classes];
    present.iter().enumerate().for_each(|(at, &c)| compact[c] = at as u32);
    let labels: Vec<u32> = labels.iter().map(|&y| compact[y as usize]).collect();
    let answers = best.map(|(_, answers)| answers).unwrap_or_default();
    let temperature = scale_few(&answers, &labels, present.len())?.temperature;
    let loss = answers.chunks_exact(present.len()).zip(&labels).map(|(row, &label)| {
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|a| ((a - largest) / temperature).exp()).sum();
        sum.ln() - (row[label as usize] - largest) / temperature
    });
    Ok(-loss.sum::<f64>() / n as f64)
}
