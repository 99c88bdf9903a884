//! Full fine-tuning: a random head, and everything learns from the first step on.

use super::{Schedule, Start, Strategy, no};

const LR: f64 = 1e-3;

/// What most people mean by fine-tuning.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "full",
    summary: "a new head, and everything learns at once",
    paper: "Girshick et al. 2014, arXiv:1311.2524",
    wants_sensitivity: no,
    plan: |facts| {
        let phases = vec![facts.phase("everything", facts.groups.keys(|_| true), LR)];
        Ok(Schedule { start: Start::RandomHead, phases, reason: None })
    },
};
