//! What reweighting the source's classes leaves of a mismatch.

use offshoot_random::permutation;

use super::{Known, Options};
use crate::distances::{self, Pair, combined};
use crate::{Matrix, Result, Rows};

/// Rows that the test needs on each side.
const FEWEST: usize = 20;

/// The p-value of target rows against source rows that are drawn so that each class is as frequent as the
/// weights say; `None` where too few remain. Where classes look as they did, nothing is left to see.
pub fn test(
    known: &Known,
    target: Rows<'_>,
    weights: &[f64],
    options: &Options,
) -> Result<Option<f64>> {
    let seed = options.distances.seed;
    let n_classes = weights.len();
    let counts = crate::check::counts(&known.labels, n_classes);
    let heaviest = weights
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count > 0)
        .fold(0.0, |most: f64, (w, _)| most.max(*w));
    if heaviest <= 0.0 {
        return Ok(None);
    }
    let wanted: Vec<f64> =
        counts.iter().zip(weights).map(|(&count, w)| count as f64 * w / heaviest).collect();
    let total: f64 = wanted.iter().sum();
    let scale = (options.most_left as f64 / total).min(1.0);
    let mut left: Vec<usize> = wanted.iter().map(|w| (w * scale).round() as usize).collect();
    let mut drawn = Vec::new();
    for i in permutation(known.labels.len(), seed, "residual", 0) {
        let left = &mut left[known.labels[i] as usize];
        if *left > 0 {
            *left -= 1;
            drawn.push(i);
        }
    }
    let order = permutation(target.n(), seed, "residual", 1);
    let of_target = &order[..target.n().min(options.most_left)];
    if drawn.len() < FEWEST || of_target.len() < FEWEST {
        return Ok(None);
    }
    let source = Matrix::gather(known.rows.rows(), &drawn);
    let target = Matrix::gather(target, of_target);
    let few = distances::Options { resamples: 0, ..options.distances };
    let pair = Pair::new(source.rows(), target.rows(), few)?;
    let tests = distances::all().iter().filter(|d| d.is_test);
    let measures = tests.map(|d| d.of(&pair)).collect::<Result<Vec<_>>>()?;
    Ok(combined(&measures))
}
