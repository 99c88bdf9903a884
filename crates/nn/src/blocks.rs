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
    /// x·Φ(x) by the error function.
    Gelu,
    /// The approximation of `Gelu` by a hyperbolic tangent.
    GeluTanh,
    /// x / (1 + e⁻ˣ).
    Silu,
    /// tanh(x).
    Tanh,
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
    /// 1 (dense), `inputs` (depthwise), or any number that divides `inputs` and `outputs`.
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

/// Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507): the means of all channels pass a 1×1
/// convolution to `hidden` channels, `act`, a 1×1 convolution back and the logistic function; every
/// channel is multiplied by what comes out for it. Both convolutions have a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct SqueezeExcite {
    /// Key of the first convolution, weight `[hidden, channels, 1, 1]`.
    pub reduce: String,
    /// Key of the second, weight `[channels, hidden, 1, 1]`.
    pub expand: String,
    /// Channels between them.
    pub hidden: usize,
    /// After the first.
    pub act: Act,
}

/// Convolution, optional norm, activation, optional squeeze-and-excitation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvNormAct {
    /// Convolution.
    pub conv: Conv,
    /// Norm over output channels.
    pub norm: Option<BatchNorm>,
    /// Activation.
    pub act: Act,
    /// After the activation.
    pub excite: Option<SqueezeExcite>,
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

/// Normalisation over the features of a row: `weight`, `bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Key.
    pub key: String,
    /// Added to the variance.
    pub eps: f32,
}

/// A text encoder's first block: `norm(word + position + type)` for every token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEmbed {
    /// Key of the word table `[vocabulary, features]`.
    pub words: String,
    /// Key of the position table `[first_position + longest, features]`; `None` where a token's place
    /// has no say.
    pub positions: Option<String>,
    /// Row of the position table that the first token takes.
    pub first_position: usize,
    /// Key of the type table `[types, features]`, if there is one.
    pub types: Option<String>,
    /// After the sum, if there is one.
    pub norm: Option<LayerNorm>,
    /// Tokens, positions and types that there are.
    pub sizes: crate::TextSpec,
    /// Features of a token.
    pub features: usize,
}

impl TokenEmbed {
    /// Key and rows of each table, the words' first.
    pub fn tables(&self) -> impl Iterator<Item = (&String, usize)> {
        let Self { first_position, sizes, .. } = self;
        let places = self.positions.as_ref().map(|key| (key, first_position + sizes.longest));
        let types = self.types.as_ref().map(|key| (key, sizes.types));
        [Some((&self.words, sizes.vocabulary)), places, types].into_iter().flatten()
    }
}

/// A transformer's encoder layer with the norms after the sums (Vaswani et al. 2017,
/// arXiv:1706.03762): `y = norm(x + attention(x))`, then `norm(y + shrink(act(expand(y))))`.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderLayer {
    /// Keys of the projections `[features, features]` to queries, keys and values.
    pub projections: [String; 3],
    /// Key of the projection `[features, features]` of what attention gives.
    pub output: String,
    /// After the sum with attention.
    pub attention_norm: LayerNorm,
    /// Key of the projection `[hidden, features]`.
    pub expand: String,
    /// Between `expand` and `shrink`.
    pub act: Act,
    /// Key of the projection `[features, hidden]`.
    pub shrink: String,
    /// After the second sum.
    pub norm: LayerNorm,
    /// Features of a token.
    pub features: usize,
    /// Heads; they share the features equally.
    pub heads: usize,
    /// Features between `expand` and `shrink`.
    pub hidden: usize,
}

/// How the features of a sequence's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPool {
    /// Mean over the tokens that count; zero where none does.
    Mean,
    /// The first token's; zero where there is none.
    First,
    /// Of each feature the largest over the tokens that count; zero where none does.
    Max,
    /// Sum over the tokens that count, divided by the square root of their number.
    MeanSqrtLength,
    /// The last token's that counts; zero where none does.
    Last,
}

impl TokenPool {
    /// Every way, with the word that a user types.
    pub const ALL: [(&'static str, Self); 5] = [
        ("mean", Self::Mean),
        ("first", Self::First),
        ("max", Self::Max),
        ("mean-sqrt-len", Self::MeanSqrtLength),
        ("last", Self::Last),
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, pool)| *pool == self).map_or("", |(name, _)| name)
    }

    /// The way of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, pool)| *pool)
    }
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
    /// Token ids → features for every token.
    TokenEmbed(TokenEmbed),
    /// Attention and feed-forward network on every token's features.
    EncoderLayer(EncoderLayer),
    /// Features of every token → their mean over so many of the last encoder layers.
    LayerMean(usize),
    /// Features of every token → one vector a sequence.
    TokenPool(TokenPool),
    /// `x / ‖x‖₂`; a zero vector stays.
    UnitLength,
}
