//! LP-FT: fit the head on frozen features first, then tune everything, so that the
//! first gradients of a random head do not distort features that were good.

use super::{Schedule, Strategy, Usual, no};

/// For pictures as fast as from a random head: what keeps good features is that the head fits them, and a
/// rate below that leaves them where they were (ten labels a class, `benches/finetune/few_labels.py`, seed
/// 100: of 5·10⁻⁵ to 10⁻³ the highest was the best on digits, and no worse than another on emoji).
const LR: Usual = Usual { pictures: 1e-3, texts: 5e-5 };

/// Kumar et al. 2022.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "lp-ft",
    summary: "fit the head first, then tune everything",
    paper: "Kumar et al. 2022, arXiv:2202.10054",
    wants_sensitivity: no,
    plan: |facts| {
        let phase = facts.phase("everything", facts.groups.keys(|_| true), LR);
        Ok(Schedule::from_probe(vec![phase]))
    },
};
