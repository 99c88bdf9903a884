//! Blocks that several families share, built from their keys and sizes.

use crate::blocks::{
    Act, BatchNorm, Block, Conv, ConvNormAct, Linear, Padding, Residual, Shortcut,
};
use crate::recipe::Stage;

/// What all convolutions of one network have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Of every batch norm.
    pub eps: f32,
    /// TensorFlow's SAME instead of PyTorch's symmetric `kernel / 2`.
    pub same: bool,
    /// After every norm that has one.
    pub act: Act,
}

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
}

impl Window {
    /// Every input channel reaches every output channel.
    pub fn dense(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        Self { inputs, outputs, kernel, stride, groups: 1 }
    }

    /// Every channel is filtered on its own.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { inputs: channels, outputs: channels, kernel, stride, groups: channels }
    }
}

impl Style {
    /// Convolution without bias, batch norm, this style's activation.
    pub fn conv_norm_act(self, conv: String, norm: String, window: Window) -> ConvNormAct {
        let padding = if self.same { Padding::Same } else { Padding::Symmetric(window.kernel / 2) };
        let Window { inputs, outputs, kernel, stride, groups } = window;
        ConvNormAct {
            conv: Conv { key: conv, inputs, outputs, kernel, stride, padding, groups, bias: false },
            norm: Some(BatchNorm { key: norm, eps: self.eps }),
            act: self.act,
            excite: None,
        }
    }

    /// Convolution without bias and batch norm; what follows is linear (a sum, or nothing).
    pub fn conv_norm(self, conv: String, norm: String, window: Window) -> ConvNormAct {
        Self { act: Act::None, ..self }.conv_norm_act(conv, norm, window)
    }
}

/// A convolution with bias, its batch norm if `norm` names one, and ReLU: the plain networks.
pub(super) fn biased_conv(conv: String, norm: Option<String>, window: Window) -> Block {
    let style = Style { eps: 1e-5, same: false, act: Act::Relu };
    let mut layer = style.conv_norm_act(conv, norm.clone().unwrap_or_default(), window);
    layer.conv.bias = true;
    if norm.is_none() {
        layer.norm = None;
    }
    Block::Conv(layer)
}

/// Expansion, depthwise and linear projection (Sandler et al. 2018, arXiv:1801.04381).
///
/// The input is added where neither size nor channels change.
pub(super) fn inverted_residual(body: Vec<ConvNormAct>) -> Block {
    let inputs = body.first().map(|layer| layer.conv.inputs);
    let outputs = body.last().map(|layer| layer.conv.outputs);
    let kept = inputs == outputs && body.iter().all(|layer| layer.conv.stride == 1);
    let shortcut = if kept { Shortcut::Identity } else { Shortcut::None };
    Block::Residual(Residual { body, shortcut, act: Act::None })
}

/// 2×2 maximum with step 2; an odd last row or column is dropped.
pub(super) fn halve() -> Block {
    Block::MaxPool { kernel: 2, stride: 2, padding: Padding::Symmetric(0) }
}

/// The last stage of most networks: the mean over all pixels.
pub(super) fn pool() -> Stage {
    Stage { name: "pool", blocks: vec![Block::GlobalAvgPool] }
}

/// Source classifier: logits, without activation.
pub(super) fn classifier(key: &str, inputs: usize, outputs: usize) -> Option<Linear> {
    Some(Linear { key: key.to_string(), inputs, outputs, act: Act::None })
}
