//! The head on frozen features.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use offshoot_data::Split;
use offshoot_stats::heads::{Head, Limit};

use super::evaluate::{self, Evaluated, SealedTest};
use crate::extract::Extraction;
use crate::guard::evidence::Evidence;
use crate::head::Care;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::trained::Trained;
use crate::trust::HeldOut;
use crate::trust::calibrate::{self, ENOUGH, FoldHeads, Labelled, MANY};
use crate::watch::Watch;
use crate::{Phase, Result, head};

/// A fitted and calibrated head, and how it came about.
#[derive(Debug)]
pub struct Probe {
    /// The classifier that is exported.
    pub trained: Trained,
    /// Chosen by cross-validation, where the head has one.
    pub lambda: Option<f64>,
    /// Log-loss of training samples while cross-validation held them out, where it did.
    pub held_out_loss: Option<f64>,
    /// Which samples the exported head was fitted on, in words.
    pub fitted_on: String,
    /// What the head tells about its own fit, one line each, for `metrics.jsonl`.
    pub history: Vec<serde_json::Value>,
    /// The head as it was fitted on the training split alone: what tuning begins with, so that
    /// validation still judges what it has not seen.
    pub on_train: Head,
    /// What fitting it took.
    pub seconds: f64,
    /// Whether validation samples had a part in the exported head.
    refitted: bool,
    /// The network and head of before they had, where the network was tuned.
    before: Option<Before>,
    /// What it said of samples that it was not fitted on.
    pub evidence: Evidence,
    /// `−ln p` of the class of each training sample while it was held out, and of each validation sample; empty
    /// where the head is no likelihood.
    pub losses: Vec<Option<f64>>,
    /// Heads of folds of train and validation, where they found the temperature.
    folds: Option<FoldHeads>,
    test: Option<SealedTest>,
}

/// A tuned head that validation samples had no part in, and the features that it works on.
#[derive(Debug)]
pub struct Before {
    pub head: Head,
    pub train: Labelled,
    pub val: Labelled,
}

/// Probabilities below it are rounding.
const TINY: f64 = 1e-15;
/// Share of a limited time that the first of two fits may take, cross-validation included.
const FIRST: f64 = 0.6;

/// A head that was tuned together with its network.
pub struct Own {
    pub head: Head,
    /// From validation samples that had no part in training.
    pub temperature: Option<f64>,
    /// Whether validation took part in the end.
    pub refitted: bool,
    /// As it was before it did.
    pub before: Option<Before>,
    /// Which validation samples it recognised, before that.
    pub right: Vec<bool>,
}

/// The moment at which `share` of the time until `until` has gone by.
fn part(until: Instant, share: f64) -> Instant {
    let now = Instant::now();
    now + Duration::from_secs_f64(share * until.saturating_duration_since(now).as_secs_f64())
}

/// The places of both, in order.
fn both(train: &[usize], val: &[usize]) -> Vec<usize> {
    let mut both = [train, val].concat();
    both.sort_unstable();
    both
}

