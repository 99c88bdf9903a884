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

use std::collections::{BTreeMap, BTreeSet};

use offshoot_kernels::{Isa, Precision};

use super::{Learned, Plan, PlanOptions};
use crate::{Array, NnError, Params, Recipe, Result, Shape};
use buffers::Buffers;
use layer::Layer;
use norm::Norm;
pub use offshoot_kernels::{AdamW, CrossEntropy, Lion, Sgd};
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
    /// Whether the caller brings the activations of the last frozen stage instead of pictures.
    pub from_activations: bool,
    /// Keys of what learns in the other stages; `None`: everything. Norms whose scale does not learn
    /// use their running statistics, which stay as they are.
    pub learns: Option<BTreeSet<String>>,
    /// What batch norms normalise by.
    pub norm: NormMode,
    /// How likely the last residual branch is left out for a sample (stochastic depth, Huang et al.
    /// 2016, arXiv:1603.09382); earlier branches less, in proportion.
    pub drop_path: f32,
    /// Stages whose outputs [`Trainer::stage_output`] gives out and whose gradients
    /// [`Trainer::backward_adding`] adds to.
    pub taps: Vec<String>,
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
    /// Whether a tensor's gradient leads to anything that learns.
    wanted: Vec<bool>,
    taps: BTreeMap<String, TensorId>,
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
        let picture = Shape::Map { height, width, channels: picture.channels.count() };
        let first = match &options.frozen_until {
            Some(stage) => super::stages_until(recipe, Some(stage))?,
            None => 0,
        };
        let prefix = match &options.frozen_until {
            Some(stage) if !options.from_activations => {
                let plan = PlanOptions {
                    isa: Some(isa),
                    precision: options.precision,
                    size: Some([height, width]),
                    from: None,
                    until: Some(stage.clone()),
                };
                Some(Plan::new(recipe, params, &plan)?)
            }
            _ => None,
        };
        let inner = match &options.frozen_until {
            Some(stage) => recipe.shape_at_stage(stage, height, width)?,
            None => picture,
        };
        let input = if options.from_activations { inner } else { picture };
        let built = build::build(isa, options, params, inner, &recipe.stages, first)?;
        let own: BTreeSet<&str> = built.params.iter().map(Param::key).collect();
        let others = params
            .iter()
            .filter(|(key, _)| !own.contains(key.as_str()))
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
            wanted: built.wanted,
            taps: built.taps,
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
        self.forward_dropping(input, n, None)
    }

    /// As [`Trainer::forward`] with stochastic depth: `uniform` gives a number in `[0, 1)` for each
    /// residual branch of the network and sample, by which it is decided whether the branch is left
    /// out.
    ///
    /// # Errors
    /// As [`Trainer::forward`].
    pub fn forward_dropping(
        &mut self,
        input: &[f32],
        n: usize,
        uniform: Option<&dyn Fn(usize, usize) -> f32>,
    ) -> Result<&[f32]> {
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
            layer.forward(n, &mut self.params, &mut self.buffers, uniform)?;
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
        self.backward_adding(gradient, &[])
    }

    /// As [`Trainer::backward`]; `adding` are further gradients of stages that
    /// [`TrainOptions::taps`] names, `[n, output of the stage]`.
    ///
    /// # Errors
    /// As [`Trainer::backward`], and where a stage is no tap.
    pub fn backward_adding(&mut self, gradient: &[f32], adding: &[(&str, &[f32])]) -> Result<()> {
        let n = self.pending.take().ok_or_else(|| {
            NnError::Unsupported("a backward pass without a forward pass before it".into())
        })?;
        super::check_len("gradient", gradient.len(), n, self.output.len())?;
        let last = self.buffers.tensors() - 1;
        let mut first = self.buffers.take(gradient.len());
        first.copy_from_slice(gradient);
        self.buffers.clear_gradients();
        self.buffers.set_gradient(last, first);
        for &(stage, gradient) in adding {
            let id = self.tap(stage)?;
            super::check_len("gradient", gradient.len(), n, self.buffers.len_of(id))?;
            let mut first = self.buffers.take(gradient.len());
            first.copy_from_slice(gradient);
            self.buffers.add_gradient(id, first);
        }
        for layer in self.layers.iter_mut().rev() {
            // Below the first layer that learns, nobody asks for a gradient.
            if self.wanted[layer.output()] {
                layer.backward(n, &mut self.params, &mut self.buffers)?;
            }
        }
        Ok(())
    }

    /// What a stage of [`TrainOptions::taps`] gave in the last forward pass of `n` samples.
    ///
    /// # Errors
    /// Where the stage is no tap.
    pub fn stage_output(&self, stage: &str, n: usize) -> Result<&[f32]> {
        let id = self.tap(stage)?;
        Ok(&self.buffers.tensor(id)[..n * self.buffers.len_of(id)])
    }

    fn tap(&self, stage: &str) -> Result<TensorId> {
        self.taps.get(stage).copied().ok_or_else(|| {
            NnError::Unsupported(format!(
                "activations of stage `{stage}`, which were not asked for"
            ))
        })
    }

    /// Gradient with respect to the trainable part's input, `[n, h, w, c]`, after a backward pass;
    /// `None` unless [`TrainOptions::input_gradient`] asked for it.
    pub fn input_gradient(&self) -> Option<&[f32]> {
        self.buffers.gradient(0)
    }

    /// The parameters that learn, in the order of the recipe.
    pub fn params(&self) -> impl Iterator<Item = ParamInfo<'_>> {
        self.params.iter().filter(|param| param.learns).map(Param::info)
    }

    /// The parameters that learn, in the same order; values may be changed.
    pub fn learned(&mut self) -> impl Iterator<Item = Learned<'_>> {
        self.layers.iter_mut().for_each(Layer::weights_moved);
        self.params.iter_mut().filter_map(Param::learned)
    }

    /// Takes over parameters and running statistics of the trained stages, as [`Trainer::export`]
    /// gives them.
    ///
    /// # Errors
    /// Where a parameter is missing or has another number of values.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        self.layers.iter_mut().for_each(Layer::weights_moved);
        self.params.iter_mut().try_for_each(|param| param.load(params))?;
        let mut norms = self.layers.iter_mut().filter_map(Layer::norm_mut);
        norms.try_for_each(|norm| norm.load(params))
    }

    /// Sets the share of a batch in running statistics, 0.1 at first. With 1/k at the k-th batch they
    /// become the mean over batches, as averaged weights need them.
    pub fn set_norm_momentum(&mut self, momentum: f64) {
        for norm in self.layers.iter_mut().filter_map(Layer::norm_mut) {
            norm.momentum = momentum;
        }
    }

    /// Whether any running statistics move.
    pub fn moves_statistics(&self) -> bool {
        let mut norms = self.layers.iter().filter_map(Layer::norm);
        norms.any(|norm| norm.mode == NormMode::Batch)
    }

    /// Gradients of the last backward pass, by checkpoint key and in the checkpoint's layout.
    pub fn gradients(&self) -> Params {
        self.params.iter().filter(|param| param.learns).map(Param::gradient_array).collect()
    }

    /// All parameters and running statistics, by checkpoint key and in the checkpoint's layout.
    pub fn export(&self) -> Params {
        let mut params = self.others.clone();
        params.extend(self.trained());
        params
    }

    /// Parameters and running statistics of the stages that are not frozen, likewise.
    pub fn trained(&self) -> Params {
        let mut params: Params = self.params.iter().map(Param::array).collect();
        for layer in &self.layers {
            params.extend(layer.norm().map(Norm::statistics).unwrap_or_default());
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
    Array { shape: vec![values.len()], data: values.to_vec().into() }
}
