//! FixMatch: what a network is sure of in a picture that was hardly changed, it must say of the same picture after strong
//! changes, too.
//!
//! Where answers run together into a few classes, the network begins anew; where that happens again, gradients are given
//! up.

use super::collapse::{Diversity, Verdict};
use super::losses::Softened;
use super::pupil::{Learns, Pupil};
use super::{Course, Method, Outcome};
use crate::fit::inputs::pipeline;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

pub(super) const METHOD: Method = Method {
    name: "fixmatch",
    summary: "the network's sure answers to pictures are its labels for the same pictures, strongly changed",
    paper: "Sohn et al. 2020, arXiv:2001.07685",
    run,
};

/// Probability from which an answer counts as a label (the paper's τ).
const SURE: f64 = 0.95;
const LR: f64 = 3e-3;
const PASSES: usize = 20;
const OPTIMISER: &str = "sgd";
/// The paper's weak view moves a picture and mirrors it. Mirrored, digits and letters are others, and nothing says that
/// these pictures are none.
const WEAK: &str = "pad-crop(share=0.07)";
const STRONG: &str = "pad-crop,rand-augment,erasing";

fn run(course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
    if course.source.pictures().is_err() {
        return Err(TransferError::usage(
            "`fixmatch` looks at pictures in two ways, and these samples are none",
            "`--method pseudo-label` learns sure answers without views",
        ));
    }
    let views = |text: &str| {
        pipeline(text)?.ok_or_else(|| TransferError::Internal(format!("no views by `{text}`")))
    };
    let (weak, strong) = (views(WEAK)?, views(STRONG)?);
    let mut outcome = Outcome::default();
    let classes = course.head.bias.len();
    let lr = course.settings.lr.unwrap_or(LR);
    let passes = course.settings.passes.unwrap_or(PASSES);
    let mut pupil = Pupil::new(course, Learns::Everything, OPTIMISER)?;
    let batches = course.batches(0);
    let first = pupil.settle(course, &batches)?;
    let means: Vec<Vec<f64>> =
        first.iter().map(|answer| Softened::of(&answer.logits, classes).mean()).collect();
    let mut diversity = Diversity::new(&means);
    let every = passes.div_ceil(STATES).max(1);
    for pass in 0..passes {
        let (mut loss, mut labelled) = (0.0, 0);
        for (number, batch) in batches.iter().enumerate() {
            // Two views of a pass are two draws.
            let [weak_view, strong_view] = [2 * pass as u64, 2 * pass as u64 + 1];
            let answer = pupil.answer_view(course, batch, &weak, weak_view)?;
            let soft = Softened::of(&answer.logits, classes);
            match diversity.verdict(number, &soft.mean()) {
                Verdict::Fine => {}
                Verdict::BeginAnew => {
                    pupil.reset(OPTIMISER)?;
                    continue;
                }
                Verdict::GiveUp(warning) => {
                    outcome.warnings.push(warning);
                    outcome.states.clear();
                    return Ok(outcome);
                }
            }
            let labels: Vec<Option<u32>> = soft
                .p
                .chunks_exact(classes)
                .map(|row| row.iter().position(|&p| p >= SURE).map(|c| c as u32))
                .collect();
            let sure = labels.iter().flatten().count();
            if sure > 0 {
                let answer = pupil.answer_view(course, batch, &strong, strong_view)?;
                let mut of_logits = vec![0.0; answer.logits.len()];
                // Over all of the batch (equation 4): few sure answers are a small step.
                let share = sure as f64 / batch.len() as f64;
                let soft = Softened::of(&answer.logits, classes);
                loss += share * soft.cross_entropy(&labels, share, &mut of_logits);
                pupil.learn(&answer, &of_logits, lr)?;
            }
            labelled += sure;
            let done = pass * batches.len() + number + 1;
            watch.progress(Phase::Finetune, done, passes * batches.len(), 0)?;
        }
        if (pass + 1) % every > 0 && pass + 1 < passes {
            continue;
        }
        // Statistics are those of pictures as they are, which the network will meet.
        pupil.settle(course, &batches)?;
        let mut state = pupil.state();
        state.facts.insert("loss".into(), loss / batches.len() as f64);
        state.facts.insert("labelled".into(), labelled as f64 / course.target.len() as f64);
        state.facts.insert("classes_left".into(), diversity.left());
        state.facts.insert("resets".into(), diversity.resets() as f64);
        outcome.states.push(state);
    }
    Ok(outcome)
}

/// States to choose from, at most.
const STATES: usize = 4;
