//! Labels for new inputs.

mod feed;
mod inputs;
mod queue;

use offshoot_data::Sample;
use offshoot_stats::{Rows, calibrate};
use rayon::prelude::*;

use crate::documents::{PredictReport, Prediction, SCHEMA};
use crate::inputs::Ready;
use crate::pictures::Unreadable;
use crate::plan::PredictPlan;
use crate::run::RunFolder;
use crate::source::Source;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};
pub use feed::Feed;
pub use inputs::PredictInput;

/// A sample as the network reads it, or why it cannot be read.
type Prepared = std::result::Result<Ready, Unreadable>;

/// Labels inputs in their order and hands them to `sink` by the batch. A batch is what came while the
/// one before was labelled, so nothing waits for more input. Unreadable inputs give a row with
/// `error`; memory follows the batch, not the input.
///
/// # Errors
/// [`TransferError::Unusable`] when not one input could be read; whatever `sink` returns.
pub fn predict(
    plan: &PredictPlan,
    input: PredictInput,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&[Prediction]) -> Result<()>,
) -> Result<PredictReport> {
    let mut watch = Watch::new(observer);
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut report = PredictReport {
        schema: SCHEMA,
        command: "predict".into(),
        run: plan.run.clone(),
        seconds: 0.0,
        rows: 0,
        unreadable: 0,
        unfamiliar: 0,
        unknown: 0,
        sets: false,
        promised: plan.promised,
    };
    if !(0.0..1.0).contains(&plan.promised) || plan.promised == 0.0 {
        return Err(TransferError::usage(
            format!("prediction sets cannot promise {}", plan.promised),
            "a share between 0 and 1, as 0.9",
        ));
    }
    let asked = Asked::new(plan, &trained);
    report.sets = asked.thresholds.is_some();
    watch.phase(Phase::Predict, None, |watch| {
        let batch = source.engine.step(plan.batch);
        let columns = source.inputs.texts().map(|_| plan.columns.clone());
        let mut feed = Feed::open(input, columns, batch)?;
        let mut done = 0;
        let mut samples = feed.next(batch, || watch.progress(Phase::Predict, 0, 0, 0))?;
        let mut prepared = prepare(&samples, &source);
        while !samples.is_empty() {
            // One batch is labelled while the next one, as far as it is there, is decoded.
            let next = feed.at_hand(batch);
            let (next_prepared, predictions) = rayon::join(
                || prepare(&next, &source),
                || label(&samples, &prepared, &trained, &source, &asked),
            );
            let predictions = predictions?;
            for prediction in &predictions {
                match prediction.error {
                    None => report.rows += 1,
                    Some(_) => report.unreadable += 1,
                }
                report.unfamiliar += usize::from(prediction.unfamiliar);
                report.unknown += usize::from(prediction.unknown);
            }
            sink(&predictions)?;
            done += samples.len();
            watch.progress(Phase::Predict, done, done + next.len() + feed.waiting(), 0)?;
            (samples, prepared) = (next, next_prepared);
            if samples.is_empty() {
                samples = feed.next(batch, || watch.progress(Phase::Predict, done, done, 0))?;
                prepared = prepare(&samples, &source);
            }
        }
        Ok(())
    })?;
    if report.rows == 0 {
        return Err(TransferError::Unusable(match report.unreadable {
            0 => {
                "no input was given: name files, folders or a CSV, or send one picture, a list of \
                  paths, or texts to `-`"
                    .into()
            }
            1 => "the only input cannot be read".into(),
            n => format!("none of the {n} inputs can be read"),
        }));
    }
    report.seconds = watch.seconds();
    Ok(report)
}

fn prepare(samples: &[Sample], source: &Source) -> Vec<Prepared> {
    samples.par_iter().map(|s| source.inputs.prepare(&s.input)).collect()
}

/// What each answer holds.
struct Asked {
    top: usize,
    /// Of each class; absent without sets.
    thresholds: Option<Vec<f64>>,
}

impl Asked {
    fn new(plan: &PredictPlan, trained: &Trained) -> Self {
        let trust = trained.trust.as_ref();
        Self { top: plan.top, thresholds: trust.and_then(|trust| trust.thresholds(plan.promised)) }
    }
}

fn label(
    samples: &[Sample],
    prepared: &[Prepared],
    trained: &Trained,
    source: &Source,
    asked: &Asked,
) -> Result<Vec<Prediction>> {
    let fits = |input: &&Ready| source.engine.refuses(input).is_none();
    let ready: Vec<&Ready> = prepared.iter().flatten().filter(fits).collect();
    let mut features = vec![0.0; ready.len() * trained.dim];
    if !ready.is_empty() {
        source.engine.run(&ready, &mut features)?;
    }
    let rows = Rows::new(ready.len(), trained.dim, &features)
        .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
    let raw = trained.head.predict(rows)?;
    let probabilities = calibrate::soften(&raw, trained.temperature);
    let distances = match &trained.trust {
        Some(trust) => Some(trust.familiarity.distances(rows, &trained.head)?),
        None => None,
    };
    let set = |i: usize| -> Option<Vec<u32>> {
        let sets = trained.trust.as_ref()?.sets.as_ref()?;
        Some(sets.set(raw.row(i), asked.thresholds.as_ref()?))
    };
    let mut answers = probabilities.rows().enumerate();
    let one = |(sample, prepared): (&Sample, &Prepared)| {
        let refused = match prepared {
            Err(reason) => Some(reason.detail.clone()),
            Ok(input) => source.engine.refuses(input),
        };
        match refused {
            Some(reason) => unreadable(sample, reason),
            None => match answers.next() {
                Some((i, p)) => {
                    let distance = distances.as_ref().map(|distances| distances[i]);
                    let unknown = trained.unknown.is_some_and(|rule| rule.says(p));
                    let more = (set(i), distance, unknown);
                    prediction(sample, p, more, &trained.classes, asked.top)
                }
                None => unreadable(sample, "no answer".into()),
            },
        }
    };
    Ok(samples.iter().zip(prepared).map(one).collect())
}

fn unreadable(sample: &Sample, reason: String) -> Prediction {
    Prediction {
        input: sample.id.clone(),
        label: None,
        probability: None,
        top: Vec::new(),
        set: None,
        unfamiliar: false,
        unknown: false,
        distance: None,
        error: Some(reason),
    }
}

fn prediction(
    sample: &Sample,
    p: &[f64],
    (set, distance, unknown): (Option<Vec<u32>>, Option<f64>, bool),
    classes: &[String],
    top: usize,
) -> Prediction {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]).then(a.cmp(&b)));
    let named = |&class: &usize| (classes[class].clone(), p[class]);
    let name = |class: u32| classes[class as usize].clone();
    Prediction {
        input: sample.id.clone(),
        label: order.first().map(|c| classes[*c].clone()),
        probability: order.first().map(|c| p[*c]),
        top: order.iter().take(top.max(1)).map(named).collect(),
        set: set.map(|set| set.into_iter().map(name).collect()),
        unfamiliar: distance.is_some_and(|d| d > 1.0),
        unknown,
        distance,
        error: None,
    }
}
