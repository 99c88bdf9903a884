//! What sets and alarm do on labelled samples, as documents show it.

use std::collections::BTreeMap;

use offshoot_stats::conformal::Coverage;
use offshoot_stats::{Probabilities, Proportion};
use serde::{Deserialize, Serialize};

use super::{HeldOut, Trust};
use crate::Result;
use crate::report::words;

/// The class with the lowest coverage is one of those with so many samples.
const JUDGED: usize = 10;
/// Half the width of a 95 % interval, in standard errors.
const Z: f64 = 1.96;

/// What prediction sets did on labelled samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetFigures {
    /// Share of sets that should hold the right class.
    pub promised: f64,
    /// Share that did.
    pub coverage: f64,
    /// 95 % interval.
    pub coverage_ci: [f64; 2],
    /// Mean number of classes.
    pub mean_size: f64,
    /// 95 % interval.
    pub mean_size_ci: [f64; 2],
    /// Sets by their number of classes, from 1 on.
    pub sizes: Vec<usize>,
    /// Share of right ones among sets of one class; absent where there are none.
    pub single_right: Option<f64>,
    /// The class whose samples were covered least, of those with ten or more.
    pub worst_class: Option<ClassCoverage>,
    /// Entry of the registry of scores.
    pub score: String,
    /// Whether each class has its own threshold, so that the promise is one to every class.
    pub by_class: bool,
    /// Which samples calibrated.
    pub held_out: HeldOut,
    /// How many.
    pub calibration: usize,
    /// Fewest that can promise so much; with fewer, every set holds all classes.
    pub least: usize,
}

/// Coverage of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCoverage {
    /// Its name.
    pub class: String,
    /// Number of samples.
    pub n: usize,
    /// Share of sets that held it.
    pub coverage: f64,
}

/// How many samples were called unfamiliar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmFigures {
    /// Entries of the registry of detectors: the first watches for unknown classes, the other for foreign
    /// inputs.
    pub detectors: Vec<String>,
    /// Share of samples like the calibration samples that may be called unfamiliar.
    pub promised: f64,
    /// Share that was; on data of the same kind these are false alarms.
    pub share: f64,
    /// 95 % interval.
    pub share_ci: [f64; 2],
    /// How many samples calibrated.
    pub calibration: usize,
    /// AUROC of each detector for classes that it did not know: why this one was taken.
    pub leave_class_out: BTreeMap<String, f64>,
}

impl AlarmFigures {
    /// Whether more samples than promised are called unfamiliar, beyond chance.
    pub fn is_broken(&self) -> bool {
        self.calibration > 0 && self.share_ci[0] > self.promised
    }
}

impl Trust {
    /// What the sets do on labelled samples; `probabilities` are those before the temperature.
    pub fn sets_on(
        &self,
        probabilities: &Probabilities,
        labels: &[u32],
        classes: &[String],
        promised: f64,
    ) -> Result<Option<SetFigures>> {
        let (Some(sets), Some(thresholds)) = (&self.sets, self.thresholds(promised)) else {
            return Ok(None);
        };
        let held: Vec<Vec<u32>> =
            probabilities.rows().map(|row| sets.set(row, &thresholds)).collect();
        let coverage = Coverage::of(&held, labels, classes.len())?;
        let (mean, error) = coverage.mean_size();
        let Proportion { share, ci } = coverage.share();
        let single = coverage.sizes.get(1).copied().unwrap_or(0);
        let worst = coverage.worst_class(JUDGED).map(|c| ClassCoverage {
            class: classes.get(c).cloned().unwrap_or_default(),
            n: coverage.by_class[c].0,
            coverage: coverage.by_class[c].1 as f64 / coverage.by_class[c].0 as f64,
        });
        Ok(Some(SetFigures {
            promised,
            coverage: share,
            coverage_ci: ci,
            mean_size: mean,
            mean_size_ci: [
                (mean - Z * error).max(1.0),
                (mean + Z * error).min(classes.len() as f64),
            ],
            single_right: (single > 0).then(|| coverage.single_right as f64 / single as f64),
            sizes: coverage.sizes.get(1..).unwrap_or_default().to_vec(),
            worst_class: worst,
            score: sets.score().into(),
            by_class: sets.by_class(),
            held_out: self.held_out,
            calibration: sets.n(),
            least: self.held_out.least(promised),
        }))
    }

    /// How many of these samples are unfamiliar, from their distances over the threshold.
    pub fn alarms_on(&self, distances: &[f64]) -> AlarmFigures {
        let unfamiliar = distances.iter().filter(|&&d| d > 1.0).count();
        let Proportion { share, ci } = Proportion::of(unfamiliar, distances.len());
        AlarmFigures {
            detectors: self.familiarity.detectors(),
            promised: self.familiarity.rate(),
            share,
            share_ci: ci,
            calibration: self.familiarity.n(),
            leave_class_out: self.familiarity.leave_class_out.clone(),
        }
    }
}

impl SetFigures {
    /// Whether there were too few calibration samples for this promise.
    pub fn is_empty_promise(&self) -> bool {
        self.calibration < self.least
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        let promised = words::whole_percent(self.promised);
        if self.is_empty_promise() {
            return format!(
                "{} cannot promise {promised}: {} are needed, so every set holds all classes.",
                words::counted(self.calibration, "calibration sample", "calibration samples"),
                self.least
            );
        }
        format!(
            "Sets that promise {promised} held the right class in {} ({}), with {:.2} classes on average.",
            words::percent(self.coverage),
            words::percent_range(self.coverage_ci),
            self.mean_size
        )
    }

    /// How often a set of one class was right; empty where there was none.
    pub fn single_sentence(&self) -> String {
        self.single_right.map_or_else(String::new, |right| {
            format!("Of the sets with one class, {} were right.", words::percent(right))
        })
    }
}

impl AlarmFigures {
    /// Why this detector was taken; empty where there was no choice.
    pub fn reason(&self) -> String {
        if self.leave_class_out.len() < 2 {
            return String::new();
        }
        let areas = self.leave_class_out.iter();
        let areas: Vec<String> =
            areas.map(|(name, area)| format!("{name} {}", words::decimal(*area))).collect();
        let [first, rest @ ..] = self.detectors.as_slice() else { return String::new() };
        let mut said = format!(
            "Unknown classes: {first}, which knew best the samples of a class that was left out (area under \
             the curve: {}).",
            areas.join(", ")
        );
        if let [foreign, ..] = rest {
            said.push_str(&format!(" Foreign inputs: {foreign}."));
        }
        said
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        if self.calibration == 0 {
            return "Nothing was held out, so nothing is called unfamiliar.".into();
        }
        format!(
            "{} ({}) are called unfamiliar; of samples like those of training, it should be at most {}.",
            words::percent(self.share),
            words::percent_range(self.share_ci),
            words::percent(self.promised)
        )
    }
}
