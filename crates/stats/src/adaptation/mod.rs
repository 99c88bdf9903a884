//! Which adaptation to ship, decided without labels of the target, and whether any.
//!
//! Three gates stand before an adaptation. Where no mismatch is found, nothing is tried, and its kind says what is
//! tried first ([`shortlist`]). What has collapsed is out ([`vetoes`]). Of the rest, [`choose`] takes the one whose
//! answers are most probable, and lose least of the source, if it leads the source's head as it is. [`auto`] does all of it on
//! matrices; [`choose`] alone serves any model, a tuned network too.

mod auto;
mod choice;
mod partial;
mod rehearsal;
mod shortlist;
mod tried;
mod unknown;
mod veto;

pub use auto::{Auto, AutoOptions, MOST_CHANGED, auto, changed};
pub use choice::{Candidate, Choice, ENSEMBLE, Judged, choose};
pub use partial::{class_weights, thinned};
pub use rehearsal::{Rehearsal, rehearse};
pub use shortlist::shortlist;
pub use tried::Tried;
pub use unknown::{OpenSet, Unknown, unsureness};
pub use veto::{Veto, VetoKind, vetoes};
