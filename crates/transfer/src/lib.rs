//! Runs: a plan goes in, a folder with a trained, calibrated and evaluated classifier comes out.
//!
//! Every function takes a plan from [`plan`], reports to an [`Observer`] and returns a document
//! from [`documents`]. Errors know their exit code ([`TransferError::exit_code`]).

#[cfg(test)]
extern crate self as offshoot_transfer;

pub mod adapt;
pub mod align;
pub mod cache;
mod card;
mod check;
mod demo;
mod digest;
mod doctor;
pub mod documents;
pub mod durable;
pub mod encoder;
mod engine;
mod error;
mod estimate;
mod evaluate;
mod explain;
mod export;
mod extract;
mod figures;
mod fit;
pub mod guard;
mod head;
mod inputs;
mod layers;
mod machine;
/// What whole trainings are tested on, here and in `tests/runs`, which use all of it.
#[cfg(test)]
#[allow(dead_code, clippy::unwrap_used, reason = "a test may panic, and uses a part")]
#[path = "../tests/runs/data.rs"]
mod made_data;
mod monitor;
mod observe;
mod pictures;
pub mod plan;
pub mod precision;
mod predict;
mod prepare;
pub mod rank;
pub mod regularize;
pub mod report;
pub mod run;
pub mod runs;
pub mod shift;
mod show;
pub mod source;
pub mod source_free;
pub mod store;
mod table;
mod texts;
mod train;
mod trained;
pub mod transfer_report;
mod trust;
mod watch;

pub use check::check;
pub use demo::demo;
pub use digest::Sha;
pub use doctor::doctor;
pub use documents::{
    Baseline, CheckReport, DataProblem, DoctorReport, DryRun, Estimate, ExplainReport, Explanation,
    ExtractReport, Figures, PhaseEstimate, PredictReport, Prediction, TrainReport, TuningEstimate,
};
pub use error::{Measured, TransferError};
pub use estimate::dry_run;
pub use evaluate::evaluate;
pub use explain::page::{loudest, write_explanation_page};
pub use explain::shades::{STEPS, Shade, shades};
pub use explain::{ExplainPlan, explain};
pub use export::{ExportPlan, ExportReport, Form, export, verify};
pub use extract::extract_command as extract;
pub use fit::distill::Distill;
pub use fit::mlm::AdaptMlm;
pub use fit::{Finetune, strategy};
pub use guard::Guard;
pub use inputs::{Inputs, Ready};
pub use observe::{Event, Flow, Observer, Phase};
pub use plan::{
    CachePlan, CheckPlan, DemoPlan, EvalPlan, ExtractPlan, FeatureFormat, Method, PredictPlan,
    TrainPlan,
};
pub use precision::Precision;
pub use predict::{PredictInput, predict};
pub use rank::{RankPlan, RankReport, rank};
pub use show::redraw;
pub use train::sources::document::SourceReport;
pub use train::train;
pub use transfer_report::{transfer_report, transfer_report_dry_run};
pub use trust::document::{AlarmFigures, ClassCoverage, SetFigures};
pub use trust::{HeldOut, PROMISED};

pub use offshoot_data::ColumnNames;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, TransferError>;
