//! From a text encoder's blocks to packed matrices.

use offshoot_kernels::{
    Activation, Attention, Isa, LayerNorm, Linear, LinesConv, Precision, Window,
};

use crate::blocks::{self, Block, EncoderLayer, TokenEmbed, TokenPool};
use crate::cpu::activation;
use crate::cpu::fold::array;
use crate::{NnError, Params, Result};

/// The tables of the first block.
pub(super) struct Embed {
    pub features: usize,
    pub words: Vec<f32>,
    pub positions: Option<Vec<f32>>,
    /// Row of `positions` that a sequence's first token takes.
    pub first_position: usize,
    pub types: Option<Vec<f32>>,
    pub norm: Option<Norm>,
}

/// Parameters of a layer norm.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl Norm {
    pub fn kernel(&self) -> LayerNorm<'_> {
        LayerNorm { weight: &self.weight, bias: &self.bias, eps: self.eps }
    }
}

/// An encoder layer.
pub(super) struct Layer {
    pub isa: Isa,
    /// Queries, keys and values side by side.
    pub projections: Linear,
    pub attention: Attention,
    pub output: Linear,
    pub attention_norm: Norm,
    pub wide: Wide,
    pub act: Activation,
    pub norm: Norm,
}

/// The two matrices of the feed-forward network, and how what lies between them is kept.
pub(super) enum Wide {
    Values {
        expand: Linear,
        shrink: Linear,
    },
    /// In bf16, as the second product rounds its operands anyhow.
    Lines {
        expand: LinesConv,
        shrink: LinesConv,
        hidden: usize,
    },
}

/// What turns tokens into vectors.
pub(super) enum After {
    Pool(TokenPool),
    Dense(Dense),
    UnitLength,
}

/// A fully connected layer on vectors.
pub(super) struct Dense {
    pub matrix: Linear,
    pub act: Activation,
}

/// A packed encoder.
pub(super) struct Lowered {
    /// `None` for a plan that begins after a layer.
    pub embed: Option<Embed>,
    pub features: usize,
    pub layers: Vec<Layer>,
    /// So many of the last layers' outputs are averaged before the pool.
    pub averaged: usize,
    pub after: Vec<After>,
}

/// Packs `blocks`: tables first, layers, then the pool and what follows it. Without `tables` the
/// input is rows of as many features as the first layer has.
pub(super) fn lower<'a>(
    isa: Isa,
    precision: Precision,
    params: &Params,
    blocks: impl Iterator<Item = &'a Block>,
    tables: bool,
) -> Result<Lowered> {
    let packing = Packing { isa, precision, params };
    let (mut embed, mut layers, mut after) = (None, Vec::new(), Vec::new());
    let (mut features, mut averaged) = (None, 1);
    for block in blocks {
        match (block, features) {
            (Block::TokenEmbed(block), None) if tables => {
                features = Some(block.features);
                embed = Some(packing.embed(block)?);
            }
            (Block::EncoderLayer(layer), known)
                if after.is_empty()
                    && known.map_or(!tables, |features| features == layer.features) =>
            {
                features = Some(layer.features);
                layers.push(packing.layer(layer)?);
            }
            (Block::LayerMean(last), Some(_)) if after.is_empty() => {
                if *last == 0 || *last > layers.len() {
                    return Err(NnError::Unsupported(format!(
                        "the mean of {last} layers, where {} are computed",
                        layers.len()
                    )));
                }
                averaged = *last;
            }
            (Block::TokenPool(pool), Some(_)) if after.is_empty() => {
                after.push(After::Pool(*pool));
            }
            (Block::Linear(linear), Some(_)) if !after.is_empty() => {
                let matrix = packing.linear(&linear.key, linear.inputs, linear.outputs)?;
                after.push(After::Dense(Dense { matrix, act: activation(linear.act) }));
            }
            (Block::UnitLength, _) if !after.is_empty() => after.push(After::UnitLength),
            _ => {
                return Err(NnError::Unsupported(format!(
                    "{block:?} at this place of a text encoder"
                )));
            }
        }
    }
    let features =
        features.ok_or_else(|| NnError::Unsupported("a text encoder without tables".into()))?;
    Ok(Lowered { embed, features, layers, averaged, after })
}

