//! Agreement of each class with itself across the sides.

use offshoot_random::permutation;
use rayon::prelude::*;

use super::{Evidence, Validator};
use crate::{Result, Rows, moments};

pub(super) const VALIDATOR: Validator = Validator {
    name: "joint",
    summary: "how alike source rows of a class and target rows with that answer are, as the model sees them",
    paper: "Long et al. 2013, Transfer feature learning with joint distribution adaptation, ICCV; Székely & Rizzo 2013 for the distance",
    score,
};

/// Rows of a class on each side, at most.
const MOST_ROWS: usize = 200;

/// `−Σ_c p_t(c) E(S_c, T_c)`: the energy distance, as a share of its largest value, between the source rows with label
/// `c` and the target rows with the answer `c`, in features of variance 1 in the source. It is 1 for a class that has
/// no held-out source rows, and never below 0.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let (source, target) = (evidence.source_rows(), evidence.target_rows());
    let answers = evidence.answers();
    let mean = moments::means(source);
    let inverse: Vec<f64> = moments::mean_squares(source, &mean)
        .iter()
        .zip(&mean)
        .map(|(var, mean)| if *var > 1e-14 * mean * mean { var.sqrt().recip() } else { 0.0 })
        .collect();
    let scaled = |rows: Rows<'_>, labels: &[u32], class: u32, side: u64| -> Vec<Vec<f64>> {
        let order = permutation(labels.len(), evidence.seed(), "joint", side);
        let own = order.into_iter().filter(|&i| labels[i] == class).take(MOST_ROWS);
        let scale = |i| rows.row(i).iter().zip(&inverse).map(|(&x, s)| f64::from(x) * s).collect();
        own.map(scale).collect()
    };
    let apart = (0..evidence.target().n_classes() as u32).map(|class| {
        let share = answers.iter().filter(|y| **y == class).count() as f64 / answers.len() as f64;
        if share == 0.0 {
            return 0.0;
        }
        let here = scaled(source, evidence.labels(), class, 0);
        if here.is_empty() {
            return share;
        }
        let there = scaled(target, &answers, class, 1);
        let across = distances(&here, &there) / (here.len() * there.len()) as f64;
        let within = |rows: &[Vec<f64>]| {
            distances(rows, rows) / (rows.len() * (rows.len() - 1)).max(1) as f64
        };
        if across > 0.0 {
            share * (1.0 - 0.5 * (within(&here) + within(&there)) / across).max(0.0)
        } else {
            0.0
        }
    });
    Ok(-apart.sum::<f64>())
}

/// Sum over all pairs.
fn distances(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let of = |x: &Vec<f64>| -> f64 {
        b.iter().map(|y| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()).sum()
    };
    let sums: Vec<f64> = a.par_iter().map(of).collect();
    sums.iter().sum()
}
