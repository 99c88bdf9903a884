//! BitFit: only biases learn, those of norms included, and the head.

use offshoot_nn::Role;

use super::{Schedule, Strategy, Usual, no};

/// Few parameters bear a high rate.
const LR: Usual = Usual { pictures: 3e-3, texts: 1e-3 };

/// Ben Zaken et al. 2022.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "bitfit",
    summary: "tune biases only",
    paper: "Ben Zaken et al. 2022, arXiv:2106.10199",
    wants_sensitivity: no,
    plan: |facts| {
        let learns = facts.groups.keys_of(&[Role::Bias, Role::NormBias]);
        if learns.is_empty() {
            return Err(crate::TransferError::usage(
                "the network has no biases to tune",
                "`--method full` tunes everything",
            ));
        }
        Ok(Schedule::from_probe(vec![facts.phase("biases", learns, LR)]))
    },
};
