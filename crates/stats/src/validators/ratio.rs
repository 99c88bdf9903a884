//! How much more probable source rows are in the target.

use offshoot_random::permutation;

use crate::heads::{self, FitOptions};
use crate::{Matrix, Result, Rows, StatsError, calibrate, check, cv};

/// Parts of cross-validation: each row is judged by a classifier that did not see it.
const FOLDS: usize = 3;

/// Largest ratio: a few rows must not speak for all.
const MOST: f64 = 50.0;

/// Rows of both sides that a classifier is fitted to, at most.
const MOST_ROWS: usize = 6000;

/// `p_t(x)/p_s(x)` of every row of `source` `[n, d]`, from a classifier that tells the sides apart
/// (Bickel et al. 2009): `n_s/n_t · p(target|x)/p(source|x)`, clipped at 50.
///
/// The classifier is shrunken discriminant analysis, cross-validated and calibrated by a temperature; what was
/// fitted to a row would find it more typical of its side than it is.
///
/// # Errors
/// Rows that do not fit together, fewer than two on a side, values that are not finite.
pub fn density_ratio(source: Rows<'_>, target: Rows<'_>, seed: u64) -> Result<Vec<f64>> {
    check::width(target, source.d())?;
    check::finite(source)?;
    check::finite(target)?;
    let (n, m) = (source.n(), target.n());
    if n < 2 || m < 2 {
        return Err(StatsError::Unusable(format!(
            "a density ratio needs two samples on each side, got {n} and {m}"
        )));
    }
    let lda = heads::find("lda").ok_or_else(|| StatsError::Unusable("no head `lda`".into()))?;
    let sides: Vec<u32> = (0..n + m).map(|i| u32::from(i >= n)).collect();
    let pooled = Matrix::new(n + m, source.d(), [source.data(), target.data()].concat())
        .ok_or_else(|| StatsError::Unusable("rows of both sides do not fit together".into()))?;
    let folds = FOLDS.min(n).min(m);
    let fold_of = cv::stratified_folds(&sides, folds, seed);
    let mut logs = vec![0.0; 2 * (n + m)];
    for fold in 0..folds {
        let (held, kept): (Vec<usize>, Vec<usize>) = (0..n + m).partition(|&i| fold_of[i] == fold);
        let order = permutation(kept.len(), seed, "density ratio", fold as u64);
        let mut kept: Vec<usize> = order.into_iter().take(MOST_ROWS).map(|at| kept[at]).collect();
        kept.sort_unstable();
        let labels: Vec<u32> = kept.iter().map(|&i| sides[i]).collect();
        let rows = Matrix::gather(pooled.rows(), &kept);
        let head = lda.fit(rows.rows(), &labels, 2, &FitOptions::default())?.head;
        let said = head.predict(Matrix::gather(pooled.rows(), &held).rows())?;
        for (&i, row) in held.iter().zip(said.rows()) {
            let log = |p: f64| p.max(1e-300).ln();
            (logs[2 * i], logs[2 * i + 1]) = (log(row[0]), log(row[1]));
        }
    }
    let temperature = calibrate::scale(&logs, &sides, 2)?.temperature;
    let numbers = (n as f64 / m as f64).ln();
    let log_ratios = logs[..2 * n].chunks_exact(2).map(|pair| pair[1] - pair[0]);
    Ok(log_ratios.map(|log| (log / temperature + numbers).exp().min(MOST)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;
    use rand::RngExt;

    fn normal(n: usize, mean: f64, side: u64) -> Matrix {
        let mut draws = generator(0, "ratio test", side, 0);
        let data = (0..n).map(|_| {
            let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
            (mean + radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()) as f32
        });
        Matrix::new(n, 1, data.collect()).unwrap()
    }

    #[test]
    fn two_normal_sides_have_the_ratio_of_their_densities() {
        let (source, target) = (normal(4000, 0.0, 0), normal(2000, 1.0, 1));
        let found = density_ratio(source.rows(), target.rows(), 0).unwrap();
        let log_errors = found.iter().zip(source.rows().data()).map(|(w, &x)| {
            // ln N(x; 1, 1)/N(x; 0, 1) = x − ½.
            (w.ln() - (f64::from(x) - 0.5)).abs()
        });
        let off = log_errors.sum::<f64>() / found.len() as f64;
        assert!(off < 0.1, "{off}");
    }

    #[test]
    fn equal_sides_have_a_ratio_of_one() {
        let (source, target) = (normal(1000, 0.0, 0), normal(1000, 0.0, 1));
        let found = density_ratio(source.rows(), target.rows(), 0).unwrap();
        assert!(found.iter().all(|w| (w - 1.0).abs() < 0.3), "{found:?}");
    }
}
