//! Which methods suit a kind of mismatch.

use crate::adapters::{self, Adapter, Family};
use crate::shift::{Action, Prescription};

/// The methods to try for a prescription, those that suit it best first; none where nothing is to be done or only
/// labels of the target can help.
///
/// Where anything differs, every family has its turn: on simulated shifts, a change of inputs was taken for one of
/// class frequencies often enough that leaving families out cost more than it saved, and what then harms is for the
/// validators to find. The order decides what is tried where time is short. Where the source has `several` domains,
/// what treats each by itself comes first: what differs from one to the next, no method that pools them can take away.
pub fn shortlist(prescription: &Prescription, several: bool) -> Vec<&'static Adapter> {
    let families: &[Family] = match prescription.action {
        Action::Nothing | Action::FineTune => &[],
        Action::AlignFeatures => {
            &[Family::Align, Family::Transport, Family::Reweight, Family::Labels]
        }
        Action::ReweightLabels | Action::CollectLabels => {
            &[Family::Labels, Family::Reweight, Family::Align, Family::Transport]
        }
    };
    let of = |family: &Family| {
        let family = *family;
        adapters::all().iter().filter(move |adapter| adapter.family == family)
    };
    let own: &[Family] = match several && !families.is_empty() {
        true => &[Family::Domains],
        false => &[],
    };
    own.iter().chain(families).flat_map(of).collect()
}
