//! The `guard` object of `train --json`, `run.json` and `eval/metrics.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the guard measured, chose and found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardReport {
    /// `on` or `full`.
    pub mode: String,
    /// Of `nt_gap`: `helps`, `hurts`, `unclear`; `unmeasured` where nothing could be fitted without the
    /// source.
    pub verdict: String,
    /// The candidate that is shipped, by its name.
    pub shipped: String,
    /// Whether that is one without the source, though the source was asked for.
    pub fell_back: bool,
    /// Why it was chosen, in words.
    pub reason: String,
    /// The best candidate without the source, as held-out training and validation samples have it.
    pub without: Option<String>,
    /// Test error with the source minus test error of `without`: above 0 the source hurts.
    pub nt_gap: Option<Gap>,
    /// The same within each class.
    pub by_class: Vec<ClassGap>,
    /// Of several sources: test error of all of them minus that without this one, each with the weight 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_source: Vec<SourceGap>,
    /// Test error of what was asked for minus that of each other candidate, by its name.
    pub gaps: BTreeMap<String, Gap>,
    /// The same of what is shipped: an interval above 0 would mean that something better was at hand.
    pub shipped_gaps: BTreeMap<String, Gap>,
    /// Everything that might have been shipped; what was asked for comes first.
    pub candidates: Vec<CandidateReport>,
    /// What watching validation came to, where a network learnt.
    pub watch: Option<Watched>,
    /// Wall time of everything that only the guard asked for: features, heads, their figures, and the gaps.
    pub seconds: f64,
    /// The same over the time of everything else until the verdict: data, features, head, training, calibration
    /// and figures.
    pub overhead: f64,
}

impl GuardReport {
    /// What is shipped, in one line.
    pub fn shipped_summary(&self) -> &str {
        let shipped = self.candidates.iter().find(|c| c.name == self.shipped);
        shipped.map_or(&self.shipped, |c| &c.summary)
    }
}

/// A difference of test errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Between 1 and −1.
    pub value: f64,
    /// 95 % interval by paired bootstrap.
    pub ci: [f64; 2],
    /// Of the exact two-sided sign test.
    pub p: f64,
    /// Test samples.
    pub n: usize,
}

/// The gap within a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassGap {
    /// Its name.
    pub class: String,
    /// On its test samples.
    #[serde(flatten)]
    pub gap: Gap,
    /// `p`, held against as many classes as there are.
    pub adjusted_p: f64,
}

/// The gap of one of several sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceGap {
    /// As `--model` names it.
    pub source: String,
    /// Above 0 it hurts.
    #[serde(flatten)]
    pub gap: Gap,
}

/// Something that might have been shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    /// `tuned`, `probe`, `pixels`, `words`, `random` or `scratch`.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Whether it was transferred from the source.
    pub uses_source: bool,
    /// Share of held-out training and validation samples that it recognised.
    pub held_out: Option<f64>,
    /// How many those were.
    pub held_out_samples: usize,
    /// Share of test samples that it recognised.
    pub accuracy: f64,
    /// 95 % interval.
    pub accuracy_ci: [f64; 2],
    /// Wall time of what only the guard asked for.
    pub seconds: f64,
}

/// How a run was watched while a network learnt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watched {
    /// How often validation was held against the probe's.
    pub looks: u32,
    /// Epochs after which the run was stopped; `None` where it was not.
    pub stopped_after: Option<u64>,
    /// The rule.
    pub rule: String,
}
