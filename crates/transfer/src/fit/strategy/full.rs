//! Full fine-tuning: a random head, and everything learns from the first step on.

use super::{Schedule, Start, Strategy, Usual, no};

const LR: Usual = Usual { pictures: 1e-3, texts: 5e-5 };

/// How much faster the random head on a text encoder learns: at the encoder's own rate it would stay
/// where it began.
const TEXT_HEAD: f64 = 100.0;

/// What most people mean by fine-tuning.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "full",
    summary: "a new head, and everything learns at once",
    paper: "Girshick et al. 2014, arXiv:1311.2524",
    wants_sensitivity: no,
    plan: |facts| {
        let mut phase = facts.phase("everything", facts.groups.keys(|_| true), LR);
        if facts.is_text {
            let head = facts.groups.len();
            phase.rates[head] = TEXT_HEAD;
        }
        Ok(Schedule { start: Start::RandomHead, ..Schedule::from_probe(vec![phase]) })
    },
};
