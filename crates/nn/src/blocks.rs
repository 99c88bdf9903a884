//! The pieces that recipes are made of.
//!
//! Keys are full checkpoint keys without the trailing `.weight`, `.bias`, `.running_mean`, ….

/// Zero padding of a convolution or pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The same number of pixels on all four sides.
    Symmetric(usize),
    /// TensorFlow's SAME: output `⌈size/stride⌉`; the odd pixel goes to the bottom and right.
    Same,
}

impl Padding {
    /// Pixels before and after, for an input of `size` pixels.
    pub fn around(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Symmetric(p) => (p, p),
            Self::Same => {
                let out = size.div_ceil(stride);
                let total = ((out - 1) * stride + kernel).saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }

    /// Output size for an input of `size` pixels, or `None` when the window does not fit.
    pub fn output(self, size: usize, kernel: usize, stride: usize) -> Option<usize> {
        if size == 0 {
            return None;
        }
        let (before, after) = self.around(size, kernel, stride);
        Some((size + before + after).checked_sub(kernel)? / stride + 1)
    }
}

/// Activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Identity.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

/// A square convolution without its norm. Weight `[out, in / groups, kernel, kernel]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// Key of the weight (and bias).
    pub key: String,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Window side.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zero padding.
    pub padding: Padding,
    /// 1 (dense) or `inputs` (depthwise).
    pub groups: usize,
    /// Whether `key.bias` exists.
    pub bias: bool,
}

/// Batch normalisation: `weight`, `bias`, `running_mean`, `running_var`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Key.
    pub key: String,
    /// Added to the variance.
    pub eps: f32,
}

/// Convolution, optional norm, activation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvNormAct {
    /// Convolution.
    pub conv: Conv,
    /// Norm over output channels.
    pub norm: Option<BatchNorm>,
    /// Activation.
    pub act: Act,
}

/// How a residual block's input reaches the sum.
#[derive(Debug, Clone, PartialEq)]
pub enum Shortcut {
    /// Not at all: the body alone.
    None,
    /// Unchanged.
    Identity,
    /// Through a 1×1 convolution.
    Project(ConvNormAct),
}

/// `act(body(x) + shortcut(x))`: basic blocks, bottlenecks and inverted residuals.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual {
    /// In order.
    pub body: Vec<ConvNormAct>,
    /// The other way.
    pub shortcut: Shortcut,
    /// After the sum.
    pub act: Act,
}

/// Fully connected layer. Weight `[outputs, inputs]`, bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Key.
    pub key: String,
    /// Input features.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
    /// Activation.
    pub act: Act,
}

/// A step of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Convolution, norm, activation.
    Conv(ConvNormAct),
    /// Residual block.
    Residual(Residual),
    /// Maximum over a window; padding never wins.
    MaxPool {
        /// Window side.
        kernel: usize,
        /// Step.
        stride: usize,
        /// Zero padding.
        padding: Padding,
    },
    /// Mean over all pixels: `[n, h, w, c]` → `[n, c]`.
    GlobalAvgPool,
    /// `[n, h, w, c]` → `[n, c·h·w]`, channels outermost as PyTorch orders them.
    Flatten,
    /// Fully connected layer on `[n, features]`.
    Linear(Linear),
}
