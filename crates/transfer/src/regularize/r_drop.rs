//! R-Drop: the same sample with two draws of dropout should get the same answer.

use offshoot_data::wording::Choice;

use super::{Kind, LossTerm, Regularizer, SourceFacts, Step, softmax};
use crate::Result;

/// `α/2·(KL(p‖q) + KL(q‖p))`, mean over samples; every sample is in the batch twice (Wu et al. 2021,
/// eq. 3). Without dropout or stochastic depth both answers are the same and it does nothing.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "r-drop",
    summary: "agree with itself under dropout: r-drop(alpha=1)",
    paper: "Wu et al. 2021, arXiv:2106.14448",
    choices: &[Choice { name: "alpha", default: 1.0, range: [0.0, 100.0] }],
    make: |values| Kind::Term(Box::new(RDrop { alpha: values[0] })),
};

struct RDrop {
    alpha: f64,
}

impl LossTerm for RDrop {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn copies(&self) -> usize {
        2
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let classes = step.classes;
        let half = step.logits.len() / 2;
        let n = (half / classes.max(1)) as f64;
        let (first, second) = step.logits.split_at(half);
        let (to_first, to_second) = step.to_logits.split_at_mut(half);
        let mut total = 0.0;
        let rows = first.chunks_exact(classes).zip(second.chunks_exact(classes));
        let to = to_first.chunks_exact_mut(classes).zip(to_second.chunks_exact_mut(classes));
        for ((a, b), (to_a, to_b)) in rows.zip(to) {
            let (p, q) = (softmax(a, 1.0), softmax(b, 1.0));
            let ratio: Vec<f64> = p
                .iter()
                .zip(&q)
                .map(|(p, q)| (p.max(f64::MIN_POSITIVE) / q.max(f64::MIN_POSITIVE)).ln())
                .collect();
            let forward: f64 = p.iter().zip(&ratio).map(|(p, r)| p * r).sum();
            let backward: f64 = -q.iter().zip(&ratio).map(|(q, r)| q * r).sum::<f64>();
            total += forward + backward;
            let factor = self.alpha / (2.0 * n);
            for i in 0..classes {
                // ∂KL(p‖q)/∂a = p·(ln(p/q) − KL(p‖q)), ∂KL(q‖p)/∂a = p − q, and the other way round.
                to_a[i] += (factor * (p[i] * (ratio[i] - forward) + p[i] - q[i])) as f32;
                to_b[i] += (factor * (q[i] * (-ratio[i] - backward) + q[i] - p[i])) as f32;
            }
        }
        self.alpha * total / (2.0 * n)
    }
}
