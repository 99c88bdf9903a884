//! SHOT: the head stays, and the network moves the target's features to where the head is sure of them and the
//! classes are as frequent as they should be; besides, each sample follows the nearest of the classes' centres.

use super::losses::{Softened, shares};
use super::pupil::{Answer, Learns, Pupil};
use super::{Course, Method, Outcome};
use crate::watch::Watch;
use crate::{Phase, Result};

pub(super) const METHOD: Method = Method {
    name: "shot",
    summary: "the network learns under the source's head: sure and diverse answers, labels by centres",
    paper: "Liang et al. 2020, arXiv:2002.08546",
    run,
};

const LR: f64 = 1e-3;
const PASSES: usize = 5;
/// Weight of the labels by centres.
const CENTRES: f64 = 0.3;

fn run(course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let classes = course.head.bias.len();
    let lr = course.settings.lr.unwrap_or(LR);
    let passes = course.settings.passes.unwrap_or(PASSES);
    let mut pupil = Pupil::new(course, Learns::Everything, "sgd")?;
    pupil.settle(course, &course.batches(0))?;
    // Answers are drawn to shares that the answers themselves make likely, so that a target with rare classes is not
    // pressed into equal ones.
    let mut answers = pupil.alone(course)?;
    let expected = shares(&Softened::of(&answers.logits, classes).p, classes);
    for pass in 0..passes {
        if pass > 0 {
            answers = pupil.alone(course)?;
        }
        let labels = by_centres(&answers, classes);
        let batches = course.batches(pass as u64 + 1);
        let (mut entropy, mut divergence) = (0.0, 0.0);
        for (number, batch) in batches.iter().enumerate() {
            let answer = pupil.answer(course, batch)?;
            let soft = Softened::of(&answer.logits, classes);
            let mut of_logits = vec![0.0; answer.logits.len()];
            entropy += soft.entropy(f64::INFINITY, 1.0, &mut of_logits).0;
            divergence += soft.divergence(&expected, 1.0, &mut of_logits);
            let own: Vec<Option<u32>> = batch.iter().map(|&place| Some(labels[place])).collect();
            soft.cross_entropy(&own, CENTRES, &mut of_logits);
            let done = pass * batches.len() + number;
            let part = done as f64 / (passes * batches.len()) as f64;
            // The schedule of the paper's code.
            pupil.learn(&answer, &of_logits, lr * (1.0 + 10.0 * part).powf(-0.75))?;
            watch.progress(Phase::Finetune, done + 1, passes * batches.len(), 0)?;
        }
        pupil.settle(course, &batches)?;
        let mut state = pupil.state();
        state.facts.insert("entropy".into(), entropy / batches.len() as f64);
        state.facts.insert("divergence".into(), divergence / batches.len() as f64);
        outcome.states.push(state);
    }
    Ok(outcome)
}

/// The class whose centre is nearest by the angle, in features with a 1 behind them; centres are means weighed by the
/// answers at first, and by the nearest centre then (equations 5 to 7).
fn by_centres(answer: &Answer, classes: usize) -> Vec<u32> {
    let n = answer.logits.len() / classes.max(1);
    let dim = answer.features.len() / n.max(1);
    let rows: Vec<Vec<f64>> = answer
        .features
        .chunks_exact(dim.max(1))
        .map(|row| {
            let long = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() + 1.0;
            let scale = 1.0 / long.sqrt();
            row.iter().map(|&v| f64::from(v) * scale).chain([scale]).collect()
        })
        .collect();
    let soft = Softened::of(&answer.logits, classes);
    let mut weights = soft.p;
    let mut labels = vec![0; n];
    for _ in 0..2 {
        let mut centres = vec![vec![0.0; dim + 1]; classes];
        let mut mass = vec![0.0; classes];
        for (row, weights) in rows.iter().zip(weights.chunks_exact(classes)) {
            for (class, &weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                mass[class] += weight;
                centres[class].iter_mut().zip(row).for_each(|(c, v)| *c += weight * v);
            }
        }
        for centre in &mut centres {
            let long = centre.iter().map(|v| v * v).sum::<f64>().sqrt();
            centre.iter_mut().for_each(|v| *v /= long.max(f64::MIN_POSITIVE));
        }
        weights.fill(0.0);
        for (i, row) in rows.iter().enumerate() {
            let near = |c: usize| -> f64 { centres[c].iter().zip(row).map(|(a, b)| a * b).sum() };
            // A class that nobody is near to has no centre.
            let present = (0..classes).filter(|&c| mass[c] > 1e-8);
            let best = present
                .map(|c| (near(c), c))
                .fold((f64::NEG_INFINITY, 0), |best, one| if one.0 > best.0 { one } else { best });
            labels[i] = best.1 as u32;
            weights[i * classes + best.1] = 1.0;
        }
    }
    labels
}
