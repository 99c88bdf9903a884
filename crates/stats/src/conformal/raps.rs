//! The mass of the classes that are more probable, and a penalty for each of them.

use super::{Score, aps};

pub(super) const SCORE: Score = Score {
    name: "raps",
    summary: "as aps, with a penalty a class that keeps long tails out",
    paper: "Angelopoulos, Bates, Malik & Jordan 2021, arXiv:2009.14193",
    of_row: regularised,
};

/// The paper's λ.
const PENALTY: f64 = 0.1;
/// The paper's k: so many classes cost nothing.
const FREE: usize = 1;

/// `Σ_{z: p_z > p_y} p_z + λ (rank(y) − k)₊`, the most probable class having rank 1.
fn regularised(row: &[f64], out: &mut [f64]) {
    aps::mass_before(row, out);
    for (score, p) in out.iter_mut().zip(row) {
        let rank = 1 + row.iter().filter(|q| *q > p).count();
        *score += PENALTY * rank.saturating_sub(FREE) as f64;
    }
}
