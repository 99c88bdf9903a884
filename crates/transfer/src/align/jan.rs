//! JAN: features and answers together are distributed alike in both domains.

use super::{Adversary, Term, mmd, through_softmax, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// σ² of the kernel of the answers, whose distances are at most √2.
const ANSWERS: f64 = 0.92 * 0.92;

/// `MMD²_u` with the product of a kernel of the features, as in DAN, and one of the probabilities (Long et al.
/// 2017, eq. 9).
pub(super) const TERM: Term = Term {
    name: "jan",
    summary: "equal joint distributions of features and answers: jan(weight=1)",
    paper: "Long et al. 2017, arXiv:1605.06636",
    adversary: Adversary::None,
    held: "bandwidths",
    choices: &[weight(1.0)],
    make: |values| Box::new(Jan { weight: values[0] }),
};

struct Jan {
    weight: f64,
}

impl LossTerm for Jan {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let domains = step.domains();
        if domains.iter().any(|&n| n < 2) {
            return 0.0;
        }
        let (dim, classes) = (step.dim, step.classes);
        let rows: Vec<f64> = step.features.iter().map(|&v| f64::from(v)).collect();
        let distances = mmd::distances(&rows, dim);
        let features = mmd::Kernel::gaussian(&distances, &mmd::bandwidths(&distances));
        let answers = step.probabilities(0..domains[0] + domains[1], 1.0).concat();
        let said = mmd::Kernel::gaussian(&mmd::distances(&answers, classes), &[ANSWERS]);
        let shares = mmd::shares(domains);
        let joint = |a: &[f64], b: &[f64]| -> Vec<f64> {
            let pairs = a.iter().zip(b).zip(&shares);
            pairs.map(|((a, b), share)| self.weight * share * a * b).collect()
        };
        let slopes = mmd::by_rows(&rows, dim, &joint(&features.slope, &said.value));
        step.to_features.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope as f32);
        let slopes = mmd::by_rows(&answers, classes, &joint(&features.value, &said.slope));
        let samples = answers.chunks_exact(classes).zip(slopes.chunks_exact(classes));
        for ((p, slope), to) in samples.zip(step.to_logits.chunks_exact_mut(classes)) {
            through_softmax(p, slope, 1.0, to);
        }
        joint(&features.value, &said.value).iter().sum()
    }
}
