//! Fréchet distance of two normal distributions.

use faer::Mat;

use super::covariance::{factor, rows_for, square_norm};
use super::{Distance, Measure, Pair};
use crate::{Matrix, Result, Rows, StatsError, moments};

pub(super) const DISTANCE: Distance = Distance {
    name: "frechet",
    summary: "squared Fréchet (Wasserstein-2) distance of normal distributions, as in FID",
    paper: "Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500",
    is_test: false,
    least: 0.0,
    compute,
};

/// `‖μ_s − μ_t‖² + tr(C_s + C_t − 2(C_s C_t)^{1/2})`, covariances over `n − 1`.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let value = distance(pair.sets, pair.options.seed)?;
    let chance = match pair.cells.columns {
        0 | 1 => None,
        columns => {
            let mut parts = [Vec::new(), Vec::new()];
            for (index, cell) in pair.cells.cells.iter().enumerate() {
                let part = usize::from(pair.cells.is_source[index * columns + 1] == 0);
                for place in cell.start..cell.start + cell.len {
                    parts[part].extend_from_slice(pair.row(place));
                }
            }
            let [source, target] =
                parts.map(|data| Matrix::new(data.len() / pair.d(), pair.d(), data));
            match (source, target) {
                (Some(s), Some(t)) => Some(distance([s.rows(), t.rows()], pair.options.seed)?),
                _ => None,
            }
        }
    };
    let (name, interval) = (DISTANCE.name, None);
    Ok(Measure { name, value, interval, chance, p_value: None, statistics: Vec::new() })
}

fn distance(sets: [Rows<'_>; 2], seed: u64) -> Result<f64> {
    let subsets = sets.map(|rows| rows_for(rows, seed));
    let sets = [0, 1].map(|i| subsets[i].as_ref().map_or(sets[i], |m| m.rows()));
    let means = sets.map(moments::means);
    let apart: f64 = means[0].iter().zip(&means[1]).map(|(a, b)| (a - b) * (a - b)).sum();
    let [s, t] = [factor(sets[0], &means[0])?, factor(sets[1], &means[1])?];
    // tr (C_s C_t)^{1/2} is the sum of the singular values of F_s F_tᵀ, which are not squares of
    // anything: roots of rounded eigenvalues would add 1e-8 for each direction without variance.
    let common: f64 = nuclear(&(&s * t.transpose()))?;
    Ok((apart + square_norm(&s) + square_norm(&t) - 2.0 * common).max(0.0))
}

/// Sum of singular values.
fn nuclear(matrix: &Mat<f64>) -> Result<f64> {
    let values = matrix
        .singular_values()
        .map_err(|_| StatsError::Unusable("the singular values did not converge".into()))?;
    Ok(values.iter().sum())
}
