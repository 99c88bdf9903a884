//! LP-FT: fit the head on frozen features first, then tune everything at a low rate, so that the
//! first gradients of a random head do not distort features that were good.

use super::{Schedule, Strategy, no};

/// About a tenth of the rate of plain fine-tuning.
const LR: f64 = 1e-4;

/// Kumar et al. 2022.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "lp-ft",
    summary: "fit the head first, then tune everything at a low rate",
    paper: "Kumar et al. 2022, arXiv:2202.10054",
    wants_sensitivity: no,
    plan: |facts| {
        Ok(Schedule::from_probe(vec![facts.phase("everything", facts.groups.keys(|_| true), LR)]))
    },
};
