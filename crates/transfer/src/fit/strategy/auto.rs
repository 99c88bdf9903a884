//! Auto: a stated rule from the number of labels.
//!
//! Fewer than 5 samples a class: the probe, since nothing can be chosen on so few. Fewer than 20: the
//! last two stages. Otherwise LP-FT.

use super::{Facts, Schedule, Strategy, find, no};
use crate::Result;

const PROBE_BELOW: usize = 5;
const LAST_BELOW: usize = 20;

/// The rule of this file.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "auto",
    summary: "probe below 5 samples a class, last-k below 20, else lp-ft",
    paper: "Kumar et al. 2022, arXiv:2202.10054",
    wants_sensitivity: no,
    plan,
};

fn plan(facts: &Facts<'_>) -> Result<Schedule> {
    let each = facts.samples / facts.classes.max(1);
    let name = match each {
        n if n < PROBE_BELOW => "probe",
        n if n < LAST_BELOW => "last-k",
        _ => "lp-ft",
    };
    let schedule = (find(name)?.plan)(facts)?;
    let reason = format!("{each} training samples a class: {name}");
    Ok(Schedule { reason: Some(reason), ..schedule })
}
