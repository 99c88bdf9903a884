//! BSS: batch spectral shrinkage. Directions of the features with the smallest singular values carry
//! what does not transfer; they are shrunk.

use offshoot_data::wording::Choice;

use super::{Kind, LossTerm, Regularizer, SourceFacts, Step};
use crate::Result;

/// `η·Σ of the k smallest σ²` of the batch's features `[b, d]` (Chen et al. 2019, eq. 6).
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
        let (n, dim) = (step.labels.len(), step.dim);
        // With more samples than features the smallest values are zero, whatever the features are.
        if n > dim {
            return 0.0;
        }
        let row = |i: usize| &step.features[i * dim..(i + 1) * dim];
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
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
        let mut value = 0.0;
        for &which in order.iter().take(self.k) {
            value += values[which].max(0.0);
            // σ² = uᵀ·F·Fᵀ·u, so ∂σ²/∂F = 2·u·(uᵀ·F) = 2·σ·u·vᵀ.
            let u: Vec<f64> = (0..n).map(|i| vectors[i * n + which]).collect();
            let mut projected = vec![0.0f64; dim];
            for (i, u) in u.iter().enumerate() {
                projected.iter_mut().zip(row(i)).for_each(|(p, &f)| *p += u * f64::from(f));
            }
            for (to, u) in step.to_features.chunks_exact_mut(dim).zip(&u) {
                let factor = 2.0 * self.eta * u;
                to.iter_mut().zip(&projected).for_each(|(to, p)| *to += (factor * p) as f32);
            }
        }
        self.eta * value
    }
}

/// Eigenvalues and, in columns, eigenvectors of a symmetric matrix, by Jacobi's rotations.
fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|v| v * v).sum::<f64>().max(f64::MIN_POSITIVE);
    for _ in 0..64 {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| a[i * n + j].powi(2))
            .sum();
        if off <= 1e-24 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                    let (x, y) = (vectors[k * n + p], vectors[k * n + q]);
                    vectors[k * n + p] = c * x - s * y;
                    vectors[k * n + q] = s * x + c * y;
                }
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
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
                let sum: f64 = (0..n).map(|k| v[i * n + k] * values[k] * v[j * n + k]).sum();
                assert!((sum - a[i * n + j]).abs() < 1e-9);
            }
        }
    }
}
