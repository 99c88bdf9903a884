//! What an answer rests on, by occlusion: leave a part out, and see how much less sure the answer is.
//!
//! Nothing is estimated: each contribution is the difference of two answers that the classifier really
//! gives. Texts: Li et al. 2016, arXiv:1612.08220; pictures: Zeiler & Fergus 2014, arXiv:1311.2901.

pub(crate) mod page;
mod pictures;
pub(crate) mod shades;
#[cfg(test)]
mod tests;
mod texts;

use std::path::PathBuf;
use std::sync::Arc;

use offshoot_data::{ColumnNames, Sample};
use offshoot_stats::Rows;

use crate::documents::{ExplainReport, Explanation, SCHEMA};
use crate::inputs::{Inputs, Ready};
use crate::pictures::{Pictures, Unreadable};
use crate::predict::{Feed, PredictInput};
use crate::run::RunFolder;
use crate::source::Source;
use crate::texts::Texts;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};

/// Probabilities nearer to 0 and 1 count as this near, so that differences stay finite.
const NEAREST: f64 = 1e-12;

/// `offshoot explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainPlan {
    /// Run folder.
    pub run: PathBuf,
    /// As in [`crate::TrainPlan::columns`].
    pub columns: ColumnNames,
    /// The class whose probability is explained; `None` for the most probable one.
    pub class: Option<String>,
    /// The most answers that one input may take. Parts are larger where there are more words.
    pub answers: usize,
    /// Samples a step of the network.
    pub batch: usize,
}

/// A trained classifier, asked about inputs with a part left out.
pub(crate) struct Occlusion<'a> {
    pub trained: &'a Trained,
    pub source: &'a Source,
    /// As in [`ExplainPlan::answers`].
    pub answers: usize,
    /// As in [`ExplainPlan::batch`].
    pub batch: usize,
}

/// Explains inputs in their order and hands each to `sink` as soon as it is done. Unreadable inputs
/// give an explanation with `error`.
///
/// # Errors
/// [`TransferError::Usage`] for a class that the run does not know, and for runs on feature vectors;
/// [`TransferError::Unusable`] when not one input could be read; whatever `sink` returns.
pub fn explain(
    plan: &ExplainPlan,
    input: PredictInput,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&Explanation) -> Result<()>,
) -> Result<ExplainReport> {
    let mut watch = Watch::new(observer);
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let class = plan.class.as_deref().map(|name| class_named(name, &trained)).transpose()?;
    if source.network.is_none() && source.parts.is_empty() {
        return Err(TransferError::usage(
            "the run was trained on vectors of features, whose parts mean nothing by themselves",
            "runs on pictures and texts can be explained",
        ));
    }
    let asked =
        Occlusion { trained: &trained, source: &source, answers: plan.answers, batch: plan.batch };
    let mut report = ExplainReport {
        schema: SCHEMA,
        command: "explain".into(),
        run: plan.run.clone(),
        seconds: 0.0,
        rows: 0,
        unreadable: 0,
        answers: 0,
    };
    watch.phase(Phase::Explain, None, |watch| {
        let columns = source.inputs.texts().map(|_| plan.columns.clone());
        let mut feed = Feed::open(input, columns, plan.batch)?;
        let mut done = 0;
        loop {
            let samples = feed.next(1, || watch.progress(Phase::Explain, done, done, 0))?;
            let Some(sample) = samples.first() else { return Ok(()) };
            let explanation = match asked.explain(sample, class)? {
                Ok((explanation, answers)) => {
                    report.rows += 1;
                    report.answers += answers;
                    explanation
                }
                Err(reason) => {
                    report.unreadable += 1;
                    Explanation { error: Some(reason.detail), ..Explanation::of(&sample.id) }
                }
            };
            sink(&explanation)?;
            done += 1;
            watch.progress(Phase::Explain, done, done + feed.waiting(), 0)?;
        }
    })?;
    if report.rows == 0 {
        return Err(TransferError::Unusable(match report.unreadable {
            0 => "no input was given: type a text, or name a file, or send texts to `-`".into(),
            1 => "the only input cannot be read".into(),
            n => format!("none of the {n} inputs can be read"),
        }));
    }
    report.seconds = watch.seconds();
    Ok(report)
}

