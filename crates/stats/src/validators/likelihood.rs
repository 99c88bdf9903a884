//! How probable answers are, if classes are clouds of one shape.

use faer::Mat;

use super::{Evidence, Validator};
use crate::{Result, symmetric};

pub(super) const VALIDATOR: Validator = Validator {
    name: "likelihood",
    summary: "how much more probable the target's features are as clouds of one shape, one a class that is answered",
    paper: "Scott & Symons 1971, doi:10.2307/2529003; Symons 1981, doi:10.2307/2530520, for classes of unequal size",
    score,
};

/// Share of a covariance that is drawn to the identity: what directions of hardly any variance weigh at most.
const SHRINKAGE: f64 = 0.02;

/// `Σ_c p_c ln p_c − ½ ln(|W̃|/|T̃|)`, in nats a row: the largest log-likelihood of target rows and their answers under
/// normal classes with one covariance, less that of one normal cloud. `T` is the covariance of the rows, `W` that
/// within the classes that are answered, `p_c` their shares, and `Ã = (1 − s) A + s tr(A)/d·I`.
///
/// The rows are those that everybody is shown ([`Evidence::with_inputs`]), so that a model cannot score by making
/// features whose clouds are apart. One class for all rows scores 0; to cut one cloud in two scores less.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let inputs = evidence.inputs()?;
    let (rows, total) = (inputs.rows(), inputs.covariance());
    let (answers, classes) = (evidence.answers(), evidence.target().n_classes());
    let (m, d) = (rows.n() as f64, rows.d());
    let (mut sums, mut counts) = (vec![0.0; classes * d], vec![0.0; classes]);
    for (i, &class) in answers.iter().enumerate() {
        counts[class as usize] += 1.0;
        let sums = &mut sums[class as usize * d..][..d];
        sums.iter_mut().zip(rows.row(i)).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let mean: Vec<f64> = (0..d).map(|k| sums.iter().skip(k).step_by(d).sum::<f64>() / m).collect();
    let mut within = total.clone();
    let mut value = 0.0;
    for (sums, &count) in sums.chunks_exact(d).zip(&counts).filter(|(_, count)| **count > 0.0) {
        let share = count / m;
        value += share * share.ln();
        let off: Vec<f64> = sums.iter().zip(&mean).map(|(sum, mean)| sum / count - mean).collect();
        for (j, b) in off.iter().enumerate() {
            off.iter().enumerate().for_each(|(i, a)| within[(i, j)] -= share * a * b);
        }
    }
    Ok(value - 0.5 * (log_det(&within)? - log_det(total)?))
}

/// `ln |Ã|`; rows that are all alike have none, and no answer is more probable than another.
fn log_det(covariance: &Mat<f64>) -> Result<f64> {
    let d = covariance.nrows();
    let mean = (0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64;
    let floor = SHRINKAGE * mean + f64::MIN_POSITIVE.sqrt();
    symmetric::log_det(Mat::from_fn(d, d, |i, j| {
        (1.0 - SHRINKAGE) * covariance[(i, j)] + if i == j { floor } else { 0.0 }
    }))
}
