//! BSS: batch spectral shrinkage. Directions of the features with the smallest singular values carry
//! what does not transfer; they are shrunk.

use offshoot_data::wording::Choice;

use super::{Kind, LossTerm, Regularizer, SourceFacts, Step, dot};
use crate::Result;

/// `η·Σ of the k smallest σ²` of the batch's features `[b, d]` (Chen et al. 2019, eq. 6). Where the batch
/// holds every sample several times, the mean over the copies: together they would have no full rank.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "bss",
    summary: "shrink the features' smallest singular values: bss(k=1,eta=0.001)",
    paper: "Chen et al. 2019, NeurIPS",
    choices: &[
        Choice { name: "k", default: 1.0, range: [1.0, 1024.0] },
        Choice { name: "eta", default: 1e-3, range: [0.0, 100.0] },
    ],
    make: |values| Kind::Term(Box::new(Bss { k: values[0] as usize, eta: values[1] })),
};

struct Bss {
    k: usize,
    eta: f64,
}

impl LossTerm for Bss {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let all = step.places.len();
        // Copies of the batch follow each other: where the first sample comes again, one ends.
        let n = (1..all).find(|&i| step.places[i] == step.places[0]).unwrap_or(all);
        let copies = all / n.max(1);
        // With more samples than features the smallest values are zero, whatever the features are.
        if n == 0 || n > step.dim {
            return 0.0;
        }
        let eta = self.eta / copies as f64;
        let parts = step.features.chunks_exact(n * step.dim);
        let parts = parts.zip(step.to_features.chunks_exact_mut(n * step.dim));
        let (end, k) = (End::Smallest, self.k);
        parts.map(|(features, to)| shrink(features, step.dim, end, k, eta, to)).sum()
    }
}

/// Which singular values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Smallest,
    Largest,
}

/// `η·Σ of the k smallest or largest σ²` of `features` `[n, dim]`; adds the gradient to `to_features`.
pub(crate) fn shrink(
    features: &[f32],
    dim: usize,
    end: End,
    k: usize,
    eta: f64,
    to_features: &mut [f32],
) -> f64 {
    let n = features.len() / dim;
    let row = |i: usize| &features[i * dim..(i + 1) * dim];
    // σ² are the eigenvalues of the small Gram matrix F·Fᵀ.
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let product = dot(row(i), row(j));
            gram[i * n + j] = product;
            gram[j * n + i] = product;
        }
    }
    let (values, vectors) = symmetric_eigen(gram, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    if end == End::Largest {
        order.reverse();
    }
    let mut value = 0.0;
    for &which in order.iter().take(k) {
        value += values[which].max(0.0);
        // σ² = uᵀ·F·Fᵀ·u, so ∂σ²/∂F = 2·u·(uᵀ·F) = 2·σ·u·vᵀ.
        let u = &vectors[which * n..(which + 1) * n];
        let mut projected = vec![0.0; dim];
        for (i, &u) in u.iter().enumerate() {
            projected.iter_mut().zip(row(i)).for_each(|(p, &f)| *p += u * f64::from(f));
        }
        for (to, u) in to_features.chunks_exact_mut(dim).zip(u) {
            let factor = 2.0 * eta * u;
            to.iter_mut().zip(&projected).for_each(|(to, p)| *to += (factor * p) as f32);
        }
    }
    eta * value
}

/// Eigenvalues and, in rows, eigenvectors of a symmetric matrix, by Jacobi's rotations.
fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|v| v * v).sum::<f64>().max(f64::MIN_POSITIVE);
    // What is left beside the diagonal is at most 10⁻¹² of the whole.
    let negligible = 1e-24 * scale / (n * n).max(1) as f64;
    for _ in 0..64 {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq * apq <= negligible {
                    continue;
                }
                rotated = true;
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                let (app, aqq) = (a[p * n + p] - t * apq, a[q * n + q] + t * apq);
                rotate(&mut a, n, [p, q], c, s);
                rotate(&mut vectors, n, [p, q], c, s);
                // Columns follow from rows, as the matrix is symmetric.
                (a[p * n + p], a[p * n + q]) = (app, 0.0);
                (a[q * n + p], a[q * n + q]) = (0.0, aqq);
                for k in (0..n).filter(|&k| k != p && k != q) {
                    (a[k * n + p], a[k * n + q]) = (a[p * n + k], a[q * n + k]);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// Turns the rows `p < q` of a matrix with `n` columns in their plane.
fn rotate(matrix: &mut [f64], n: usize, [p, q]: [usize; 2], c: f64, s: f64) {
    let (upper, lower) = matrix.split_at_mut(q * n);
    for (x, y) in upper[p * n..(p + 1) * n].iter_mut().zip(&mut lower[..n]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let n = 9;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let v = ((i * 7 + j * 13) as f64).sin();
                a[i * n + j] = v;
                a[j * n + i] = v;
            }
        }
        let (values, v) = symmetric_eigen(a.clone(), n);
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..n).map(|k| v[k * n + i] * values[k] * v[k * n + j]).sum();
                assert!((sum - a[i * n + j]).abs() < 1e-9);
            }
        }
    }
}