fn pictures_of(inputs: &[Inputs]) -> Vec<&Pictures> {
    let mut all = Vec::new();
    for inputs in inputs {
        if let Inputs::Pictures(pictures) = inputs {
            all.push(pictures);
        }
    }
    all
}

fn texts_of(inputs: &[Inputs]) -> Vec<&Texts> {
    inputs.iter().filter_map(|inputs| inputs.texts().map(Arc::as_ref)).collect()
}

/// What one source reads, or several side by side.
fn together(mut each: Vec<Ready>) -> Ready {
    match each.pop() {
        Some(only) if each.is_empty() => only,
        last => Ready::Several(each.into_iter().chain(last).collect()),
    }
}

fn class_named(name: &str, trained: &Trained) -> Result<usize> {
    trained.classes.iter().position(|class| class == name).ok_or_else(|| {
        let classes: Vec<&str> = trained.classes.iter().take(12).map(String::as_str).collect();
        TransferError::usage(
            format!("unknown class `{name}`"),
            format!("the run tells apart {}", classes.join(", ")),
        )
    })
}

/// ln p/(1 − p).
pub(crate) fn log_odds(p: f64) -> f64 {
    let p = p.clamp(NEAREST, 1.0 - NEAREST);
    (p / (1.0 - p)).ln()
}

/// By how much the log-odds fall from the answer to the whole to the one without a part.
fn contribution(whole: Option<f64>, without: f64) -> f64 {
    whole.map_or(f64::NAN, |whole| log_odds(whole) - log_odds(without))
}

impl Occlusion<'_> {
    /// Explains one input, and says how many answers that took; inside, why it cannot be read.
    pub fn explain(
        &self,
        sample: &Sample,
        class: Option<usize>,
    ) -> Result<std::result::Result<(Explanation, usize), Unreadable>> {
        let each = match &self.source.inputs {
            Inputs::Several(each) => each.as_slice(),
            one => std::slice::from_ref(one),
        };
        match self.source.inputs.first() {
            Inputs::Pictures(_) => self.explain_picture(&pictures_of(each), sample, class),
            _ => self.explain_text(&texts_of(each), sample, class),
        }
    }

    /// What the classifier says to the whole input, and of which class it is then asked.
    fn asked_about(
        &self,
        id: &str,
        whole: &Ready,
        class: Option<usize>,
    ) -> Result<(Explanation, usize)> {
        let probabilities = self.probabilities(std::slice::from_ref(whole))?;
        let all = probabilities.first().map(Vec::as_slice).unwrap_or_default();
        let best = (0..all.len()).rev().max_by(|&a, &b| all[a].total_cmp(&all[b])).unwrap_or(0);
        let class = class.unwrap_or(best);
        let name = |class: usize| self.trained.classes.get(class).cloned();
        let explanation = Explanation {
            label: name(best),
            probability: all.get(best).copied(),
            class: name(class),
            class_probability: all.get(class).copied(),
            unknown: self.trained.unknown.is_some_and(|rule| rule.says(all)),
            ..Explanation::of(id)
        };
        Ok((explanation, class))
    }

    /// Probabilities of `class` for these inputs.
    fn answers(&self, inputs: &[Ready], class: usize) -> Result<Vec<f64>> {
        let mut answers = Vec::with_capacity(inputs.len());
        for batch in inputs.chunks(self.source.engine.step(self.batch)) {
            answers.extend(self.probabilities(batch)?.into_iter().map(|row| row[class]));
        }
        Ok(answers)
    }

    fn probabilities(&self, inputs: &[Ready]) -> Result<Vec<Vec<f64>>> {
        let mut features = vec![0.0; inputs.len() * self.trained.dim];
        self.source.engine.run(&inputs.iter().collect::<Vec<_>>(), &mut features)?;
        let rows = Rows::new(inputs.len(), self.trained.dim, &features)
            .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
        Ok(self.trained.probabilities(rows)?.rows().map(<[f64]>::to_vec).collect())
    }

    /// Why the network cannot take this input.
    fn refuses(&self, input: &Ready) -> Option<Unreadable> {
        let detail = self.source.engine.refuses(input)?;
        Some(Unreadable { kind: "unreadable".into(), detail })
    }
}
