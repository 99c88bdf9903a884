//! Trust as files: words and numbers in `config.json`, arrays in `model.safetensors`.

use std::collections::BTreeMap;

use offshoot_nn::{Array, Params};
use offshoot_stats::conformal::{self, Sets};
use offshoot_stats::ood::{Alarm, Detector, Diagonal, Mahalanobis};
use serde::{Deserialize, Serialize};

use super::{Familiarity, HeldOut, Trust};

/// Arrays of a detector are called `familiarity.DETECTOR.NAME`.
const FAMILIARITY: &str = "familiarity";
const SCORES: &str = "sets.scores";

/// The part of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    held_out: HeldOut,
    /// Entry of the registry of scores; absent without sets.
    score: Option<String>,
    /// Scores of right classes in `sets.scores`: of all, or class by class where each has its own threshold.
    calibration: Vec<usize>,
    detectors: Vec<StoredDetector>,
    leave_class_out: BTreeMap<String, f64>,
}

/// A detector and its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredDetector {
    /// Entry of the registry of detectors.
    name: String,
    /// Classes that it knows.
    known: Vec<u32>,
    /// `null` where nothing was held out.
    threshold: Option<f64>,
    false_alarms: f64,
    calibration: usize,
}

impl Trust {
    /// What goes into `config.json`, and arrays of features of length `dim`.
    pub fn store(&self, dim: usize) -> (Stored, Params) {
        let mut params = Params::new();
        let mut put = |name: &str, width: usize, data: Vec<f32>| {
            let rows = data.len().checked_div(width);
            let shape = rows.map_or_else(|| vec![data.len()], |rows| vec![rows, width]);
            params.insert(name.into(), Array { shape, data: data.into() });
        };
        let Familiarity { watchers, leave_class_out } = &self.familiarity;
        let mut detectors = Vec::new();
        for (detector, alarm) in watchers {
            let name = detector.name();
            let mut put = |array: &str, width: usize, data: &[f32]| {
                put(&format!("{FAMILIARITY}.{name}.{array}"), width, data.to_vec());
            };
            let known = match detector {
                Detector::Energy => Vec::new(),
                Detector::Mahalanobis(m) => {
                    put("means", dim, &m.means);
                    put("directions", dim, &m.directions);
                    put("precision", 0, &m.precision);
                    m.known.clone()
                }
                Detector::Diagonal(m) => {
                    put("means", dim, &m.means);
                    put("scale", 0, &m.scale);
                    m.known.clone()
                }
            };
            detectors.push(StoredDetector {
                name: name.into(),
                known,
                threshold: alarm.threshold.is_finite().then_some(alarm.threshold),
                false_alarms: alarm.rate,
                calibration: alarm.n,
            });
        }
        let groups = self.sets.as_ref().map(Sets::calibration).unwrap_or_default();
        if !groups.is_empty() {
            put(SCORES, 0, groups.iter().flatten().map(|&score| score as f32).collect());
        }
        let stored = Stored {
            held_out: self.held_out,
            score: self.sets.as_ref().map(|sets| sets.score().into()),
            calibration: groups.iter().map(Vec::len).collect(),
            detectors,
            leave_class_out: leave_class_out.clone(),
        };
        (stored, params)
    }
}

