//! Kernels on channels-last `f32` images (dense, grouped and depthwise convolution,
//! squeeze-and-excitation, pooling) and on rows of tokens (linear layers, layer norm, attention,
//! embedding).
//!
//! The only crate with `unsafe` code. Instructions are chosen at run time ([`Isa`]); every output
//! value is computed in one fixed order, so results do not depend on batch size or threads.

mod activation;
mod attention;
mod attention_grad;
mod batch_norm;
#[cfg(target_arch = "x86_64")]
mod bf16;
mod conv;
mod depthwise;
mod depthwise_grad;
mod embedding;
mod isa;
mod layer_norm;
mod linear;
mod linear_grad;
mod lines;
mod loss;
pub mod mapped;
mod optimiser;
mod pool;
mod simd;
mod squeeze_excite;
mod stored;
mod tile;

pub use activation::Activation;
pub use attention::{Attention, Sequence};
pub use batch_norm::{BatchNorm, NormInput, merge_moments};
pub use conv::{
    Conv, ConvGrad, GroupSizes, GroupedConv, GroupedConvGrad, Order, Window, images_of,
};
pub use depthwise::Depthwise;
pub use depthwise_grad::DepthwiseGrad;
pub use embedding::{embed, scatter};
pub use isa::Isa;
pub use layer_norm::LayerNorm;
pub use linear::{Epilogue, Linear};
pub use linear_grad::LinearGrad;
pub use lines::{
    Line, LinesConv, LinesDepthwise, lines_to_values, max_pool_lines, mean_pool_lines,
    values_to_lines,
};
pub use loss::CrossEntropy;
pub use optimiser::{AdamW, Lion, Sgd};
pub use pool::{max_pool, max_pool_backward, mean_pool, mean_pool_backward};
pub use squeeze_excite::{ExciteGradients, SqueezeExcite};
pub use stored::{Stored, StoredMut, round_to_bf16};

/// Activation as a clamp: every activation of the convolutional recipes is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Smallest value that passes.
    pub low: f32,
    /// Largest value that passes.
    pub high: f32,
}

impl Clamp {
    /// Lets everything pass.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// max(x, 0).
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
    /// min(max(x, 0), 6).
    pub const RELU6: Self = Self { low: 0.0, high: 6.0 };
}

/// How exactly dense products are computed; everything else is f32.
///
/// With matrix tiles ([`Isa::Amx`]), f32 operands are the sums of three bf16 values, and the six
/// products that matter give what f32 arithmetic gives (2⁻²⁴ relative). Elsewhere f32 is f32, and the
/// others are available where vectors multiply bf16 ([`Isa::has_bf16`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32 accuracy, by the fastest means.
    #[default]
    F32,
    /// Operands of two bf16 values, three products: 10⁻⁵ relative to the sum of magnitudes.
    Bf16x3,
    /// Operands rounded to bf16; sums in f32.
    Bf16,
}

impl Precision {
    /// bf16 values that an operand is split into, where tiles of them are multiplied.
    #[cfg(target_arch = "x86_64")]
    fn parts(self) -> usize {
        match self {
            Self::F32 => 3,
            Self::Bf16x3 => 2,
            Self::Bf16 => 1,
        }
    }
}

/// What a kernel can refuse when it is built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// Sizes that do not fit together.
    #[error("expected matching sizes, got {0}")]
    Shape(String),
    /// Instructions that this machine lacks.
    #[error("instruction level `{}` is not available on this machine", .0.name())]
    Unavailable(Isa),
}