/// Heads of folds of `all`, which are the samples at `places`.
fn fold_heads(
    prepared: &Prepared,
    places: &[usize],
    all: &Labelled,
    request: &head::Request<'_>,
) -> Result<FoldHeads> {
    let samples = &prepared.dataset.samples;
    let groups: Vec<Option<&str>> = places.iter().map(|&i| samples[i].group.as_deref()).collect();
    let care = request.lambda.map_or(Care::Whole, Care::Aside);
    FoldHeads::fit(all, &groups, request.seed, |part| {
        Ok(head::fit_with(request, care, part.rows.rows(), &part.labels)?.head)
    })
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
        Self::fit_with(plan, prepared, extraction, (Care::Whole, until), watch)
    }

    /// The same with more or less care.
    pub fn fit_with(
        plan: &TrainPlan,
        prepared: &Prepared,
        extraction: &Extraction,
        (care, until): (Care, Option<Instant>),
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|s| prepared.of(s));
        let classes = prepared.dataset.classes.clone();
        let (dim, blocks) = (extraction.dim(), extraction.blocks());
        let labels = |samples: &[usize]| -> Vec<u32> {
            samples.iter().filter_map(|&i| prepared.dataset.samples[i].label).collect()
        };
        let rows = extraction.gather(&train)?;
        let train_labels = labels(&train);
        let n_classes = classes.len();
        let refit = plan.refit && !val.is_empty();
        let request = |lambda: Option<f64>, share: f64, stop: &Arc<AtomicBool>| head::Request {
            lambda,
            blocks: &blocks,
            limit: Limit { stop: Some(Arc::clone(stop)), until: until.map(|u| part(u, share)) },
            ..head::Request::of(plan, n_classes)
        };
        let share = if refit { FIRST } else { 1.0 };
        let begun = Instant::now();
        let first = watch.phase(Phase::Fit, Some(train.len()), |watch| {
            watch.listening(|stop| {
                head::fit_with(&request(None, share, stop), care, rows.rows(), &train_labels)
            })?
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let held_out = extraction.gather(&val)?;
        let on_train = first.head.clone();
        let mut trained = Trained {
            classes,
            dim,
            head: first.head,
            temperature: 1.0,
            trust: None,
            unknown: None,
        };
        if !first.converged {
            let why = if until.is_some() { " in the time that it had" } else { "" };
            watch.warn(format!("the {} head did not reach its tolerance{why}", plan.head))?;
        }
        let mut history = first.history;
        let mut evidence = Evidence { train: first.held_out, val: Vec::new() };
        let mut losses = first.held_out_losses;
        trained.temperature = watch.phase(Phase::Calibrate, Some(val.len()), |watch| {
            if val.is_empty() {
                watch.warn("no validation samples: the temperature stays 1")?;
                return Ok(1.0);
            }
            let answers = trained.head.predict(held_out.rows())?;
            let labels = labels(&val);
            let right = labels.iter().enumerate().map(|(i, &y)| answers.predicted(i) == y);
            evidence.val = right.collect();
            if !losses.is_empty() {
                let loss = |(i, &y): (usize, &u32)| -answers.row(i)[y as usize].max(TINY).ln();
                losses.extend(labels.iter().enumerate().map(|at| Some(loss(at))));
            }
            head::temperature(&answers, &labels)
        })?;
        // The temperature of two samples is 0 or as high as can be: answers without a meaning.
        let folds_calibrate = refit && val.len() < ENOUGH;
        let mut folds = None;
        if refit {
            drop(rows);
            let both = both(&train, &val);
            let all = Labelled { rows: extraction.gather(&both)?, labels: labels(&both) };
            if folds_calibrate {
                let heads = watch.phase(Phase::Calibrate, Some(both.len()), |watch| {
                    watch.listening(|stop| {
                        fold_heads(prepared, &both, &all, &request(first.lambda, share, stop))
                    })?
                })?;
                trained.temperature = heads.temperature(&all, n_classes)?;
                folds = Some(heads);
            }
            let fitted = watch.phase(Phase::Fit, Some(both.len()), |watch| {
                watch.listening(|stop| {
                    head::fit(&request(first.lambda, 1.0, stop), all.rows.rows(), &all.labels)
                })?
            })?;
            trained.head = fitted.head;
            history.extend(fitted.history);
        }
        history.push(serde_json::json!({
            "phase": "calibrate",
            "samples": if folds_calibrate { train.len() + val.len() } else { val.len() },
            "temperature": trained.temperature,
        }));
        let fitted_on = match (refit, folds_calibrate) {
            (true, true) => {
                "train + val; λ chosen by cross-validation inside train, temperature by \
                 cross-validation over both, as val is small"
            }
            (true, false) => {
                "train + val; λ chosen by cross-validation inside train, temperature on val before \
                 the head was fitted again on both"
            }
            (false, _) => "train; λ chosen by cross-validation inside train, temperature on val",
        };
        Ok(Self {
            trained,
            lambda: first.lambda,
            held_out_loss: first.held_out_loss,
            fitted_on: fitted_on.into(),
            history,
            on_train,
            seconds,
            refitted: refit,
            before: None,
            evidence,
            losses,
            folds,
            test: Some(SealedTest::new(test)),
        })
    }

    /// The head that was tuned together with the network whose features `extraction` holds.
    pub fn of_tuned(own: Own, prepared: &Prepared, extraction: &Extraction) -> Result<Self> {
        let test = prepared.of(Split::Test);
        let classes = prepared.dataset.classes.clone();
        let dim = extraction.dim();
        let on_train = own.head.clone();
        let temperature = own.temperature.unwrap_or(1.0);
        let trained =
            Trained { classes, dim, head: own.head, temperature, trust: None, unknown: None };
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
            held_out_loss: None,
            fitted_on: fitted_on.into(),
            history: Vec::new(),
            on_train,
            seconds: 0.0,
            refitted: own.refitted,
            before: own.before,
            evidence: Evidence { train: Vec::new(), val: own.right },
            losses: Vec::new(),
            folds: None,
            test: Some(SealedTest::new(test)),
        })
    }

    /// Fits prediction sets and the alarm for the exported head, from samples that it, or one as near to it
    /// as can be, was not fitted on. A step of its own, because baselines need none of it.
    pub fn calibrate(
        &mut self,
        plan: &TrainPlan,
        prepared: &Prepared,
        extraction: &Extraction,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let [train, val] = [Split::Train, Split::Val].map(|s| prepared.of(s));
        let samples = &prepared.dataset.samples;
        let labelled = |places: &[usize]| -> Result<Labelled> {
            let labels = places.iter().filter_map(|&i| samples[i].label).collect();
            Ok(Labelled { rows: extraction.gather(places)?, labels })
        };
        let (n_classes, blocks) = (prepared.dataset.classes.len(), extraction.blocks());
        let shipped = if self.refitted { both(&train, &val) } else { train.clone() };
        let fitted = labelled(&shipped)?;
        let tuned = self.lambda.is_none() && self.seconds == 0.0;
        // Heads of folds take as long as the cross-validation that chose λ took for one of its strengths.
        let in_time = plan.finetune.time.is_none_or(|t| watch.spent() + self.seconds < t);
        let evidence = watch.phase(Phase::Calibrate, Some(shipped.len()), |watch| {
            watch.listening(|stop| -> Result<calibrate::Evidence> {
                match (&self.before, self.refitted) {
                    (Some(Before { head, train, val }), _) => {
                        let held_out = HeldOut::ValidationBefore;
                        let told = calibrate::Evidence::of_split(held_out, head, train, val)?;
                        let few = val.labels.len() < ENOUGH;
                        Ok(if few { told.without_alarm() } else { told })
                    }
                    (None, true)
                        if !tuned && val.len() < MANY && (self.folds.is_some() || in_time) =>
                    {
                        let folds = match self.folds.take() {
                            Some(folds) => folds,
                            None => {
                                let request = head::Request {
                                    lambda: self.lambda,
                                    blocks: &blocks,
                                    ..head::Request::of(plan, n_classes).until(stop)
                                };
                                fold_heads(prepared, &shipped, &fitted, &request)?
                            }
                        };
                        calibrate::Evidence::of_folds(&fitted, n_classes, &folds)
                    }
                    (None, refitted) => {
                        let held_out = match refitted {
                            true => HeldOut::ValidationBefore,
                            false => HeldOut::Validation,
                        };
                        // A tuned network that has seen validation has nothing left to say about it.
                        let unseen = if tuned && refitted { Vec::new() } else { val.clone() };
                        let (train, unseen) = (labelled(&train)?, labelled(&unseen)?);
                        calibrate::Evidence::of_split(held_out, &self.on_train, &train, &unseen)
                    }
                }
            })?
        })?;
        let trust = evidence.trust(&self.trained.head, &fitted)?;
        self.history.push(serde_json::json!({
            "phase": "trust",
            "held_out": trust.held_out,
            "samples": trust.familiarity.n(),
            "detectors": trust.familiarity.detectors(),
            "leave_class_out": trust.familiarity.leave_class_out,
        }));
        self.trained.trust = Some(trust);
        Ok(())
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
