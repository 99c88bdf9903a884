//! Pseudo-labels: the network learns the answers that it is sure of as if they were labels.

use super::losses::Softened;
use super::pupil::{Learns, Pupil};
use super::{Course, Method, Outcome};
use crate::watch::Watch;
use crate::{Phase, Result};

pub(super) const METHOD: Method = Method {
    name: "pseudo-label",
    summary: "the network learns its own sure answers as labels",
    paper: "Lee 2013; threshold as in Sohn et al. 2020, arXiv:2001.07685",
    run,
};

/// Probability from which an answer counts as a label.
const SURE: f64 = 0.95;
const LR: f64 = 1e-3;
const PASSES: usize = 3;

fn run(course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let classes = course.head.bias.len();
    let lr = course.settings.lr.unwrap_or(LR);
    let passes = course.settings.passes.unwrap_or(PASSES);
    let mut pupil = Pupil::new(course, Learns::Everything, "sgd")?;
    pupil.settle(course, &course.batches(0))?;
    for pass in 0..passes {
        // Labels of a whole pass come from one network, so that no batch feeds on the one before it.
        let soft = Softened::of(&pupil.alone(course)?.logits, classes);
        let labels: Vec<Option<u32>> = soft
            .p
            .chunks_exact(classes)
            .map(|row| row.iter().position(|&p| p >= SURE).map(|c| c as u32))
            .collect();
        let sure = labels.iter().flatten().count();
        let batches = course.batches(pass as u64 + 1);
        for (number, batch) in batches.iter().enumerate() {
            let own: Vec<Option<u32>> = batch.iter().map(|&place| labels[place]).collect();
            if own.iter().any(Option::is_some) {
                let answer = pupil.answer(course, batch)?;
                let mut of_logits = vec![0.0; answer.logits.len()];
                Softened::of(&answer.logits, classes).cross_entropy(&own, 1.0, &mut of_logits);
                pupil.learn(&answer, &of_logits, lr)?;
            }
            let done = pass * batches.len() + number + 1;
            watch.progress(Phase::Finetune, done, passes * batches.len(), 0)?;
        }
        pupil.settle(course, &batches)?;
        let mut state = pupil.state();
        state.facts.insert("labelled".into(), sure as f64 / course.target.len() as f64);
        outcome.states.push(state);
    }
    Ok(outcome)
}
