//! What learns in one phase: a part of the network, and the head.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_nn::cpu::train::NormMode;
use offshoot_nn::{Array, Params, Precision, Recipe, Role};
use rayon::prelude::*;

use super::groups::Groups;
use super::head::LinearHead;
use super::lora::LowRank;
use super::net::{self, Brought, Net};
use super::optimiser::{Optimiser, Rate};
use super::strategy::Phase;
use crate::regularize::Regularizers;
use crate::{Result, TransferError};

/// Keys of the head's parameters, in checkpoints and in exports.
pub const HEAD: [&str; 2] = ["head.weight", "head.bias"];

/// How a learner is built.
pub struct Options<'a> {
    /// The network.
    pub recipe: &'a Recipe,
    /// Its groups.
    pub groups: &'a Groups,
    /// What learns, and how fast.
    pub phase: &'a Phase,
    /// Of dense products.
    pub precision: Precision,
    /// What batch norms normalise by.
    pub norm: NormMode,
    /// Stochastic depth.
    pub drop_path: f64,
    /// Rank and α of low-rank products.
    pub low_rank: (usize, f64),
    /// Whether the input is the boundary's activations.
    pub from_activations: bool,
    /// Stages whose outputs loss terms want.
    pub taps: Vec<String>,
    /// Keys random draws.
    pub seed: u64,
}

/// A network with a head while both learn.
pub struct Learner {
    net: Net,
    /// The head.
    pub head: LinearHead,
    /// Loss terms, whose own tensors learn with the network.
    pub regularizers: Regularizers,
    low_rank: Option<LowRank>,
    group_of: BTreeMap<String, usize>,
    head_group: usize,
    /// Gradients of parts of a batch, summed.
    sums: BTreeMap<String, Vec<f32>>,
}

impl Learner {
    /// Prepares the part of `params` that learns.
    pub fn new(options: &Options<'_>, params: &Params, head: LinearHead) -> Result<Self> {
        let Options { recipe, groups, phase, .. } = options;
        let own = net::Options {
            precision: options.precision,
            frozen_until: groups.boundary(&phase.learns).map(str::to_string),
            from_activations: options.from_activations,
            learns: &phase.learns,
            norm: options.norm,
            drop_path: options.drop_path,
            taps: options.taps.clone(),
        };
        let mut net = Net::new(recipe, params, &own)?;
        let low_rank = phase.low_rank.then(|| {
            let inputs = |key: &str| params.get(key).and_then(|array| array.shape.get(1)).copied();
            let (rank, alpha) = options.low_rank;
            LowRank::new(net.learned(), inputs, rank, alpha, options.seed)
        });
        let group = |key: &String| (key.clone(), groups.of(key).unwrap_or(0));
        Ok(Self {
            net,
            head,
            regularizers: Regularizers::default(),
            low_rank,
            group_of: phase.learns.iter().map(group).collect(),
            head_group: groups.len(),
            sums: BTreeMap::new(),
        })
    }

    /// Features `[n, dim]` of `n` inputs, in training form.
    pub fn forward(
        &mut self,
        input: &Brought,
        n: usize,
        drops: Option<&dyn Fn(usize, usize) -> f32>,
    ) -> Result<Vec<f32>> {
        self.net.forward(input, n, drops)
    }

    /// What a stage gave in the last forward pass.
    pub fn stage_output(&self, stage: &str, n: usize) -> Result<Vec<f32>> {
        self.net.stage_output(stage, n)
    }

    /// Forms the network's gradients from the features' and those of stages.
    pub fn backward(&mut self, to_features: &[f32], stages: &[(&str, &[f32])]) -> Result<()> {
        self.net.backward(to_features, stages)
    }

