//! How far apart the sides are for the model.

use super::{Evidence, Validator};
use crate::distances::{self, Options, Pair};
use crate::{Matrix, Result, Rows, StatsError};

pub(super) const VALIDATOR: Validator = Validator {
    name: "distance",
    summary: "how close both sides are as the model sees them, whatever it answers",
    paper: "Székely & Rizzo 2013, energy distance; Ben-David et al. 2010 for why it bounds the error on the target",
    score,
};

/// Rows of each side, at most: the distance takes all pairs.
const MOST_ROWS: usize = 2000;

/// Minus the energy distance of held-out source rows and target rows.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    if evidence.source_rows().n() < 2 || evidence.target_rows().n() < 2 {
        return Ok(0.0);
    }
    let energy = distances::find("energy")
        .ok_or_else(|| StatsError::Unusable("no distance `energy`".into()))?;
    let options = Options { permutations: 0, resamples: 0, seed: evidence.seed() };
    let drawn = |rows: Rows<'_>, side: u64| {
        let places = offshoot_random::some(rows.n(), MOST_ROWS, evidence.seed(), "distance", side);
        Matrix::gather(rows, &places)
    };
    let (source, target) = (drawn(evidence.source_rows(), 0), drawn(evidence.target_rows(), 1));
    let pair = Pair::new(source.rows(), target.rows(), options)?;
    Ok(-energy.of(&pair)?.value)
}
