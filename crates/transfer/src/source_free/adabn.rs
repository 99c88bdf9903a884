//! AdaBN: norms take their statistics from the target instead of the source. Nothing learns.

use super::pupil::{Learns, Pupil};
use super::{Course, Method, Outcome};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

pub(super) const METHOD: Method = Method {
    name: "adabn",
    summary: "statistics of batch norms from the target; nothing learns",
    paper: "Li et al. 2016, arXiv:1603.04779; Schneider et al. 2020, arXiv:2006.16971",
    run,
};

fn run(course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut pupil = Pupil::new(course, Learns::Norms, "adamw")?;
    if !pupil.has_statistics() {
        return Err(TransferError::usage(
            format!("`{}` has no norms with statistics", course.source.name),
            "`adabn` is for networks with batch norms; `tent` and `shot` adapt others",
        ));
    }
    let n = course.target.len();
    watch.progress(Phase::Finetune, 0, n, 0)?;
    let batches = course.batches(0);
    // Weights that were tuned while their norms kept other statistics have become used to these: half of them is then
    // better than none. Which it is, no weight tells, so both states are there to be chosen from.
    if course.settings.prior.is_none() && course.prior() == 0.0 {
        pupil.settle_beside(n as f64, course, &batches)?;
        let mut state = pupil.state();
        state.facts.insert("prior".into(), n as f64);
        outcome.states.push(state);
    }
    let answers = pupil.settle(course, &batches)?;
    watch.progress(Phase::Finetune, n, n, 0)?;
    outcome.stream = in_place(&batches, answers.iter().map(|a| a.logits.as_slice()), n);
    outcome.states.push(pupil.state());
    Ok(outcome)
}

/// Rows of batches in the order of the samples.
pub(super) fn in_place<'l>(
    batches: &[Vec<usize>],
    logits: impl Iterator<Item = &'l [f32]>,
    n: usize,
) -> Vec<f32> {
    let mut all = Vec::new();
    for (batch, logits) in batches.iter().zip(logits) {
        let classes = logits.len() / batch.len().max(1);
        all.resize(n * classes, 0.0);
        for (&place, row) in batch.iter().zip(logits.chunks_exact(classes.max(1))) {
            all[place * classes..(place + 1) * classes].copy_from_slice(row);
        }
    }
    all
}