    /// Adds the gradients of the last backward pass, which was over `share` of the batch.
    pub fn accumulate(&mut self, share: f32) {
        let sums = &mut self.sums;
        let mut add = |key: &str, gradient: &[f32]| {
            let sum = sums.entry(key.to_string()).or_insert_with(|| vec![0.0; gradient.len()]);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += share * g);
        };
        for tensor in self.net.learned() {
            add(&tensor.keys[0], tensor.gradient);
        }
        add(HEAD[0], &self.head.weight_gradient);
        add(HEAD[1], &self.head.bias_gradient);
        for own in self.regularizers.own() {
            add(own.key, own.gradient);
        }
    }

    /// One step of the optimiser along the accumulated gradients, or those of the last backward pass.
    /// `rate` gives a group's learning rate; matrices alone decay. Returns the gradient's global
    /// norm; where that is not finite, nothing has changed.
    pub fn update(
        &mut self,
        optimiser: &mut Optimiser,
        rate: impl Fn(usize, bool) -> Rate,
        clip: f64,
    ) -> f64 {
        let sums = std::mem::take(&mut self.sums);
        let norm = self.norm(&sums);
        if !norm.is_finite() {
            return norm;
        }
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let mut step = |key: &str, rate: Rate, value: &mut [f32], gradient: &[f32]| {
            optimiser.update(key, Rate { scale, ..rate }, value, gradient);
        };
        for tensor in self.net.learned() {
            let key = &tensor.keys[0];
            let gradient = sums.get(key).map_or(tensor.gradient, Vec::as_slice);
            let rate =
                rate(self.group_of.get(key).copied().unwrap_or(0), tensor.role == Role::Weight);
            let adapted = self.low_rank.as_mut().is_some_and(|low_rank| {
                low_rank.update(key, tensor.value, gradient, |factor, value, gradient| {
                    step(&format!("{key}.{factor}"), rate, value, gradient);
                })
            });
            if !adapted {
                step(key, rate, tensor.value, gradient);
            }
        }
        let LinearHead { weight, bias, weight_gradient, bias_gradient, .. } = &mut self.head;
        let parts = [(weight, weight_gradient, true), (bias, bias_gradient, false)];
        for (key, (value, gradient, decays)) in HEAD.into_iter().zip(parts) {
            let gradient = sums.get(key).map_or(gradient.as_slice(), Vec::as_slice);
            step(key, rate(self.head_group, decays), value, gradient);
        }
        for own in self.regularizers.own() {
            let gradient = sums.get(own.key).map_or(own.gradient, Vec::as_slice);
            let own_rate = rate(self.head_group, own.decays);
            step(own.key, Rate { lr: own.rate * own_rate.lr, ..own_rate }, own.value, gradient);
        }
        norm
    }

    /// The global norm of everything that learns.
    fn norm(&mut self, sums: &BTreeMap<String, Vec<f32>>) -> f64 {
        let mut total = 0.0;
        for tensor in self.net.learned() {
            let key = &tensor.keys[0];
            let gradient = sums.get(key).map_or(tensor.gradient, Vec::as_slice);
            let factors = self.low_rank.as_ref().and_then(|l| l.gradients(key, gradient));
            total += match factors {
                Some([a, b]) => squares(&a) + squares(&b),
                None => squares(gradient),
            };
        }
        let own = [&self.head.weight_gradient, &self.head.bias_gradient];
        for (key, gradient) in HEAD.into_iter().zip(own) {
            total += squares(sums.get(key).unwrap_or(gradient));
        }
        for own in self.regularizers.own() {
            total += squares(sums.get(own.key).map_or(own.gradient, Vec::as_slice));
        }
        total.sqrt()
    }

    /// `‖gradient‖ / ‖weights‖` of each group after a backward pass.
    pub fn sensitivity(&mut self) -> Vec<f64> {
        let mut sums = vec![[0.0f64; 2]; self.head_group];
        for tensor in self.net.learned() {
            let Some(&group) = self.group_of.get(&tensor.keys[0]) else { continue };
            sums[group][0] += squares(tensor.gradient);
            sums[group][1] += squares(tensor.value);
        }
        sums.into_iter().map(|[g, w]| (g / w.max(f64::MIN_POSITIVE)).sqrt()).collect()
    }

    /// Pulls weights toward `origin`, which [`Learner::values`] gave: `w ← w − lr·α·(w − w⁰)`, the
    /// decoupled form of L2-SP (Li et al. 2018, arXiv:1802.01483). The head is not pulled.
    pub fn pull(&mut self, origin: &BTreeMap<String, Vec<f32>>, strength: impl Fn(usize) -> f64) {
        for tensor in self.net.learned() {
            let key = &tensor.keys[0];
            let Some(origin) = origin.get(key) else { continue };
            let share = strength(self.group_of.get(key).copied().unwrap_or(0)) as f32;
            tensor.value.iter_mut().zip(origin).for_each(|(w, w0)| *w -= share * (*w - w0));
        }
    }

    /// Values of what learns in the network, in the trainer's own order.
    pub fn values(&mut self) -> BTreeMap<String, Vec<f32>> {
        self.net.learned().map(|t| (t.keys[0].clone(), t.value.to_vec())).collect()
    }

    /// Parameters and statistics of the stages that are not frozen, and the head.
    pub fn trained(&self) -> Params {
        let mut params = self.net.trained();
        params.extend(head_params(&self.head));
        params
    }

    /// Takes over what [`Learner::trained`] gave.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        self.net.load(params)?;
        load_head(&mut self.head, params)
    }

    /// Factors of low-rank products, ready to be added to other copies of the network.
    pub fn factors(&self) -> Params {
        self.low_rank.as_ref().map(LowRank::exported).unwrap_or_default()
    }

    /// What learns beside the network and its head: factors of low-rank products with the matrices
    /// below them, and tensors of loss terms.
    pub fn extras(&mut self) -> Params {
        let mut extras = self.regularizers.state();
        extras.extend(self.low_rank.as_ref().map(|l| l.state(true)).unwrap_or_default());
        extras
    }

    /// Takes over what [`Learner::extras`] gave; nothing changes where that is empty.
    pub fn restore_extras(&mut self, state: &Params) -> Result<()> {
        if state.is_empty() {
            return Ok(());
        }
        self.regularizers.restore(state)?;
        self.low_rank.as_mut().map_or(Ok(()), |l| l.restore(state))
    }

    /// Number of values that learn, the head's included.
    pub fn learning(&self) -> usize {
        let network = match &self.low_rank {
            Some(low_rank) => low_rank.values(),
            None => self.net.learning(),
        };
        network + self.head.weight.len() + self.head.bias.len()
    }

    /// Whether running statistics follow the batches.
    pub fn moves_statistics(&self) -> bool {
        self.net.moves_statistics()
    }

    /// See [`Net::set_norm_momentum`].
    pub fn set_norm_momentum(&mut self, momentum: f64) {
        self.net.set_norm_momentum(momentum);
    }
}

