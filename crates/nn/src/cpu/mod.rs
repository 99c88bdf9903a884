//! Our interpreter for the processor: frozen networks, planned once, run on every batch.
//!
//! Norms are folded into convolutions, activations and residual sums are fused, images are
//! channels-last, and scratch memory is sized when the plan is made and reused by every batch.
//! The network is cut into segments of neighbouring blocks; a worker takes a few images through a
//! whole segment, so that activations stay in its cache. An image's result depends on nothing but
//! the image: not on the batch it came in, nor on the number of threads.

mod execute;
mod fold;
mod lower;
mod text;
pub mod train;

use std::sync::Mutex;

use offshoot_kernels::{Activation, Clamp, Conv, Isa, Precision};

use crate::blocks::{Act, Linear};
use crate::{NnError, Params, Recipe, Result, Role, Shape};
use execute::{Buffer, Scratch};
use lower::{Op, Segment};
pub use text::{
    MASKED_HEAD, MaskedGradients, MaskedHead, TextPlan, TextTrainer, TrainOptions, pool_tokens,
    unit_length,
};

/// How a plan is made.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Instruction level; `None` takes the best that this machine has (`OFFSHOOT_ISA` can lower it).
    pub isa: Option<Isa>,
    /// How exactly convolutions are computed.
    pub precision: Precision,
    /// Input height and width; `None` takes the recipe's.
    pub size: Option<[usize; 2]>,
    /// Begin after this stage: the input is its activations; `None` begins with pictures.
    pub from: Option<String>,
    /// Stop after this stage and give out its activations; `None` runs the whole backbone.
    pub until: Option<String>,
}

/// A tensor as an optimiser sees it: one or more arrays of the checkpoint, in an order of values that
/// is the same for `value` and `gradient`.
///
/// Matrices, and convolutions of one pixel, lie as `[inputs, outputs]`, outputs of several arrays side
/// by side.
pub struct Learned<'a> {
    /// Keys of the arrays.
    pub keys: &'a [String],
    /// What they do.
    pub role: Role,
    /// Current values.
    pub value: &'a mut [f32],
    /// Gradient of the last backward pass.
    pub gradient: &'a [f32],
}

/// A frozen network, ready to run.
pub struct Plan {
    isa: Isa,
    precision: Precision,
    input: Shape,
    output: Shape,
    ops: Vec<Op>,
    segments: Vec<Segment>,
    head: Option<(Conv, Clamp, Activation)>,
    /// Scratch of workers that have finished; taken up again by the next group of images.
    idle: Mutex<Vec<Scratch>>,
    /// Buffers for the whole batch between segments, likewise.
    between: Mutex<Vec<[Buffer; 2]>>,
}

impl Plan {
    /// Folds and packs `params`, which must hold every key of `recipe` (see [`crate::load`]).
    pub fn new(recipe: &Recipe, params: &Params, options: &PlanOptions) -> Result<Self> {
        let isa = options.isa.unwrap_or_else(Isa::detect);
        let spec = recipe.picture()?;
        let [height, width] = options.size.unwrap_or([spec.size; 2]);
        let channels = spec.channels.count();
        let input = match &options.from {
            None => Shape::Map { height, width, channels },
            Some(stage) => recipe.shape_at_stage(stage, height, width)?,
        };
        let first = options.from.as_deref().map_or(Ok(0), |s| stages_until(recipe, Some(s)))?;
        let last = stages_until(recipe, options.until.as_deref())?;
        if first > last {
            return Err(NnError::Unsupported(
                "a part of a network that ends before it begins".into(),
            ));
        }
        let blocks = recipe.stages[first..last].iter().flat_map(|stage| &stage.blocks);
        let lowered = lower::lower(isa, options.precision, recipe, params, input, blocks)?;
        let head = match &recipe.head {
            Some(linear) if last == recipe.stages.len() && has_head(linear, params) => {
                let conv = lower::linear(isa, params, linear)?;
                let (clamp, act) = split(linear.act);
                Some((conv, clamp, act))
            }
            _ => None,
        };
        Ok(Self {
            isa,
            precision: options.precision,
            input,
            output: lowered.output,
            ops: lowered.ops,
            segments: lowered.segments,
            head,
            idle: Mutex::new(Vec::new()),
            between: Mutex::new(Vec::new()),
        })
    }

    /// Instruction level that the plan was packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How exactly the plan computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What one sample's input looks like.
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// What one sample's output looks like.
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// Values that [`Plan::features`] writes for each sample.
    pub fn feature_dim(&self) -> usize {
        self.output.len()
    }

    /// Classes of the source's own head, when the checkpoint holds it.
    pub fn source_classes(&self) -> Option<usize> {
        self.head.as_ref().map(|(head, ..)| head.output_len())
    }

    /// Runs `n` normalised images `[n, height, width, channels]`; writes `[n, feature_dim]`.
    ///
    /// Parallel over images on the current rayon pool.
    pub fn features(&self, input: &[f32], n: usize, features: &mut [f32]) -> Result<()> {
        check_len("input", input.len(), n, self.input.len())?;
        check_len("features", features.len(), n, self.output.len())?;
        execute::run(self, input, n, features);
        Ok(())
    }

    /// As [`Plan::features`], and writes the source head's logits `[n, source_classes]`.
    pub fn features_and_logits(
        &self,
        input: &[f32],
        n: usize,
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<()> {
        let (head, clamp, act) = self
            .head
            .as_ref()
            .ok_or_else(|| NnError::Unsupported("the source has no classifier".into()))?;
        check_len("logits", logits.len(), n, head.output_len())?;
        self.features(input, n, features)?;
        let mut scratch = vec![0.0; head.scratch_len(n)];
        head.run(n, features, None, *clamp, &mut scratch, logits);
        act.apply(self.isa, logits);
        Ok(())
    }
}

fn check_len(what: &str, actual: usize, n: usize, each: usize) -> Result<()> {
    if n.checked_mul(each) == Some(actual) {
        return Ok(());
    }
    Err(NnError::Unsupported(format!("expected {n} × {each} values of {what}, got {actual}")))
}

/// Stages up to and with `until`; all of them without it.
fn stages_until(recipe: &Recipe, until: Option<&str>) -> Result<usize> {
    let Some(name) = until else { return Ok(recipe.stages.len()) };
    let found = recipe.stages.iter().position(|stage| stage.name == name);
    let place = found.ok_or_else(|| {
        let names: Vec<_> = recipe.stages.iter().map(|stage| stage.name).collect();
        NnError::Unsupported(format!(
            "recipe `{}` has no stage `{name}`; its stages are {}",
            recipe.name,
            names.join(", ")
        ))
    })?;
    Ok(place + 1)
}

fn has_head(linear: &Linear, params: &Params) -> bool {
    params.contains_key(&format!("{}.weight", linear.key))
}

/// An activation as the clamp that a convolution applies before it writes, and the function that
/// follows while the image is in the cache.
fn split(act: Act) -> (Clamp, Activation) {
    match act {
        Act::None => (Clamp::NONE, Activation::None),
        Act::Relu => (Clamp::RELU, Activation::None),
        Act::Relu6 => (Clamp::RELU6, Activation::None),
        smooth => (Clamp::NONE, activation(smooth)),
    }
}

fn activation(act: Act) -> Activation {
    match act {
        Act::None => Activation::None,
        Act::Relu => Activation::Relu,
        Act::Relu6 => Activation::Relu6,
        Act::Gelu => Activation::Gelu,
        Act::GeluTanh => Activation::GeluTanh,
        Act::Silu => Activation::Silu,
        Act::Tanh => Activation::Tanh,
    }
}
