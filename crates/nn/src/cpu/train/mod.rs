//! Training on the processor: forward in training form, backward, optimiser steps.
//!
//! The trainable part of a recipe is lowered to a list of layers over numbered tensors. What the
//! backward pass needs is kept from the forward pass; gradients live in buffers that are handed on
//! from layer to layer and from step to step, so that a step allocates nothing once all sizes have
//! been seen. Frozen stages before it run as a folded [`Plan`]: they keep nothing, build no
//! gradients, and neither their parameters nor their running statistics move.
//!
//! Sums over images or pixels are formed over parts that depend on sizes alone and merged in order,
//! so that results have the same bits for any number of threads.

mod activation;
mod backward;
mod buffers;
mod build;
mod conv;
mod excite;
mod kernel;
mod layer;
mod norm;
mod optimiser;
mod param;

use offshoot_kernels::{Isa, Precision};

use super::{Plan, PlanOptions};
use crate::{Array, NnError, Params, Recipe, Result, Shape};
use buffers::Buffers;
use layer::Layer;
pub use optimiser::{Optimiser, Rule};
use param::Param;
pub use param::ParamInfo;

/// How batch norms behave while training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NormMode {
    /// Statistics of the batch; running statistics follow with momentum 0.1, as in PyTorch.
    #[default]
    Batch,
    /// Running statistics, which stay as they are; scale and shift still learn.
    Running,
}

/// How a trainer is made.
#[derive(Debug, Clone, Default)]
pub struct TrainOptions {
    /// Instruction level; `None` takes the best that this machine has.
    pub isa: Option<Isa>,
    /// How exactly dense products are computed.
    pub precision: Precision,
    /// Input height and width; `None` takes the recipe's.
    pub size: Option<[usize; 2]>,
    /// The last stage that is frozen; `None` trains everything.
    pub frozen_until: Option<String>,
    /// What batch norms normalise by.
    pub norm: NormMode,
    /// Whether [`Trainer::input_gradient`] is wanted.
    pub input_gradient: bool,
}

/// A network that learns.
pub struct Trainer {
    prefix: Option<Plan>,
    input: Shape,
    output: Shape,
    layers: Vec<Layer>,
    params: Vec<Param>,
    /// Frozen parameters and whatever else came with the checkpoint.
    others: Params,
    buffers: Buffers,
    norm: NormMode,
    input_gradient: bool,
    /// Samples of the last forward pass that no backward pass has used.
    pending: Option<usize>,
}

/// A tensor's number; 0 is the trainable part's input.
type TensorId = usize;

impl Trainer {
    /// Lowers the trainable part of `recipe`; `params` must hold every key of it.
    ///
    /// A head to train is one more stage of the recipe with a [`crate::blocks::Linear`] block.
    pub fn new(recipe: &Recipe, params: &Params, options: &TrainOptions) -> Result<Self> {
        let isa = options.isa.unwrap_or_else(Isa::detect);
        let picture = recipe.picture()?;
        let [height, width] = options.size.unwrap_or([picture.size; 2]);
        let input = Shape::Map { height, width, channels: picture.channels.count() };
        let (prefix, first) = match &options.frozen_until {
            None => (None, 0),
            Some(stage) => {
                let plan = PlanOptions {
                    isa: Some(isa),
                    precision: options.precision,
                    size: Some([height, width]),
                    until: Some(stage.clone()),
                };
                let plan = Plan::new(recipe, params, &plan)?;
                let place = recipe.stages.iter().position(|s| s.name == stage).unwrap_or(0);
                (Some(plan), place + 1)
            }
        };
        let inner = prefix.as_ref().map_or(input, Plan::output_shape);
        let built = build::build(isa, options, params, inner, &recipe.stages[first..])?;
        let learnt: std::collections::BTreeSet<String> =
            built.params.iter().flat_map(Param::keys).collect();
        let others = params
            .iter()
            .filter(|(key, _)| !learnt.contains(*key))
            .map(|(key, array)| (key.clone(), array.clone()))
            .collect();
        Ok(Self {
            prefix,
            input,
            output: built.output,
            layers: built.layers,
            params: built.params,
            others,
            buffers: Buffers::new(built.tensors, built.derived, built.narrow),
            norm: options.norm,
            input_gradient: options.input_gradient,
            pending: None,
        })
    }

    /// What one sample's input looks like.
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// What one sample's output looks like.
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// Runs `n` normalised images `[n, height, width, channels]` in training form; returns the last
    /// stage's output, `[n, output]`.
    ///
    /// # Errors
    /// Where `input` has another length.
    pub fn forward(&mut self, input: &[f32], n: usize) -> Result<&[f32]> {
        super::check_len("input", input.len(), n, self.input.len())?;
        if n == 0 {
            return Err(NnError::Unsupported("a batch without samples".into()));
        }
        self.buffers.reserve(n);
        {
            let mut inner = self.buffers.take_tensor(0);
            let len = n * self.buffers.len_of(0);
            match &self.prefix {
                Some(plan) => plan.features(input, n, &mut inner[..len])?,
                None => inner[..len].copy_from_slice(input),
            }
            self.buffers.put_tensor(0, inner);
        }
        for layer in &mut self.layers {
            layer.forward(n, &mut self.params, &mut self.buffers, self.norm)?;
        }
        self.pending = Some(n);
        let last = self.buffers.tensors() - 1;
        Ok(&self.buffers.tensor(last)[..n * self.output.len()])
    }

    /// Forms all gradients from that of [`Trainer::forward`]'s result, `[n, output]`.
    ///
    /// # Errors
    /// Where no forward pass came before or `gradient` has another length.
    pub fn backward(&mut self, gradient: &[f32]) -> Result<()> {
        let n = self.pending.take().ok_or_else(|| {
            NnError::Unsupported("a backward pass without a forward pass before it".into())
        })?;
        super::check_len("gradient", gradient.len(), n, self.output.len())?;
        let last = self.buffers.tensors() - 1;
        let mut first = self.buffers.take(gradient.len());
        first.copy_from_slice(gradient);
        self.buffers.clear_gradients();
        self.buffers.set_gradient(last, first);
        for layer in self.layers.iter_mut().rev() {
            let wanted = layer.input() != 0 || self.input_gradient;
            layer.backward(n, wanted, &mut self.params, &mut self.buffers, self.norm)?;
        }
        Ok(())
    }

    /// Gradient with respect to the trainable part's input, `[n, h, w, c]`, after a backward pass;
    /// `None` unless [`TrainOptions::input_gradient`] asked for it.
    pub fn input_gradient(&self) -> Option<&[f32]> {
        self.buffers.gradient(0)
    }

    /// The parameters that learn, in the order of the recipe.
    pub fn params(&self) -> impl Iterator<Item = ParamInfo<'_>> {
        self.params.iter().map(Param::info)
    }

    /// Gradients of the last backward pass, by checkpoint key and in the checkpoint's layout.
    pub fn gradients(&self) -> Params {
        self.params.iter().map(Param::gradient_array).collect()
    }

    /// All parameters and running statistics, by checkpoint key and in the checkpoint's layout.
    pub fn export(&self) -> Params {
        let mut params = self.others.clone();
        params.extend(self.params.iter().map(Param::array));
        for layer in &self.layers {
            params.extend(layer.statistics());
        }
        params
    }

    /// Bytes of activations, gradients and scratch that are held between steps.
    pub fn buffer_bytes(&self) -> usize {
        self.buffers.bytes()
    }
}

/// A vector as a checkpoint's array.
fn vector(values: &[f32]) -> Array {
    Array { shape: vec![values.len()], data: values.to_vec() }
}
