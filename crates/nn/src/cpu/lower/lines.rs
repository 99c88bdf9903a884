//! Which networks keep their activations in lines of bf16.

use offshoot_kernels::{Activation, LinesConv};

use crate::blocks::{Block, ConvNormAct, Shortcut};

/// Whether a block has kernels that read and write lines.
pub(super) fn can_hold(block: &Block) -> bool {
    match block {
        Block::Conv(conv) => has_kernel(conv),
        Block::Residual(residual) => {
            let projected = match &residual.shortcut {
                Shortcut::Project(conv) => has_kernel(conv),
                Shortcut::None | Shortcut::Identity => true,
            };
            // What a sum follows right after is a dense convolution.
            let dense = residual.body.last().is_some_and(|conv| conv.conv.groups == 1);
            let clamped = super::split(residual.act).1 == Activation::None;
            projected && clamped && dense && residual.body.iter().all(has_kernel)
        }
        Block::MaxPool { .. } | Block::GlobalAvgPool | Block::Flatten | Block::Linear(_) => true,
        // Blocks of other networks.
        _ => false,
    }
}

/// Whether a block reads f32 pixels and gives out lines.
pub(super) fn begins_with_values(block: &Block) -> bool {
    match block {
        Block::Conv(conv) => conv.conv.groups == 1 && LinesConv::prefers_values(conv.conv.inputs),
        _ => false,
    }
}

fn has_kernel(block: &ConvNormAct) -> bool {
    let conv = &block.conv;
    let depthwise = conv.groups == conv.inputs && conv.inputs == conv.outputs;
    let clamped = super::split(block.act).1 == Activation::None;
    clamped && block.excite.is_none() && (conv.groups == 1 || depthwise)
}
