//! What a classifier answers, by what is right.

use faer::Mat;

use super::Problem;
use crate::{Result, StatsError};

/// Shares of answers, over the classes that the source has.
pub struct Shares {
    /// `P_s(ŷ = i, y = j)`.
    pub joint: Mat<f64>,
    /// `P_s(ŷ = i)`.
    pub source: Vec<f64>,
    /// `P_t(ŷ = i)`.
    pub target: Vec<f64>,
    /// Condition of `P_s(ŷ = i | y = j)`. That of the joint matrix would also grow with the imbalance of
    /// classes, which does no harm.
    pub condition: f64,
}

impl Shares {
    pub fn of(problem: &Problem<'_>) -> Result<Self> {
        let present = problem.present();
        let k = present.len();
        // The most probable of the classes that can occur.
        let answer = |row: &[f64]| {
            (1..k).fold(0, |best, i| if row[present[i]] > row[present[best]] { i } else { best })
        };
        let mut place = vec![0; problem.classes()];
        present.iter().enumerate().for_each(|(i, &class)| place[class] = i);
        let (n, m) = (problem.labels.len() as f64, problem.target.n() as f64);
        let mut joint = Mat::zeros(k, k);
        for (row, &label) in problem.source.rows().zip(problem.labels) {
            joint[(answer(row), place[label as usize])] += 1.0 / n;
        }
        let mut target = vec![0.0; k];
        problem.target.rows().for_each(|row| target[answer(row)] += 1.0 / m);
        let source = (0..k).map(|i| (0..k).map(|j| joint[(i, j)]).sum()).collect();
        let column: Vec<f64> = (0..k).map(|j| (0..k).map(|i| joint[(i, j)]).sum()).collect();
        let conditional = Mat::from_fn(k, k, |i, j| joint[(i, j)] / column[j]);
        let values = conditional.singular_values().map_err(|_| {
            StatsError::Unusable("the confusion matrix's singular values did not converge".into())
        })?;
        let (largest, smallest) = (values[0], values[k - 1]);
        let condition = if smallest > 1e-12 * largest { largest / smallest } else { f64::INFINITY };
        Ok(Self { joint, source, target, condition })
    }
}
