//! The probability that a class is wrong.

use super::Score;

pub(super) const SCORE: Score = Score {
    name: "lac",
    summary: "one minus the class's probability: the smallest sets on average",
    paper: "Sadinle, Lei & Wasserman 2019, arXiv:1609.00451",
    of_row: |row, out| out.iter_mut().zip(row).for_each(|(score, p)| *score = 1.0 - p),
};
