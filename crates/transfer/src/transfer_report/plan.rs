//! What a transfer report is asked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::{CachePlan, TrainPlan};
use crate::{Result, TransferError, strategy, train};

/// The method that is no network at all: a head on raw pixels.
pub const PIXELS: &str = crate::source::PIXELS;
/// The method that takes a source's architecture and nothing else.
pub const SCRATCH: &str = "scratch";
/// Seeds beyond which a report is a mistake.
const MOST_SEEDS: usize = 100;

/// `offshoot transfer-report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferReportPlan {
    /// Data to transfer to, each as [`TrainPlan::data`].
    pub targets: Vec<PathBuf>,
    /// Sources to transfer from, each as [`TrainPlan::model`].
    pub models: Vec<String>,
    /// Entries of [`strategy::all`], and `pixels` for a head on raw pixels.
    pub methods: Vec<String>,
    /// Shares of the labels to learn from, above 0 and at most 1.
    pub shares: Vec<f64>,
    /// How often each cell is repeated, each time with other labels and other draws.
    pub seeds: usize,
    /// Seconds that all cells may take.
    pub time: Option<f64>,
    /// How each cell is trained; its data, model and method give way to those above.
    pub training: TrainPlan,
}

impl Default for TransferReportPlan {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            targets: Vec::new(),
            models: vec![crate::source::DEFAULT.into()],
            methods: words(&[SCRATCH, "probe", "lp-ft", PIXELS]),
            shares: vec![0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0],
            seeds: 3,
            time: None,
            training: TrainPlan { command: super::COMMAND.into(), ..TrainPlan::default() },
        }
    }
}

/// Whether a method learns from the target alone.
pub fn is_without_source(method: &str) -> bool {
    [SCRATCH, PIXELS].contains(&method)
}

impl TransferReportPlan {
    /// Refuses what cannot be carried out, before any work.
    pub fn check(&self) -> Result<()> {
        train::check_plan(&self.training)?;
        for method in self.methods.iter().filter(|method| *method != PIXELS) {
            strategy::find(method)?;
        }
        let some = |without: bool| self.methods.iter().any(|m| is_without_source(m) == without);
        if !(some(true) && some(false)) {
            return Err(TransferError::usage(
                format!("the methods `{}` leave nothing to compare", self.methods.join(",")),
                "name at least one of `scratch` and `pixels`, and one that transfers, such as `probe`",
            ));
        }
        let empty = [
            (self.targets.is_empty(), "data"),
            (self.models.is_empty(), "models"),
            (self.shares.is_empty(), "shares"),
        ];
        if let Some((_, what)) = empty.iter().find(|(empty, _)| *empty) {
            return Err(TransferError::usage(format!("no {what} to compare"), "name at least one"));
        }
        if let Some(share) = self.shares.iter().find(|s| !(**s > 0.0 && **s <= 1.0)) {
            return Err(TransferError::usage(
                format!("{} % of the labels cannot be learnt from", 100.0 * share),
                "shares lie above 0 % and go up to 100 %",
            ));
        }
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            return Err(TransferError::usage(
                format!("{} seeds", self.seeds),
                format!("from 1 to {MOST_SEEDS} are possible; 3 is usual"),
            ));
        }
        match self.training.finetune.watch.as_str() {
            "accuracy" => Ok(()),
            other => Err(TransferError::usage(
                format!("weights would be chosen by `{other}`"),
                "a transfer report compares accuracies; leave `--watch` out",
            )),
        }
    }

    /// What decides the cells: where they are kept, and how much time there is, does not.
    pub fn essence(&self) -> Self {
        let mut plan = Self { time: None, ..self.clone() };
        plan.training.name = None;
        plan.training.runs_dir = PathBuf::new();
        plan.training.cache = CachePlan::default();
        plan
    }

    /// The training of a cell on `data`.
    pub fn cell(
        &self,
        data: &std::path::Path,
        model: &str,
        method: &str,
        seed: u64,
    ) -> Result<TrainPlan> {
        let mut plan = TrainPlan {
            data: data.into(),
            model: model.into(),
            seed: self.training.seed.wrapping_add(seed),
            ..self.training.clone()
        };
        if method != PIXELS {
            plan.method = crate::Method::find(method)?;
        }
        plan.finetune.time = None;
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(methods: &[&str]) -> TransferReportPlan {
        TransferReportPlan {
            targets: vec!["d".into()],
            methods: methods.iter().map(ToString::to_string).collect(),
            ..TransferReportPlan::default()
        }
    }

    #[test]
    fn something_with_and_something_without_a_source_is_needed() {
        assert!(plan(&["probe", "pixels"]).check().is_ok());
        for methods in [&["probe", "lp-ft"][..], &["scratch", "pixels"], &[], &["prob", "scratch"]]
        {
            assert_eq!(plan(methods).check().unwrap_err().exit_code(), 2, "{methods:?}");
        }
    }

    #[test]
    fn shares_and_seeds_are_checked() {
        let good = || plan(&["probe", "scratch"]);
        for shares in [vec![], vec![0.0], vec![1.1], vec![f64::NAN]] {
            assert!(TransferReportPlan { shares, ..good() }.check().is_err());
        }
        for seeds in [0, 101] {
            assert!(TransferReportPlan { seeds, ..good() }.check().is_err());
        }
    }

    #[test]
    fn a_plan_comes_back_from_its_file() {
        let plan = plan(&["probe", "scratch"]);
        let text = toml::to_string_pretty(&plan).unwrap();
        assert_eq!(toml::from_str::<TransferReportPlan>(&text).unwrap(), plan);
    }
}
