//! Least squares on one-hot labels, and its error on samples that are left out, in closed form.

use faer::Mat;

use crate::{Result, symmetric};

/// Strengths, relative to the kernel's mean eigenvalue.
const STRENGTHS: [f64; 7] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// A centred kernel in its own coordinates.
pub struct Press {
    n: usize,
    values: Vec<f64>,
    /// `[n, n]`, a column each.
    vectors: Mat<f64>,
    /// One-hot labels minus their means, `[n, classes]`.
    targets: Mat<f64>,
    /// Those in the kernel's coordinates.
    turned: Mat<f64>,
}

impl Press {
    /// Of a kernel of trace n.
    pub fn new(kernel: &Mat<f64>, labels: &[u32], n_classes: usize) -> Result<Self> {
        let n = labels.len();
        let counts = crate::check::counts(labels, n_classes);
        let (values, vectors) = symmetric::eigen(kernel)?;
        let targets = Mat::from_fn(n, n_classes, |i, c| {
            f64::from(u8::from(labels[i] as usize == c)) - counts[c] as f64 / n as f64
        });
        let turned = vectors.transpose() * &targets;
        Ok(Self { n, values, vectors, targets, turned })
    }

    /// Squared error of each sample, summed over classes, while it is left out, at the strength with the least sum.
    pub fn best(&self) -> Vec<f64> {
        let all = STRENGTHS.iter().map(|&strength| self.errors(strength));
        let sum = |errors: &Vec<f64>| errors.iter().sum::<f64>();
        all.min_by(|a, b| sum(a).total_cmp(&sum(b))).unwrap_or_default()
    }

    /// `e_i / (1 − H_ii)` (Allen 1974), H the smoother of ridge regression with a free mean.
    fn errors(&self, strength: f64) -> Vec<f64> {
        let n = self.n;
        let kept: Vec<f64> =
            self.values.iter().map(|&s| s.max(0.0) / (s.max(0.0) + strength)).collect();
        let shrunk = Mat::from_fn(n, self.turned.ncols(), |k, c| kept[k] * self.turned[(k, c)]);
        let fitted = &self.vectors * &shrunk;
        let mut leverage = vec![1.0 / n as f64; n];
        for (k, kept) in kept.iter().enumerate() {
            for (i, leverage) in leverage.iter_mut().enumerate() {
                *leverage += kept * self.vectors[(i, k)].powi(2);
            }
        }
        let one = |i: usize| {
            // A sample that fits itself alone says nothing about others.
            let left = (1.0 - leverage[i]).max(1e-9);
            let squares = (0..self.targets.ncols())
                .map(|c| ((self.targets[(i, c)] - fitted[(i, c)]) / left).powi(2));
            squares.sum::<f64>()
        };
        (0..n).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_leaving_out_one_at_a_time() {
        let labels = [0, 0, 1, 1, 2, 0, 1, 2];
        let n = labels.len();
        let x = Mat::from_fn(n, 3, |i, j| ((i * 5 + j * 3) % 7) as f64 - (i % 3) as f64);
        let centred = |rows: &[usize]| {
            let mean = |j: usize| rows.iter().map(|&i| x[(i, j)]).sum::<f64>() / rows.len() as f64;
            Mat::from_fn(rows.len(), 3, |r, j| x[(rows[r], j)] - mean(j))
        };
        let all: Vec<usize> = (0..n).collect();
        let z = centred(&all);
        let kernel = &z * z.transpose();
        let strength = 0.3;
        let press = Press::new(&kernel, &labels, 3).unwrap().errors(strength);
        for left in 0..n {
            let kept: Vec<usize> = all.iter().copied().filter(|&i| i != left).collect();
            let z = centred(&kept);
            let mean_x =
                |j: usize| kept.iter().map(|&i| x[(i, j)]).sum::<f64>() / kept.len() as f64;
            let one = |i: usize, c: usize| f64::from(u8::from(labels[i] as usize == c));
            let mean_y =
                |c: usize| kept.iter().map(|&i| one(i, c)).sum::<f64>() / kept.len() as f64;
            let y = Mat::from_fn(kept.len(), 3, |r, c| one(kept[r], c) - mean_y(c));
            let mut gram = z.transpose() * &z;
            (0..3).for_each(|j| gram[(j, j)] += strength);
            let (values, vectors) = symmetric::eigen(&gram).unwrap();
            let inverse = Mat::from_fn(3, 3, |i, j| {
                (0..3).map(|k| vectors[(i, k)] * vectors[(j, k)] / values[k]).sum::<f64>()
            });
            let w = inverse * z.transpose() * y;
            let error: f64 = (0..3)
                .map(|c| {
                    let said: f64 = (0..3).map(|j| (x[(left, j)] - mean_x(j)) * w[(j, c)]).sum();
                    (one(left, c) - mean_y(c) - said).powi(2)
                })
                .sum();
            assert!((error - press[left]).abs() < 1e-9, "{error} and {}", press[left]);
        }
    }
}
