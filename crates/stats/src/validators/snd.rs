//! Soft neighbourhood density.

use rayon::prelude::*;

use super::{Evidence, Validator};
use crate::Result;

pub(super) const VALIDATOR: Validator = Validator {
    name: "snd",
    summary: "soft neighbourhood density: how many target rows have about the same answer; largest where all have",
    paper: "Saito et al. 2021, arXiv:2108.10860",
    score,
};

/// The paper's temperature.
const TEMPERATURE: f64 = 0.05;

/// Rows that are compared with each other; drawn where there are more.
const MOST_ROWS: usize = 4000;

/// Mean over rows of the entropy of `softmax_j(⟨p_i, p_j⟩/(‖p_i‖ ‖p_j‖ T))`, `j ≠ i`.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let target = evidence.target();
    let places = offshoot_random::some(target.n(), MOST_ROWS, evidence.seed(), "snd", 0);
    let unit: Vec<Vec<f64>> = places
        .iter()
        .map(|&i| {
            let row = target.row(i);
            let length = row.iter().map(|p| p * p).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            row.iter().map(|p| p / length).collect()
        })
        .collect();
    let entropies: Vec<f64> = (0..unit.len())
        .into_par_iter()
        .map(|i| {
            // Similarities are at most 1, so that the sum of exponents is safe without looking for the largest.
            let (mut sum, mut weighted) = (0.0, 0.0);
            for other in unit.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other) {
                let similar: f64 = unit[i].iter().zip(other).map(|(a, b)| a * b).sum();
                let log = (similar - 1.0) / TEMPERATURE;
                sum += log.exp();
                weighted += log.exp() * log;
            }
            if sum > 0.0 { sum.ln() - weighted / sum } else { 0.0 }
        })
        .collect();
    Ok(entropies.iter().sum::<f64>() / entropies.len().max(1) as f64)
}
