//! The squared distance between two domains in the space of a kernel, without bias, and its gradient (Gretton
//! et al. 2012, JMLR 13, eq. 3).

/// Squared distances `[n, n]` between rows.
pub(super) fn distances(rows: &[f64], dim: usize) -> Vec<f64> {
    let n = rows.len() / dim;
    let row = |i: usize| &rows[i * dim..(i + 1) * dim];
    let mut distances = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let squares = row(i).iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b));
            let distance: f64 = squares.sum();
            distances[i * n + j] = distance;
            distances[j * n + i] = distance;
        }
    }
    distances
}

/// A kernel's values for all pairs, and its slopes by the squared distance.
pub(super) struct Kernel {
    pub value: Vec<f64>,
    pub slope: Vec<f64>,
}

impl Kernel {
    /// The mean of Gaussian kernels `exp(−d²/2σ²)` with these σ².
    pub fn gaussian(distances: &[f64], squares: &[f64]) -> Self {
        let share = 1.0 / squares.len() as f64;
        let of = |weigh: fn(f64) -> f64| {
            let one = |d: &f64| -> f64 {
                squares.iter().map(|s| share * weigh(*s) * (-d / (2.0 * s)).exp()).sum()
            };
            distances.iter().map(one).collect()
        };
        Self { value: of(|_| 1.0), slope: of(|square| -0.5 / square) }
    }
}

/// The mean squared distance between two different rows, 2^−3 to 2 times of which are the σ² of several kernels:
/// whatever the features' scale is, some kernel sees differences (Long et al. 2015, section 3.1).
pub(super) fn bandwidths(distances: &[f64]) -> Vec<f64> {
    let n = (distances.len() as f64).sqrt();
    let mean = distances.iter().sum::<f64>() / (n * (n - 1.0)).max(1.0);
    let mean = if mean > 0.0 { mean } else { 1.0 };
    (-3..=1).map(|k| 2f64.powi(k) * mean).collect()
}

/// How much each pair counts: together `MMD²_u`, without the pairs of a row with itself.
pub(super) fn shares([source, target]: [usize; 2]) -> Vec<f64> {
    let n = source + target;
    let one = |at: usize| {
        let (i, j) = (at / n, at % n);
        let within = |n: usize| 1.0 / (n * (n - 1)) as f64;
        match (i < source, j < source) {
            _ if i == j => 0.0,
            (true, true) => within(source),
            (false, false) => within(target),
            _ => -1.0 / (source * target) as f64,
        }
    };
    (0..n * n).map(one).collect()
}

/// The same for the distance of the batch's own means, in which every row also meets itself.
pub(super) fn shares_with_itself([source, target]: [usize; 2]) -> Vec<f64> {
    let of = |i: usize| if i < source { 1.0 / source as f64 } else { -1.0 / target as f64 };
    let n = source + target;
    (0..n * n).map(|at| of(at / n) * of(at % n)).collect()
}

/// The slopes `[n, dim]` by `rows`, from those by the squared distance of each ordered pair.
pub(super) fn by_rows(rows: &[f64], dim: usize, by_distance: &[f64]) -> Vec<f64> {
    let n = rows.len() / dim;
    let mut slopes = vec![0.0; rows.len()];
    for (i, slope) in slopes.chunks_exact_mut(dim).enumerate() {
        for j in 0..n {
            // The pair counts as (i, j) and as (j, i), and ∂d²/∂x_i = 2·(x_i − x_j).
            let factor = 2.0 * (by_distance[i * n + j] + by_distance[j * n + i]);
            let pair = rows[i * dim..].iter().zip(&rows[j * dim..]);
            slope.iter_mut().zip(pair).for_each(|(to, (a, b))| *to += factor * (a - b));
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bandwidths, which terms hold constant, are constant here.
    #[test]
    fn slopes_of_joint_kernels_are_slopes() {
        let rows = |moved: Option<(usize, f64)>| -> Vec<f64> {
            let mut rows: Vec<f64> = (0..18).map(|i| (f64::from(i) * 0.731).sin()).collect();
            moved.into_iter().for_each(|(at, by)| rows[at] += by);
            rows
        };
        let domains = [2, 4];
        let value = |rows: &[f64]| -> (f64, Vec<f64>) {
            let kernel = Kernel::gaussian(&distances(rows, 3), &[0.5, 2.0]);
            let shares = shares(domains);
            let value = shares.iter().zip(&kernel.value).map(|(s, k)| s * k).sum();
            let slopes: Vec<f64> = shares.iter().zip(&kernel.slope).map(|(s, k)| s * k).collect();
            (value, by_rows(rows, 3, &slopes))
        };
        let (_, slopes) = value(&rows(None));
        for (at, slope) in slopes.iter().enumerate() {
            let by = |by: f64| value(&rows(Some((at, by)))).0;
            let measured = (by(1e-5) - by(-1e-5)) / 2e-5;
            assert!((measured - slope).abs() < 1e-9, "{measured} and {slope}");
        }
        assert!(slopes.iter().any(|slope| slope.abs() > 1e-3));
    }

    /// Each domain's pairs sum to one, and pairs across to minus two.
    #[test]
    fn shares_sum_to_nothing() {
        let shares = shares([3, 5]);
        assert!(shares.iter().sum::<f64>().abs() < 1e-12);
        assert!((shares.iter().filter(|s| **s > 0.0).sum::<f64>() - 2.0).abs() < 1e-12);
    }
}
