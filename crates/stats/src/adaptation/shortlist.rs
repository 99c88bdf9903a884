//! Which methods suit a kind of mismatch.

use crate::adapters::{self, Adapter, Family};
use crate::shift::{Action, Prescription};

/// The methods worth trying for a prescription, in the order in which to try them; none where nothing is to be done or
/// only labels of the target can help.
///
/// Where classes are more or less frequent and look as they did, only the corrections of class frequencies are
/// tried: alignment would give the source's classes the target's frequencies by moving features, and takes rows of
/// one class for another.
pub fn shortlist(prescription: &Prescription) -> Vec<&'static Adapter> {
    let families: &[Family] = match prescription.action {
        Action::Nothing | Action::FineTune => &[],
        Action::AlignFeatures => &[Family::Align, Family::Transport, Family::Reweight],
        Action::ReweightLabels if prescription.then.contains(&Action::AlignFeatures) => {
            &[Family::Labels, Family::Align, Family::Transport, Family::Reweight]
        }
        Action::ReweightLabels | Action::CollectLabels => &[Family::Labels],
    };
    let of = |family: &Family| {
        let family = *family;
        adapters::all().iter().filter(move |adapter| adapter.family == family)
    };
    families.iter().flat_map(of).collect()
}
