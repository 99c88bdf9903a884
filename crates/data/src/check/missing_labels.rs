//! Samples without a label in a data set with labels.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "missing_labels",
    kinds: &["missing-label", "unlabelled"],
    about: "samples whose label is missing or NaN",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let samples = &view.dataset.samples;
    let missing: Vec<usize> = (0..samples.len()).filter(|&i| samples[i].label.is_none()).collect();
    if missing.len() == samples.len() {
        let detail = format!("none of the {} samples has a label", samples.len());
        return vec![problem("", "unlabelled", Severity::Note, detail)];
    }
    let report = |i| {
        let detail = "no label; the sample is not used for training".to_owned();
        view.sample(i, "missing-label", Severity::Warning, detail)
    };
    missing.into_iter().map(report).collect()
}
