//! Maximum likelihood of the classes' shares.

use super::confusion::Shares;
use super::recalibrate::recalibrate;
use super::{Estimate, Estimator, Problem};
use crate::Result;

pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "mlls",
    summary: "maximum-likelihood label shift: expectation maximisation on calibrated probabilities",
    paper: "Saerens et al. 2002; Alexandari et al. 2020, arXiv:1901.06852",
    estimate,
};

const MAX_ITERATIONS: usize = 10_000;
const TOLERANCE: f64 = 1e-10;

/// `q ← mean of p(y|x) q(y)/p_s(y)`, normalised a sample, from `q = p_s`, on probabilities that were
/// calibrated by a temperature and a bias a class.
fn estimate(problem: &Problem<'_>) -> Result<Estimate> {
    let condition = Shares::of(problem)?.condition;
    let present = problem.present();
    let source: Vec<f64> = {
        let all = problem.shares();
        present.iter().map(|&class| all[class]).collect()
    };
    let target = recalibrate(problem, &present);
    let m = problem.target.n() as f64;
    let mut q = source.clone();
    for _ in 0..MAX_ITERATIONS {
        let ratio: Vec<f64> = q.iter().zip(&source).map(|(q, p)| q / p).collect();
        let mut next = vec![0.0; q.len()];
        for row in target.chunks_exact(q.len()) {
            let sum: f64 = row.iter().zip(&ratio).map(|(p, r)| p * r).sum();
            if sum > 0.0 {
                let parts = next.iter_mut().zip(row).zip(&ratio);
                parts.for_each(|((next, p), r)| *next += p * r / (sum * m));
            }
        }
        let change = q.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        q = next;
        if change < TOLERANCE {
            break;
        }
    }
    let weights: Vec<f64> = q.iter().zip(&source).map(|(q, p)| q / p).collect();
    Ok(problem.estimate(ESTIMATOR.name, &weights, condition))
}
