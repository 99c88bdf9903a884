//! Figures on labelled samples.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_data::{Dataset, Sample};
use offshoot_stats::{Probabilities, calibrate};

use crate::documents::{Figures, TrainReport};
use crate::extract::Extraction;
use crate::guard::Guard;
use crate::trained::Trained;
use crate::trust::PROMISED;
use crate::trust::document::{AlarmFigures, SetFigures};
use crate::{Result, TransferError, error, figures};

/// Highest-is-best metrics first, then lowest-is-best.
const HIGHER: [&str; 2] = ["accuracy", "macro_f1"];
const LOWER: [&str; 2] = ["log_loss", "ece"];

/// The test split, closed until everything has been chosen. Opening it takes it apart, so it can be
/// opened once.
#[derive(Debug)]
pub struct SealedTest(Vec<usize>);

impl SealedTest {
    /// Closes the test split.
    pub fn new(samples: Vec<usize>) -> Self {
        Self(samples)
    }

    /// The samples, for the one evaluation.
    pub fn open(self) -> Vec<usize> {
        self.0
    }
}

/// What a classifier said to labelled samples.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Indices into the data set.
    pub samples: Vec<usize>,
    /// Right answers.
    pub labels: Vec<u32>,
    /// Calibrated, one row a sample.
    pub probabilities: Probabilities,
    /// Before the temperature.
    pub uncalibrated: Probabilities,
    /// Distance over the threshold for unfamiliar; 0 where there is none.
    pub distances: Vec<f64>,
    /// What prediction sets did, where there are any.
    pub sets: Option<SetFigures>,
    /// How many were unfamiliar.
    pub alarms: Option<AlarmFigures>,
    /// Metrics.
    pub figures: Figures,
}

/// Evaluates on these samples.
pub fn evaluate(
    trained: &Trained,
    dataset: &Dataset,
    extraction: &Extraction,
    samples: Vec<usize>,
    seed: u64,
) -> Result<Evaluated> {
    if samples.is_empty() {
        return Err(TransferError::BadData(format!(
            "{}: no labelled sample that can be read is left to evaluate on",
            dataset.name
        )));
    }
    let labels: Vec<u32> = samples.iter().filter_map(|&i| dataset.samples[i].label).collect();
    let rows = extraction.gather(&samples)?;
    let uncalibrated = trained.head.predict(rows.rows())?;
    let probabilities = calibrate::soften(&uncalibrated, trained.temperature);
    let (distances, sets, alarms) = match &trained.trust {
        Some(trust) => {
            let distances = trust.familiarity.distances(rows.rows(), &trained.head)?;
            let sets = trust.sets_on(&uncalibrated, &labels, &trained.classes, PROMISED)?;
            let alarms = trust.alarms_on(&distances);
            (distances, sets, Some(alarms))
        }
        None => (vec![0.0; samples.len()], None, None),
    };
    let figures = figures::figures(&probabilities, &labels, seed)?;
    Ok(Evaluated { samples, labels, probabilities, uncalibrated, distances, sets, alarms, figures })
}

/// Samples whose label names a class that is not among `classes`. Where no name is among them, the labels are of another
/// scheme and say nothing.
pub fn foreign(dataset: &Dataset, classes: &[String]) -> BTreeSet<usize> {
    let known: Vec<bool> = dataset.classes.iter().map(|name| classes.contains(name)).collect();
    if !known.contains(&true) {
        return BTreeSet::new();
    }
    let is_foreign = |s: &Sample| s.label.is_some_and(|y| known.get(y as usize) == Some(&false));
    let samples = dataset.samples.iter().enumerate();
    samples.filter(|(_, s)| is_foreign(s)).map(|(i, _)| i).collect()
}

/// Gives the samples the labels of `classes`, by name. Samples of other classes lose theirs.
pub fn relabel(dataset: &mut Dataset, classes: &[String]) -> Result<()> {
    let known: Vec<Option<u32>> = dataset
        .classes
        .iter()
        .map(|name| classes.iter().position(|c| c == name).map(|i| i as u32))
        .collect();
    if known.iter().all(Option::is_none) {
        return Err(TransferError::BadData(format!(
            "{}: its classes ({}) have nothing in common with the trained ones ({})",
            dataset.name,
            shown(&dataset.classes),
            shown(classes)
        )));
    }
    for sample in &mut dataset.samples {
        sample.label = sample.label.and_then(|l| known.get(l as usize).copied().flatten());
    }
    dataset.classes = classes.to_vec();
    Ok(())
}

fn shown(classes: &[String]) -> String {
    let first: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
    let rest = if classes.len() > 5 { ", …" } else { "" };
    format!("{}{rest}", first.join(", "))
}

/// Of [`crate::plan::TrainPlan::require`]: the guard found no harm.
pub const NO_HARM: &str = "no-harm";

/// Refuses unknown metric names, and [`NO_HARM`] where no guard looks.
pub fn check_required(require: &BTreeMap<String, f64>, guard: Guard) -> Result<()> {
    if require.contains_key(NO_HARM) && guard == Guard::Off {
        return Err(TransferError::usage(
            format!("`{NO_HARM}` is for runs that a guard watches"),
            "`offshoot train` without `--guard off` has one",
        ));
    }
    let known = |k: &&String| [&HIGHER[..], &LOWER, &[NO_HARM]].concat().contains(&k.as_str());
    match require.keys().find(|k| !known(k)) {
        None => Ok(()),
        Some(name) => Err(TransferError::usage(
            format!("unknown metric `{name}`"),
            format!("there are {}, and {NO_HARM}", [HIGHER, LOWER].concat().join(", ")),
        )),
    }
}

/// Fails where a figure is worse than required.
pub fn require(require: &BTreeMap<String, f64>, report: &TrainReport) -> Result<()> {
    let harm = report.guard.as_ref().filter(|guard| guard.fell_back || guard.verdict == "hurts");
    if let Some(guard) = harm.filter(|_| require.contains_key(NO_HARM)) {
        return Err(TransferError::GateFailed {
            metric: format!("{NO_HARM}: a negative-transfer gap of at most"),
            required: 0.0,
            reached: guard.nt_gap.map_or(f64::NAN, |gap| gap.value),
            report: Box::new(error::Measured::Train(report.clone())),
        });
    }
    for (metric, &required) in require {
        let Some(reached) = report.figures.get(metric) else { continue };
        let good = if LOWER.contains(&metric.as_str()) {
            reached <= required
        } else {
            reached >= required
        };
        if !good {
            return Err(TransferError::GateFailed {
                metric: metric.clone(),
                required,
                reached,
                report: Box::new(error::Measured::Train(report.clone())),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_names() {
        let sample = |label| Sample {
            id: String::new(),
            input: offshoot_data::Input::Vector(vec![].into()),
            label: Some(label),
            split: None,
            domain: None,
            group: None,
        };
        let names = |n: &[&str]| n.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let mut data = Dataset {
            name: "d".into(),
            classes: names(&["ant", "cat", "dog"]),
            samples: (0..3).map(sample).collect(),
            notes: Vec::new(),
        };
        assert!(relabel(&mut data.clone(), &names(&["x", "y"])).is_err());
        relabel(&mut data, &names(&["cat", "dog", "eel"])).unwrap();
        let labels: Vec<_> = data.samples.iter().map(|s| s.label).collect();
        assert_eq!(labels, [None, Some(0), Some(1)]);
    }
}
