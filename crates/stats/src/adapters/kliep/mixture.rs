//! The most likely shares of a mixture whose components are known.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use crate::{Result, symmetric};

const MAX_ITERATIONS: usize = 100;

/// Mean complementarity at which the shares are found: the likelihood a sample is as close to the best.
const TOLERANCE: f64 = 1e-10;

/// Maximises `1/n Σ_j ln Σ_l β_l p_jl` over `β ≥ 0`, `Σβ = 1`, for the rows of `p` `[n, k]` that `counts` names.
///
/// `1/n Σ ln(pβ) − Σβ` has the same maximum without the sum's condition, since its best scale is 1. What is left,
/// `β ≥ 0`, goes into a primal-dual interior-point method; its Newton system is as large as there are components.
pub fn shares(p: &[f64], k: usize, counts: impl Fn(usize) -> bool) -> Result<Vec<f64>> {
    let rows: Vec<&[f64]> =
        p.chunks_exact(k).enumerate().filter(|(i, _)| counts(*i)).map(|(_, row)| row).collect();
    let n = rows.len() as f64;
    let mut beta = vec![1.0 / k as f64; k];
    let mut dual = vec![1.0; k];
    for _ in 0..MAX_ITERATIONS {
        // Rows over their mixture, column-major [k, n].
        let mut scaled = Vec::with_capacity(rows.len() * k);
        let mut gradient = vec![1.0; k];
        for row in &rows {
            let sum: f64 = row.iter().zip(&beta).map(|(p, b)| p * b).sum();
            let inverse = 1.0 / sum.max(1e-300);
            for (gradient, p) in gradient.iter_mut().zip(*row) {
                scaled.push(p * inverse);
                *gradient -= p * inverse / n;
            }
        }
        let mu = beta.iter().zip(&dual).map(|(b, z)| b * z).sum::<f64>() / k as f64;
        let off = gradient.iter().zip(&dual).map(|(g, z)| (g - z).abs()).fold(0.0, f64::max);
        if mu < TOLERANCE && off < 1e-8 {
            break;
        }
        let aim = 0.1 * mu;
        let z = MatRef::from_column_major_slice(&scaled, k, rows.len());
        let mut hessian = Mat::zeros(k, k);
        matmul(&mut hessian, Accum::Replace, z, z.transpose(), 1.0 / n, Par::Seq);
        for l in 0..k {
            hessian[(l, l)] += dual[l] / beta[l] + 1e-13;
        }
        symmetric::cholesky(&mut hessian, "the mixture has no step left")?;
        let mut step: Vec<f64> = (0..k).map(|l| aim / beta[l] - gradient[l]).collect();
        for i in 0..k {
            let sum: f64 = (0..i).map(|j| hessian[(i, j)] * step[j]).sum();
            step[i] = (step[i] - sum) / hessian[(i, i)];
        }
        for i in (0..k).rev() {
            let sum: f64 = (i + 1..k).map(|j| hessian[(j, i)] * step[j]).sum();
            step[i] = (step[i] - sum) / hessian[(i, i)];
        }
        let dual_step: Vec<f64> =
            (0..k).map(|l| (aim - dual[l] * step[l]) / beta[l] - dual[l]).collect();
        let longest = |values: &[f64], changes: &[f64]| {
            let limits = values.iter().zip(changes).filter(|(_, c)| **c < 0.0);
            limits.fold(1.0f64, |most, (v, c)| most.min(-0.99 * v / c))
        };
        let (primal, along_dual) = (longest(&beta, &step), longest(&dual, &dual_step));
        beta.iter_mut().zip(&step).for_each(|(b, s)| *b += primal * s);
        dual.iter_mut().zip(&dual_step).for_each(|(z, s)| *z += along_dual * s);
    }
    let sum: f64 = beta.iter().sum();
    Ok(beta.iter().map(|b| b / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_where_no_component_would_gain() {
        let p: Vec<f64> =
            (0..60 * 5).map(|i| 0.1 + f64::from((i * 37 + (i / 5) * (i % 5)) % 23)).collect();
        let beta = shares(&p, 5, |_| true).unwrap();
        assert!((beta.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for l in 0..5 {
            let gain: f64 = p
                .chunks_exact(5)
                .map(|row| row[l] / row.iter().zip(&beta).map(|(p, b)| p * b).sum::<f64>() / 60.0)
                .sum();
            assert!(gain < 1.0 + 1e-7 && (beta[l] < 1e-6 || gain > 1.0 - 1e-5), "{l}: {gain}");
        }
    }
}
