//! From scratch: the same network with random weights. What transfer is compared with.

use super::{Schedule, Start, Strategy, Usual, no};

const LR: Usual = Usual { pictures: 2e-3, texts: 5e-4 };

/// Nothing is transferred but the architecture.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "scratch",
    summary: "random weights, everything learns: what transfer is compared with",
    paper: "He et al. 2019, arXiv:1811.08883",
    wants_sensitivity: no,
    plan: |facts| {
        let phases = vec![facts.phase("everything", facts.groups.keys(|_| true), LR)];
        let start = Start::Scratch;
        Ok(Schedule { start, ..Schedule::from_probe(phases) })
    },
};
