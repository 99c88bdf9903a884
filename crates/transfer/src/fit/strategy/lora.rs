//! LoRA: matrices stay as they are, and a product of two thin matrices is added to each; only these
//! and the head learn. The product is zero at first, so the first logits are the probe's.

use super::{Phase, Schedule, Strategy, Usual, no};

const LR: Usual = Usual { pictures: 1e-3, texts: 5e-4 };

/// Hu et al. 2021; here on linear layers and convolutions of one pixel.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "lora",
    summary: "add low-rank products to matrices and tune those (--rank, --alpha)",
    paper: "Hu et al. 2021, arXiv:2106.09685",
    wants_sensitivity: no,
    plan: |facts| {
        let matrices = facts.groups.matrices();
        if matrices.is_empty() {
            return Err(crate::TransferError::usage(
                "the network has neither linear layers nor dense convolutions of one pixel",
                "`--method full` tunes everything, `--method last-k` the last stages",
            ));
        }
        let phase = facts.phase("low rank", matrices, LR);
        Ok(Schedule::from_probe(vec![Phase { low_rank: true, ..phase }]))
    },
};
