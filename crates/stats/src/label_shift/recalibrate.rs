//! Probabilities that are right on average in every class: a temperature and a bias a class.

use faer::prelude::Solve;
use faer::{Mat, Side};

use super::Problem;
use crate::{Probabilities, calibrate};

/// Classes up to which biases are fitted; Newton's matrix grows with the square.
const MOST_CLASSES: usize = 200;

const MAX_STEPS: usize = 100;

/// The target's probabilities `[m, present]`, as `softmax(a ln p + b)` for the `a` and `b` with the least
/// log-loss on the source (Alexandari et al. 2020, bias-corrected temperature scaling).
pub fn recalibrate(problem: &Problem<'_>, present: &[usize]) -> Vec<f64> {
    let k = present.len();
    let scores = |from: &Probabilities| -> Vec<f64> {
        let row =
            |row: &[f64]| present.iter().map(|&c| row[c].max(1e-300).ln()).collect::<Vec<_>>();
        from.rows().flat_map(row).collect()
    };
    let mut place = vec![0; problem.classes()];
    present.iter().enumerate().for_each(|(i, &class)| place[class] = i as u32);
    let labels: Vec<u32> = problem.labels.iter().map(|&y| place[y as usize]).collect();
    let source = scores(problem.source);
    let mut theta = vec![0.0; k + 1];
    theta[0] = 1.0;
    if k > MOST_CLASSES {
        theta[0] = calibrate::scale(&source, &labels, k).map_or(1.0, |t| 1.0 / t.temperature);
    } else {
        newton(&source, &labels, k, &mut theta);
    }
    softmax(&scores(problem.target), k, &theta)
}

fn softmax(scores: &[f64], k: usize, theta: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(scores.len());
    for row in scores.chunks_exact(k) {
        let z: Vec<f64> = row.iter().zip(&theta[1..]).map(|(s, b)| theta[0] * s + b).collect();
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - largest).exp()).sum();
        out.extend(z.iter().map(|z| (z - largest).exp() / sum));
    }
    out
}

fn loss(scores: &[f64], labels: &[u32], k: usize, theta: &[f64]) -> f64 {
    let p = softmax(scores, k, theta);
    let right = p.chunks_exact(k).zip(labels).map(|(row, &y)| row[y as usize]);
    -right.map(|p| p.max(1e-300).ln()).sum::<f64>() / labels.len() as f64
}

/// Newton's method with halved steps; the loss is convex. Biases may grow together, so the last is fixed.
fn newton(scores: &[f64], labels: &[u32], k: usize, theta: &mut [f64]) {
    let n = labels.len() as f64;
    let mut now = loss(scores, labels, k, theta);
    for _ in 0..MAX_STEPS {
        let p = softmax(scores, k, theta);
        let mut gradient = vec![0.0; k];
        let mut hessian = Mat::<f64>::zeros(k, k);
        for ((s, p), &y) in scores.chunks_exact(k).zip(p.chunks_exact(k)).zip(labels) {
            let mean: f64 = s.iter().zip(p).map(|(s, p)| s * p).sum();
            let square: f64 = s.iter().zip(p).map(|(s, p)| s * s * p).sum();
            gradient[0] += (mean - s[y as usize]) / n;
            hessian[(0, 0)] += (square - mean * mean) / n;
            for i in 0..k - 1 {
                gradient[i + 1] += (p[i] - f64::from(u8::from(i == y as usize))) / n;
                hessian[(i + 1, 0)] += p[i] * (s[i] - mean) / n;
                for j in 0..=i {
                    let own = if i == j { p[i] } else { 0.0 };
                    hessian[(i + 1, j + 1)] += (own - p[i] * p[j]) / n;
                }
            }
        }
        let steepest = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        if steepest < 1e-11 {
            return;
        }
        for i in 0..k {
            hessian[(i, i)] += 1e-12 * (1.0 + hessian[(i, i)]);
        }
        let Ok(factor) = hessian.llt(Side::Lower) else { return };
        let step = factor.solve(Mat::from_fn(k, 1, |i, _| gradient[i]));
        let mut size = 1.0;
        loop {
            let mut next = theta.to_vec();
            (0..k).for_each(|i| next[i] -= size * step[(i, 0)]);
            let after = loss(scores, labels, k, &next);
            if next[0] > 0.0 && after <= now {
                theta.copy_from_slice(&next);
                now = after;
                break;
            }
            size *= 0.5;
            if size < 1e-8 {
                return;
            }
        }
    }
}