impl Stored {
    /// Reads it back; `take` gives the data of an array. `None` where something does not fit.
    pub fn open(
        self,
        dim: usize,
        classes: usize,
        mut take: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Option<Trust> {
        let mut watchers = Vec::new();
        for stored in &self.detectors {
            let mut take = |array: &str| take(&format!("{FAMILIARITY}.{}.{array}", stored.name));
            let known = stored.known.clone();
            let wanted = known.len().checked_mul(dim)?;
            let detector = match stored.name.as_str() {
                "energy" => Detector::Energy,
                "mahalanobis" => {
                    let [means, directions, precision] =
                        [take("means")?, take("directions")?, take("precision")?];
                    let k = precision.len().checked_sub(1)?;
                    if means.len() != wanted || directions.len() != k.checked_mul(dim)? {
                        return None;
                    }
                    Detector::Mahalanobis(Mahalanobis { known, means, directions, precision })
                }
                "diagonal" => {
                    let [means, scale] = [take("means")?, take("scale")?];
                    if means.len() != wanted || scale.len() != dim {
                        return None;
                    }
                    Detector::Diagonal(Diagonal { known, means, scale })
                }
                _ => return None,
            };
            let threshold = stored.threshold.unwrap_or(f64::INFINITY);
            let alarm = Alarm { threshold, rate: stored.false_alarms, n: stored.calibration };
            watchers.push((detector, alarm));
        }
        let sets = match self.score.as_deref() {
            None => None,
            Some(name) => {
                let score = conformal::find(name)?;
                let scores: Vec<f64> = take(SCORES)?.into_iter().map(f64::from).collect();
                let by_class = self.calibration.len() > 1;
                if self.calibration.iter().sum::<usize>() != scores.len()
                    || by_class && self.calibration.len() != classes
                {
                    return None;
                }
                let counts = self.calibration.iter().enumerate();
                let labels: Vec<u32> =
                    counts.flat_map(|(class, &n)| std::iter::repeat_n(class as u32, n)).collect();
                Some(Sets::from_scores(score, &scores, &labels, classes, by_class))
            }
        };
        let familiarity = Familiarity { watchers, leave_class_out: self.leave_class_out };
        Some(Trust { held_out: self.held_out, sets, familiarity })
    }

    /// Of a run that was written before there were sets: the means and deviations that it holds.
    pub fn before_sets(
        dim: usize,
        threshold: f32,
        mut take: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Option<Trust> {
        let means = take("familiarity.means")?;
        let scale = take("familiarity.scale").filter(|scale| scale.len() == dim)?;
        let known: Vec<u32> = (0..(means.len() / dim.max(1)) as u32).collect();
        let threshold = if threshold < f32::MAX { threshold.into() } else { f64::INFINITY };
        // How many samples that rested on was not written down.
        let alarm = Alarm { threshold, rate: super::FALSE_ALARMS, n: 0 };
        let detector = Detector::Diagonal(Diagonal { known, means, scale });
        let leave_class_out = BTreeMap::new();
        let familiarity = Familiarity { watchers: vec![(detector, alarm)], leave_class_out };
        Some(Trust { held_out: HeldOut::Validation, sets: None, familiarity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_survives_being_written_down() {
        let scores: Vec<f64> = (0..8).map(|i| f64::from(i as f32 / 8.0)).collect();
        let labels = [0, 1, 0, 1, 0, 1, 0, 1];
        let lac = conformal::find("lac").unwrap();
        let known = vec![0, 1];
        let means = vec![1.0; 6];
        for detector in [
            Detector::Energy,
            Detector::Diagonal(Diagonal {
                known: known.clone(),
                means: means.clone(),
                scale: vec![2.0; 3],
            }),
            Detector::Mahalanobis(Mahalanobis {
                known,
                means,
                directions: vec![1.0, 0.0, 0.0],
                precision: vec![0.5, 3.0],
            }),
        ] {
            for by_class in [false, true] {
                let trust = Trust {
                    held_out: HeldOut::Folds,
                    sets: Some(Sets::from_scores(lac, &scores, &labels, 2, by_class)),
                    familiarity: Familiarity {
                        watchers: vec![
                            (detector.clone(), Alarm { threshold: 1.25, rate: 0.01, n: 8 }),
                            (Detector::Energy, Alarm { threshold: f64::INFINITY, rate: 0.0, n: 0 }),
                        ],
                        leave_class_out: BTreeMap::from([("energy".into(), 0.75)]),
                    },
                };
                let (stored, mut params) = trust.store(3);
                let text = serde_json::to_string(&stored).unwrap();
                let stored: Stored = serde_json::from_str(&text).unwrap();
                let broken = stored.clone().open(3, 2, |_| Some(vec![0.0]));
                assert!(broken.is_none_or(|b| b.sets.is_none()), "arrays of another length");
                let back = stored.open(3, 2, |name| params.remove(name).map(|a| a.data.into_vec()));
                assert_eq!(back, Some(trust));
            }
        }
    }
}
