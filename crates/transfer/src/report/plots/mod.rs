//! The drawings, one file each.

mod accuracy;
mod confusion;
pub mod feature_map;
mod guard;
mod learning;
mod lengths;
mod reliability;
mod sets;
mod strange;
mod timing;

pub use confusion::wrong_pairs;

use super::data::ReportData;
use super::svg::Drawing;

/// All drawings that the data allows.
#[derive(Debug, Clone)]
pub struct Plots {
    /// Accuracies side by side.
    pub accuracy: Drawing,
    /// Whether the source helps or hurts.
    pub guard: Option<Drawing>,
    /// Who is taken for whom.
    pub confusion: Option<Drawing>,
    /// Confidence against truth.
    pub reliability: Option<Drawing>,
    /// How many classes a prediction set holds.
    pub sets: Option<Drawing>,
    /// How strange test samples are.
    pub strange: Option<Drawing>,
    /// Samples in the plane.
    pub feature_map: Option<Drawing>,
    /// How training went.
    pub learning: Option<Drawing>,
    /// The sweep over learning rates.
    pub finder: Option<Drawing>,
    /// How long texts are.
    pub lengths: Option<Drawing>,
    /// Where the time went.
    pub timing: Option<Drawing>,
}

impl Plots {
    /// Draws everything.
    pub fn of(report: &ReportData) -> Self {
        Self {
            accuracy: accuracy::draw(report),
            guard: guard::draw(report),
            confusion: confusion::draw(&report.per_class, &report.confusion),
            reliability: report.calibration.as_ref().and_then(reliability::draw),
            sets: report.trust.as_ref().and_then(|t| t.sets.as_ref()).and_then(sets::draw),
            strange: report.trust.as_ref().and_then(strange::draw),
            feature_map: report.map.as_ref().and_then(|m| feature_map::draw(m, &report.per_class)),
            learning: report.training.as_ref().and_then(learning::draw),
            finder: report.training.as_ref().and_then(learning::draw_finder),
            lengths: report.lengths.as_ref().and_then(lengths::draw),
            timing: timing::draw(&report.phases),
        }
    }

    /// Those that there are.
    pub fn all(&self) -> impl Iterator<Item = &Drawing> {
        let Self {
            accuracy,
            guard,
            confusion,
            reliability,
            sets,
            strange,
            feature_map,
            learning,
            finder,
            lengths,
            timing,
        } = self;
        let optional = [
            guard,
            confusion,
            reliability,
            sets,
            strange,
            feature_map,
            learning,
            finder,
            lengths,
            timing,
        ];
        std::iter::once(accuracy).chain(optional.into_iter().flatten())
    }
}