/// Sum of squares, by parts whose sums are added in order: the same bits on any number of threads.
pub fn squares(values: &[f32]) -> f64 {
    const PART: usize = 1 << 14;
    let part = |values: &[f32]| {
        let (whole, rest) = values.as_chunks::<8>();
        let mut lanes = [0.0f64; 8];
        for eight in whole {
            lanes.iter_mut().zip(eight).for_each(|(lane, &v)| *lane += f64::from(v) * f64::from(v));
        }
        lanes.iter().sum::<f64>() + rest.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>()
    };
    let parts: Vec<f64> = values.par_chunks(PART).map(part).collect();
    parts.iter().sum()
}

/// The head under the keys of [`HEAD`].
pub fn head_params(head: &LinearHead) -> Params {
    let weight = Array { shape: vec![head.classes, head.dim], data: head.weight.clone().into() };
    let bias = Array { shape: vec![head.classes], data: head.bias.clone().into() };
    Params::from([(HEAD[0].to_string(), weight), (HEAD[1].to_string(), bias)])
}

/// Takes over a head of the same size.
pub fn load_head(head: &mut LinearHead, params: &Params) -> Result<()> {
    for (key, to) in HEAD.into_iter().zip([&mut head.weight, &mut head.bias]) {
        let from = params.get(key).filter(|array| array.data.len() == to.len());
        let from = from.ok_or_else(|| {
            TransferError::ModelRefused(format!("no fitting `{key}` among the weights"))
        })?;
        to.copy_from_slice(&from.data);
    }
    Ok(())
}

/// Keys of `params` that belong to the network.
pub fn network_keys(params: &Params) -> BTreeSet<&String> {
    params.keys().filter(|key| !HEAD.contains(&key.as_str())).collect()
}
