//! How little evidence there is for any class.

use super::{Detector, Entry};

pub(super) const ENTRY: Entry = Entry {
    name: "energy",
    summary: "minus the log of the summed evidence of a linear head",
    paper: "Liu, Wang, Owens & Li 2020, arXiv:2010.03759",
    fit: |seen, _, _| Ok(seen.logits.map(|_| Detector::Energy)),
};

/// `−ln Σ_c exp(logit_c)`, from minus the logits.
pub(super) fn free_energy(towards: impl Iterator<Item = f64> + Clone) -> f64 {
    let least = towards.clone().fold(f64::INFINITY, f64::min);
    if !least.is_finite() {
        return least;
    }
    least - towards.map(|t| (least - t).exp()).sum::<f64>().ln()
}