struct Packing<'a> {
    isa: Isa,
    precision: Precision,
    params: &'a Params,
}

impl<'a> Packing<'a> {
    fn read(&self, key: &str, field: &str, len: usize) -> Result<&'a [f32]> {
        array(self.params, &format!("{key}.{field}"), len)
    }

    fn embed(&self, tables: &TokenEmbed) -> Result<Embed> {
        let TokenEmbed { features, sizes, first_position, .. } = *tables;
        let table =
            |key: &str, rows: usize| self.read(key, "weight", rows * features).map(<[f32]>::to_vec);
        let places = first_position + sizes.longest;
        Ok(Embed {
            features,
            words: table(&tables.words, sizes.vocabulary)?,
            positions: tables.positions.as_ref().map(|key| table(key, places)).transpose()?,
            first_position,
            types: tables.types.as_ref().map(|key| table(key, sizes.types)).transpose()?,
            norm: tables.norm.as_ref().map(|norm| self.norm(norm, features)).transpose()?,
        })
    }

    fn layer(&self, layer: &EncoderLayer) -> Result<Layer> {
        let EncoderLayer { features, heads, .. } = *layer;
        if heads == 0 || !features.is_multiple_of(heads) {
            return Err(NnError::Unsupported(format!("{heads} heads share {features} features")));
        }
        let mut weight = Vec::with_capacity(3 * features * features);
        let mut bias = Vec::with_capacity(3 * features);
        for key in &layer.projections {
            weight.extend_from_slice(self.read(key, "weight", features * features)?);
            bias.extend_from_slice(self.read(key, "bias", features)?);
        }
        let (isa, precision) = (self.isa, self.precision);
        Ok(Layer {
            isa,
            projections: Linear::new(isa, precision, features, 3 * features, &weight, &bias)?,
            attention: Attention::new(isa, precision, heads, features / heads)?,
            output: self.linear(&layer.output, features, features)?,
            attention_norm: self.norm(&layer.attention_norm, features)?,
            wide: self.wide(layer)?,
            act: activation(layer.act),
            norm: self.norm(&layer.norm, features)?,
        })
    }

    fn wide(&self, layer: &EncoderLayer) -> Result<Wide> {
        let EncoderLayer { features, hidden, .. } = *layer;
        if !self.isa.has_bf16() || self.precision != Precision::Bf16 {
            return Ok(Wide::Values {
                expand: self.linear(&layer.expand, features, hidden)?,
                shrink: self.linear(&layer.shrink, hidden, features)?,
            });
        }
        let weights = |key: &str, outputs: usize| {
            let weight = self.read(key, "weight", hidden * features)?;
            Ok::<_, NnError>((weight, self.read(key, "bias", outputs)?))
        };
        let (weight, bias) = weights(&layer.expand, hidden)?;
        let expand = LinesConv::of_values(self.isa, Window::PIXEL, features, hidden, weight, bias)?;
        let (weight, bias) = weights(&layer.shrink, features)?;
        let shrink = LinesConv::new(self.isa, Window::PIXEL, hidden, features, weight, bias)?;
        Ok(Wide::Lines { expand, shrink, hidden })
    }

    fn linear(&self, key: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.read(key, "weight", inputs * outputs)?;
        let bias = self.read(key, "bias", outputs)?;
        Ok(Linear::new(self.isa, self.precision, inputs, outputs, weight, bias)?)
    }

    fn norm(&self, norm: &blocks::LayerNorm, features: usize) -> Result<Norm> {
        Ok(Norm {
            weight: self.read(&norm.key, "weight", features)?.to_vec(),
            bias: self.read(&norm.key, "bias", features)?.to_vec(),
            eps: norm.eps,
        })
    }
}
