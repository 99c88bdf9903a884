//! From a text encoder's blocks to tensors that learn.

use offshoot_kernels::{Attention, Isa, Linear, LinearGrad, Order, Precision};

use super::tensors::{Learns, Tensor};
use super::{Dense, Embed, Layer, Matrix, Norm, Saved, TextTrainer, TrainOptions};
use crate::blocks::{self, Block, EncoderLayer, TokenEmbed};
use crate::cpu::activation;
use crate::cpu::text::TextPlan;
use crate::cpu::{PlanOptions, stages_until};
use crate::{NnError, Params, Recipe, Result, Role};

/// Prepares a trainer.
pub(super) fn lower(
    recipe: &Recipe,
    params: &Params,
    options: &TrainOptions,
) -> Result<TextTrainer> {
    let input = *recipe.text()?;
    let isa = options.isa.unwrap_or_else(Isa::detect);
    let precision = options.precision;
    let (prefix, first) = match &options.frozen {
        None => (None, 0),
        Some(stage) => {
            let until = Some(stage.clone());
            let plan = PlanOptions { isa: Some(isa), precision, until, ..PlanOptions::default() };
            let prefix = match options.from_activations {
                true => None,
                false => Some(TextPlan::new(recipe, params, &plan)?),
            };
            (prefix, stages_until(recipe, Some(stage))?)
        }
    };
    let learns = |key: &str| options.learns.as_ref().is_none_or(|keys| keys.contains(key));
    let mut lowering = Lowering { isa, precision, params, learns: &learns, tensors: Vec::new() };
    let (mut embed, mut layers, mut pool, mut unit_length) = (None, Vec::new(), None, false);
    let (mut averaged, mut dense, mut features) = (1, Vec::new(), recipe.feature_dim);
    for block in recipe.stages[first..].iter().flat_map(|stage| &stage.blocks) {
        match block {
            Block::TokenEmbed(tables) => {
                features = tables.features;
                embed = Some(lowering.embed(tables)?);
            }
            Block::EncoderLayer(layer) => {
                features = layer.features;
                layers.push(lowering.layer(layer)?);
            }
            Block::LayerMean(last) => averaged = *last,
            Block::TokenPool(how) => pool = Some(*how),
            Block::Linear(linear) if pool.is_some() && !unit_length => {
                let key = std::slice::from_ref(&linear.key);
                let matrix = lowering.matrix(key, linear.inputs, linear.outputs)?;
                dense.push(Dense { matrix, act: activation(linear.act) });
            }
            Block::UnitLength => unit_length = true,
            other => {
                return Err(NnError::Unsupported(format!("{other:?} in a text encoder")));
            }
        }
    }
    let (Some(pool), false) = (pool, layers.is_empty() && embed.is_none()) else {
        return Err(NnError::Unsupported(format!(
            "nothing of `{}` learns: the layers are all frozen",
            recipe.name
        )));
    };
    if averaged > layers.len().max(1) {
        return Err(NnError::Unsupported(format!(
            "the mean of {averaged} layers, where {} learn",
            layers.len()
        )));
    }
    Ok(TextTrainer {
        isa,
        input,
        features,
        tensors: lowering.tensors,
        prefix,
        embed,
        layers,
        averaged,
        pool,
        dense,
        unit_length,
        outputs: recipe.feature_dim,
        stale: true,
        saved: Saved::default(),
        work: Default::default(),
        idle: Default::default(),
    })
}

pub(super) struct Lowering<'a> {
    pub isa: Isa,
    pub precision: Precision,
    pub params: &'a Params,
    pub learns: Learns<'a>,
    pub tensors: Vec<Tensor>,
}

impl Lowering<'_> {
    fn push(&mut self, tensor: Tensor) -> usize {
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    pub fn joined(
        &mut self,
        keys: &[String],
        field: &str,
        role: Role,
        shape: &[usize],
    ) -> Result<usize> {
        let keys = keys.iter().map(|key| format!("{key}.{field}")).collect();
        let tensor = Tensor::joined(self.params, keys, role, shape, self.learns)?;
        Ok(self.push(tensor))
    }

    fn embed(&mut self, tables: &TokenEmbed) -> Result<Embed> {
        let TokenEmbed { features, sizes, first_position, .. } = *tables;
        let mut table = |key: &String, rows: usize| {
            self.joined(std::slice::from_ref(key), "weight", Role::Weight, &[rows, features])
        };
        Ok(Embed {
            words: table(&tables.words, sizes.vocabulary)?,
            positions: tables
                .positions
                .as_ref()
                .map(|key| table(key, first_position + sizes.longest))
                .transpose()?,
            first_position,
            types: tables.types.as_ref().map(|key| table(key, sizes.types)).transpose()?,
            norm: tables.norm.as_ref().map(|norm| self.norm(norm, features)).transpose()?,
        })
    }

    fn layer(&mut self, layer: &EncoderLayer) -> Result<Layer> {
        let EncoderLayer { features, heads, hidden, .. } = *layer;
        if heads == 0 || !features.is_multiple_of(heads) {
            return Err(NnError::Unsupported(format!("{heads} heads share {features} features")));
        }
        let one = std::slice::from_ref::<String>;
        Ok(Layer {
            projections: self.matrix(&layer.projections, features, features)?,
            attention: Attention::new(self.isa, self.precision, heads, features / heads)?,
            output: self.matrix(one(&layer.output), features, features)?,
            attention_norm: self.norm(&layer.attention_norm, features)?,
            expand: self.matrix(one(&layer.expand), features, hidden)?,
            act: activation(layer.act),
            shrink: self.matrix(one(&layer.shrink), hidden, features)?,
            norm: self.norm(&layer.norm, features)?,
        })
    }

    /// Matrices that share their input, side by side.
    pub fn matrix(&mut self, keys: &[String], inputs: usize, outputs: usize) -> Result<Matrix> {
        let weights = keys.iter().map(|key| format!("{key}.weight")).collect();
        let weight = Tensor::transposed(self.params, weights, inputs, outputs, self.learns)?;
        let all = keys.len() * outputs;
        Ok(Matrix {
            weight: self.push(weight),
            bias: self.joined(keys, "bias", Role::Bias, &[outputs])?,
            forward: Linear::planned(self.isa, self.precision, inputs, all)?,
            grad: LinearGrad::new(self.isa, self.precision, inputs, all)?,
        })
    }

    pub fn norm(&mut self, norm: &blocks::LayerNorm, features: usize) -> Result<Norm> {
        let key = std::slice::from_ref(&norm.key);
        Ok(Norm {
            weight: self.joined(key, "weight", Role::NormWeight, &[features])?,
            bias: self.joined(key, "bias", Role::NormBias, &[features])?,
            eps: norm.eps,
        })
    }
}

impl Matrix {
    /// Brings the packed forms up to date.
    pub(super) fn pack(&mut self, tensors: &[Tensor]) -> Result<()> {
        let (weight, bias) = (&tensors[self.weight].value, &tensors[self.bias].value);
        self.forward.pack(Order::Hwio, weight, bias)?;
        Ok(self.grad.pack(weight)?)
    }
}

impl Norm {
    pub(super) fn kernel<'a>(&self, tensors: &'a [Tensor]) -> offshoot_kernels::LayerNorm<'a> {
        offshoot_kernels::LayerNorm {
            weight: &tensors[self.weight].value,
            bias: &tensors[self.bias].value,
            eps: self.eps,
        }
    }
}
