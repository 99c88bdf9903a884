//! TENT: scales and shifts of norms learn from the entropy of the network's own answers.
//!
//! Samples of high entropy are left out (Niu et al. 2022, arXiv:2204.02610, equation 2): their slope is mostly noise.
//! Where answers run together into a few classes, the network begins anew from the target's statistics; where that
//! happens again, gradients are given up.

use super::adabn::in_place;
use super::collapse::{Diversity, Verdict};
use super::losses::Softened;
use super::pupil::{Learns, Pupil};
use super::{Course, Method, Outcome};
use crate::watch::Watch;
use crate::{Phase, Result};

pub(super) const METHOD: Method = Method {
    name: "tent",
    summary: "norms learn from the entropy of their own answers, watched for collapse",
    paper: "Wang et al. 2021, arXiv:2006.10726",
    run,
};

/// Share of `ln C` above which a sample's entropy tells nothing.
const FILTER: f64 = 0.4;
const LR: f64 = 1e-3;
const PASSES: usize = 3;
const OPTIMISER: &str = "adamw";

fn run(course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let classes = course.head.bias.len();
    let limit = FILTER * (classes as f64).ln();
    let lr = course.settings.lr.unwrap_or(LR);
    let passes = course.settings.passes.unwrap_or(PASSES);
    let n = course.target.len();
    let mut pupil = Pupil::new(course, Learns::Norms, OPTIMISER)?;
    // What each batch is answered before anything learns: by it, collapse is told from batches that hold few classes.
    let batches = course.batches(0);
    let first = pupil.settle(course, &batches)?;
    let means: Vec<Vec<f64>> =
        first.iter().map(|answer| Softened::of(&answer.logits, classes).mean()).collect();
    if pupil.has_statistics() {
        outcome.states.push(pupil.state());
    }
    let mut diversity = Diversity::new(&means);
    for pass in 0..passes {
        let mut given = Vec::with_capacity(batches.len());
        let (mut entropy, mut kept) = (0.0, 0);
        for (number, batch) in batches.iter().enumerate() {
            let answer = pupil.answer(course, batch)?;
            let soft = Softened::of(&answer.logits, classes);
            match diversity.verdict(number, &soft.mean()) {
                Verdict::Fine => {}
                Verdict::BeginAnew => {
                    pupil.reset(OPTIMISER)?;
                    given.push(answer.logits);
                    continue;
                }
                Verdict::GiveUp(warning) => {
                    outcome.warnings.push(warning);
                    outcome.states.retain(|state| state.updates == 0);
                    if pass == 0 {
                        outcome.stream = in_place(&batches, first.iter().map(|a| &a.logits[..]), n);
                    }
                    return Ok(outcome);
                }
            }
            let mut of_logits = vec![0.0; answer.logits.len()];
            let (value, count) = soft.entropy(limit, 1.0, &mut of_logits);
            entropy += value * count as f64;
            kept += count;
            if count > 0 {
                pupil.learn(&answer, &of_logits, lr)?;
            }
            given.push(answer.logits);
            let done = pass * batches.len() + number + 1;
            watch.progress(Phase::Finetune, done, passes * batches.len(), 0)?;
        }
        if pass == 0 {
            outcome.stream = in_place(&batches, given.iter().map(Vec::as_slice), n);
        }
        // What was averaged on the way belongs to scales that have changed since.
        pupil.settle(course, &batches)?;
        let mut state = pupil.state();
        state.facts.insert("entropy".into(), entropy / (kept.max(1)) as f64);
        state.facts.insert("kept".into(), kept as f64 / n as f64);
        state.facts.insert("classes_left".into(), diversity.left());
        state.facts.insert("resets".into(), diversity.resets() as f64);
        outcome.states.push(state);
    }
    Ok(outcome)
}
