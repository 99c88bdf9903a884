//! Runs: a plan goes in, a folder with a trained, calibrated and evaluated classifier comes out.
//!
//! Every function takes a plan from [`plan`], reports to an [`Observer`] and returns a document
//! from [`documents`]. Errors know their exit code ([`TransferError::exit_code`]).

pub mod cache;
mod digest;
pub mod documents;
mod durable;
mod error;
mod observe;
pub mod plan;
mod predict;
pub mod run;
pub mod runs;
pub mod source;

pub use digest::Sha;
pub use documents::{
    Baseline, CheckReport, DataProblem, DoctorReport, DryRun, Estimate, ExtractReport, Figures,
    PredictReport, Prediction, TrainReport,
};
pub use error::TransferError;
pub use observe::{Event, Flow, Observer, Phase};
pub use plan::{
    CachePlan, CheckPlan, DemoPlan, EvalPlan, ExtractPlan, FeatureFormat, Method, PredictPlan,
    TrainPlan,
};
pub use predict::{PredictInput, predict};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, TransferError>;

/// The data doctor: every fault of the data, named by file.
pub fn check(plan: &CheckPlan, observer: &mut dyn Observer) -> Result<CheckReport> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// Features of every readable sample, into the cache and a file.
pub fn extract(plan: &ExtractPlan, observer: &mut dyn Observer) -> Result<ExtractReport> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// Trains, calibrates and evaluates a head on frozen features; leaves a run folder.
pub fn train(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// What [`train`] would do and take, measured on one batch; leaves nothing behind.
pub fn dry_run(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<DryRun> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// A trained run on labelled data.
pub fn evaluate(plan: &EvalPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// The whole story on embedded weights and data.
pub fn demo(plan: &DemoPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let _ = (plan, observer);
    Err(TransferError::Internal("not there yet".into()))
}

/// Facts about this machine that decide speed and what fits.
pub fn doctor(cache: &CachePlan) -> Result<DoctorReport> {
    let _ = cache;
    Err(TransferError::Internal("not there yet".into()))
}
