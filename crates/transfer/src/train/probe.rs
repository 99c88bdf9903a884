//! The head on frozen features.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use offshoot_data::Split;
use offshoot_stats::heads::{Head, Limit};

use super::evaluate::{self, Evaluated, SealedTest};
use crate::extract::Extraction;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::trained::{Familiarity, Trained};
use crate::watch::Watch;
use crate::{Phase, Result, head};

/// A fitted and calibrated head, and how it came about.
#[derive(Debug)]
pub struct Probe {
    /// The classifier that is exported.
    pub trained: Trained,
    /// Chosen by cross-validation, where the head has one.
    pub lambda: Option<f64>,
    /// Which samples the exported head was fitted on, in words.
    pub fitted_on: String,
    /// What the head tells about its own fit, one line each, for `metrics.jsonl`.
    pub history: Vec<serde_json::Value>,
    /// The head as it was fitted on the training split alone: what tuning begins with, so that
    /// validation still judges what it has not seen.
    pub on_train: Head,
    /// What fitting it took.
    pub seconds: f64,
    test: Option<SealedTest>,
}

/// Share of a limited time that the first of two fits may take, cross-validation included.
const FIRST: f64 = 0.6;

/// A head that was tuned together with its network.
pub struct Own {
    pub head: Head,
    /// From validation samples that had no part in training.
    pub temperature: Option<f64>,
    /// Whether validation took part in the end.
    pub refitted: bool,
}

/// The moment at which `share` of the time until `until` has gone by.
fn part(until: Instant, share: f64) -> Instant {
    let now = Instant::now();
    now + Duration::from_secs_f64(share * until.saturating_duration_since(now).as_secs_f64())
}

/// Refuses a head that does not exist.
pub fn check_head(name: &str) -> Result<()> {
    head::check_name(name)
}

impl Probe {
    /// Fits on train, calibrates on validation, fits again on both where the plan says so; what is not
    /// fitted well by `until` is left as it is.
    pub fn fit(
        plan: &TrainPlan,
        prepared: &Prepared,
        extraction: &Extraction,
        until: Option<Instant>,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|s| prepared.of(s));
        let classes = prepared.dataset.classes.clone();
        let dim = extraction.dim();
        let labels = |samples: &[usize]| -> Vec<u32> {
            samples.iter().filter_map(|&i| prepared.dataset.samples[i].label).collect()
        };
        let rows = extraction.gather(&train)?;
        let train_labels = labels(&train);
        let n_classes = classes.len();
        let refit = plan.refit && !val.is_empty();
        let request = |lambda: Option<f64>, share: f64, stop: &Arc<AtomicBool>| head::Request {
            name: &plan.head,
            classes: n_classes,
            class_weights: plan.class_weights,
            seed: plan.seed,
            lambda,
            limit: Limit { stop: Some(Arc::clone(stop)), until: until.map(|u| part(u, share)) },
        };
        let share = if refit { FIRST } else { 1.0 };
        let begun = Instant::now();
        let first = watch.phase(Phase::Fit, Some(train.len()), |watch| {
            watch.listening(|stop| {
                head::fit(&request(None, share, stop), rows.rows(), &train_labels)
            })?
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let held_out = extraction.gather(&val)?;
        let familiarity =
            Familiarity::fit(rows.rows(), &train_labels, classes.len(), held_out.rows());
        let on_train = first.head.clone();
        let mut trained = Trained { classes, dim, head: first.head, temperature: 1.0, familiarity };
        if !first.converged {
            let why = if until.is_some() { " in the time that it had" } else { "" };
            watch.warn(format!("the {} head did not reach its tolerance{why}", plan.head))?;
        }
        let mut history = first.history;
        trained.temperature = watch.phase(Phase::Calibrate, Some(val.len()), |watch| {
            if val.is_empty() {
                watch.warn("no validation samples: the temperature stays 1")?;
                return Ok(1.0);
            }
            head::temperature(&trained.head.predict(held_out.rows())?, &labels(&val))
        })?;
        history.push(serde_json::json!({
            "phase": "calibrate", "samples": val.len(), "temperature": trained.temperature,
        }));
        if refit {
            drop(rows);
            let mut both = [train.as_slice(), &val].concat();
            both.sort_unstable();
            let rows = extraction.gather(&both)?;
            let both_labels = labels(&both);
            let fitted = watch.phase(Phase::Fit, Some(both.len()), |watch| {
                watch.listening(|stop| {
                    head::fit(&request(first.lambda, 1.0, stop), rows.rows(), &both_labels)
                })?
            })?;
            trained.head = fitted.head;
            history.extend(fitted.history);
        }
        let fitted_on = if refit {
            "train + val; λ chosen by cross-validation inside train, temperature on val before the \
             head was fitted again on both"
        } else {
            "train; λ chosen by cross-validation inside train, temperature on val"
        };
        Ok(Self {
            trained,
            lambda: first.lambda,
            fitted_on: fitted_on.into(),
            history,
            on_train,
            seconds,
            test: Some(SealedTest::new(test)),
        })
    }

    /// The head that was tuned together with the network whose features `extraction` holds.
    pub fn of_tuned(own: Own, prepared: &Prepared, extraction: &Extraction) -> Result<Self> {
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|s| prepared.of(s));
        let classes = prepared.dataset.classes.clone();
        let labels = |samples: &[usize]| -> Vec<u32> {
            samples.iter().filter_map(|&i| prepared.dataset.samples[i].label).collect()
        };
        let (rows, held_out) = (extraction.gather(&train)?, extraction.gather(&val)?);
        let familiarity =
            Familiarity::fit(rows.rows(), &labels(&train), classes.len(), held_out.rows());
        let dim = extraction.dim();
        let on_train = own.head.clone();
        let temperature = own.temperature.unwrap_or(1.0);
        let trained = Trained { classes, dim, head: own.head, temperature, familiarity };
        let fitted_on = match (own.temperature, own.refitted) {
            (None, _) => "train",
            (Some(_), false) => "train; the best weights and the temperature chosen on val",
            (Some(_), true) => {
                "train + val; the number of epochs and the temperature chosen on val before the \
                 network was trained again on both"
            }
        };
        Ok(Self {
            trained,
            lambda: None,
            fitted_on: fitted_on.into(),
            history: Vec::new(),
            on_train,
            seconds: 0.0,
            test: Some(SealedTest::new(test)),
        })
    }

    /// Opens the test split and evaluates on it. A second call finds it opened and fails.
    pub fn evaluate(
        &mut self,
        plan: &TrainPlan,
        prepared: &Prepared,
        extraction: &Extraction,
        watch: &mut Watch<'_>,
    ) -> Result<Evaluated> {
        let sealed = self.test.take().ok_or_else(|| {
            crate::TransferError::Internal("the test split was about to be read twice".into())
        })?;
        let samples = sealed.open();
        let Self { trained, .. } = self;
        watch.phase(Phase::Evaluate, Some(samples.len()), |watch| {
            watch.listening(|_| {
                evaluate::evaluate(trained, &prepared.dataset, extraction, samples, plan.seed)
            })?
        })
    }
}
