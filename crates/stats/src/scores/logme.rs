//! LogME: the evidence that a linear model of the labels gets from the features.

use super::{Evidence, Score};
use crate::Result;

pub(super) const SCORE: Score = Score {
    name: "logme",
    summary: "log evidence of a Bayesian linear model of the labels, a sample",
    paper: "You et al. 2021, arXiv:2102.11005",
    needs_source: false,
    compute,
};

/// Relative change of t = α/β at which the iteration ends, as in the paper's code.
const TOLERANCE: f64 = 1e-3;
const MOST: usize = 100;
/// Least share of ‖y‖² that is taken to be unexplained, and explained: where features separate the classes
/// exactly, or say nothing, the evidence has no maximum.
const FLOOR: f64 = 1e-12;

/// Mean over the classes that have samples of the evidence for `y = 1_c`, over n:
/// `[d/2·ln α + n/2·ln β − ½Σ_d ln(α + βs) − β/2·res − α/2·m² − n/2·ln 2π]/n`.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let spectrum = evidence.raw()?;
    let (n, d) = (evidence.rows().n() as f64, evidence.rows().d() as f64);
    let s = &spectrum.values;
    let present = evidence.present();
    let total: f64 = present
        .iter()
        .map(|&c| {
            let y2 = evidence.counts()[c] as f64;
            let z2: Vec<f64> = spectrum.classes.iter().map(|z| z[c] * z[c]).collect();
            let outside = (y2 - z2.iter().sum::<f64>()).max(0.0);
            class(n, d, s, &z2, y2, outside)
        })
        .sum();
    Ok(total / present.len() as f64)
}

/// The evidence for one class: `z2` are the squared coordinates of y along the directions of `s`, `outside` what
/// of ‖y‖² = `y2` no direction reaches.
fn class(n: f64, d: f64, s: &[f64], z2: &[f64], y2: f64, outside: f64) -> f64 {
    let rank = s.len() as f64;
    let ln_2pi = std::f64::consts::TAU.ln();
    let over =
        |f: &dyn Fn(f64, f64) -> f64| -> f64 { s.iter().zip(z2).map(|(&s, &z2)| f(s, z2)).sum() };
    if s.is_empty() {
        // Features that are zero: only the noise is left to fit.
        return 0.5 * ((n / outside.max(FLOOR * y2)).ln() - 1.0 - ln_2pi);
    }
    let m2_floor = FLOOR * y2 / s[0];
    let mut t = 1.0;
    let mut evidence = 0.0;
    for _ in 0..MOST {
        let gamma = over(&|s, _| s / (s + t));
        let m2 = over(&|s, z2| s * z2 / ((s + t) * (s + t))).max(m2_floor);
        let res = (over(&|s, z2| t * t * z2 / ((s + t) * (s + t))) + outside).max(FLOOR * y2);
        let alpha = gamma / m2;
        let beta = (n - gamma).max(FLOOR * n) / res;
        // Directions without features add ln α each.
        let spread = over(&|s, _| (alpha + beta * s).ln()) + (d - rank) * alpha.ln();
        evidence = (0.5 * d * alpha.ln() + 0.5 * n * beta.ln()
            - 0.5 * spread
            - 0.5 * beta * res
            - 0.5 * alpha * m2
            - 0.5 * n * ln_2pi)
            / n;
        let next = alpha / beta;
        let change = (next - t).abs() / t;
        if change <= TOLERANCE || !(next.is_finite() && next > 0.0) {
            break;
        }
        t = next;
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_without_features_changes_nothing() {
        let (s, z2) = ([4.0, 1.0], [2.0, 0.5]);
        let narrow = class(10.0, 2.0, &s, &z2, 5.0, 2.5);
        let wide = class(10.0, 7.0, &s, &z2, 5.0, 2.5);
        assert!((narrow - wide).abs() < 1e-12);
    }
}
