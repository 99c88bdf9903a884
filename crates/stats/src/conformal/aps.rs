//! The mass of the classes that are more probable.

use super::Score;

pub(super) const SCORE: Score = Score {
    name: "aps",
    summary: "mass of the more probable classes: larger sets where the classifier hesitates",
    paper: "Romano, Sesia & Candès 2020, arXiv:2006.02544",
    of_row: mass_before,
};

/// `Σ p_z` over the classes `z` with `p_z > p_y`: the paper's score with `u = 0`, so that it needs no draw
/// and the most probable class always has 0. With `u = 1` (the mass of `y` included) the surest samples
/// would have the emptiest sets.
pub(super) fn mass_before(row: &[f64], out: &mut [f64]) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let mut mass = 0.0;
    let mut first = 0;
    while first < order.len() {
        // Equally probable classes have equal scores, in whatever order they stand.
        let p = row[order[first]];
        let ties = order[first..].iter().take_while(|&&class| row[class] == p).count();
        for &class in &order[first..first + ties] {
            out[class] = mass;
        }
        mass += p * ties as f64;
        first += ties;
    }
}
