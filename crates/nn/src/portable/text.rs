//! Text encoders in plain tensor operations.
//!
//! Sequences are padded to the longest with tokens that do not count, as other libraries do; the
//! outputs are reported without the padding.

use super::{Network, activate};
use crate::blocks::{Act, Block, EncoderLayer, LayerNorm, Linear, TokenEmbed, TokenPool};
use crate::{Array, NnError, Recipe, Result, TextBatch};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

/// Runs a text encoder and returns every stage's output: `[tokens, features]` with the tokens of
/// all sequences end to end, or `[sequences, features]` from the pool on.
///
/// # Errors
/// [`NnError::Unsupported`] for a batch that does not fit the recipe, [`NnError::Mismatch`] where
/// `params` lacks an array.
pub fn run_text(
    recipe: &Recipe,
    params: &crate::Params,
    batch: &TextBatch,
) -> Result<Vec<(&'static str, Array)>> {
    batch.check(recipe.text()?)?;
    let network = Network { recipe, params, device: Device::default(), tape: None };
    let padded = Padded::new(batch);
    let (mut value, mut states) = (Value::Start, Vec::new());
    let mut out = Vec::with_capacity(recipe.stages.len());
    for stage in &recipe.stages {
        for block in &stage.blocks {
            value = network.text_block(block, &padded, &states, value)?;
            if let (Block::EncoderLayer(_), Value::Tokens(x)) = (block, &value) {
                states.push(x.clone());
            }
        }
        out.push((stage.name, padded.array(&value)?));
    }
    Ok(out)
}

/// Activations between two blocks.
enum Value {
    Start,
    /// `[n, longest, features]`.
    Tokens(Tensor<3>),
    /// `[n, features]`.
    Rows(Tensor<2>),
}

/// A batch as rectangles of `[n, longest]`.
struct Padded {
    n: usize,
    longest: usize,
    ids: Vec<i64>,
    types: Vec<i64>,
    /// One for a token that counts, zero for others and for padding.
    keep: Vec<f32>,
    lengths: Vec<usize>,
}

impl Padded {
    fn new(batch: &TextBatch) -> Self {
        let lengths: Vec<usize> = batch.sequences().map(|range| range.len()).collect();
        let n = lengths.len();
        // A rectangle without area is no tensor.
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut padded = Self {
            n,
            longest,
            ids: vec![0; n * longest],
            types: vec![0; n * longest],
            keep: vec![0.0; n * longest],
            lengths,
        };
        for (i, range) in batch.sequences().enumerate() {
            for (t, at) in range.enumerate() {
                padded.ids[i * longest + t] = i64::from(batch.ids()[at]);
                padded.types[i * longest + t] = i64::from(batch.types()[at]);
                padded.keep[i * longest + t] = f32::from(u8::from(batch.keep()[at]));
            }
        }
        padded
    }

    /// Rows of the tokens that were in the batch.
    fn array(&self, value: &Value) -> Result<Array> {
        let read = |data: std::result::Result<Vec<f32>, _>| {
            data.map_err(|error| NnError::Unsupported(format!("tensor engine: {error}")))
        };
        match value {
            Value::Start => Err(NnError::Unsupported("a stage without blocks".into())),
            Value::Rows(rows) => {
                let shape = rows.dims().to_vec();
                Ok(Array { shape, data: read(rows.clone().try_into_vec_as::<f32>())?.into() })
            }
            Value::Tokens(tokens) => {
                let features = tokens.dims()[2];
                let all = read(tokens.clone().try_into_vec_as::<f32>())?;
                let mut data = Vec::new();
                let each = all.chunks_exact(self.longest * features);
                for (sequence, length) in each.zip(&self.lengths) {
                    data.extend_from_slice(&sequence[..length * features]);
                }
                Ok(Array { shape: vec![self.lengths.iter().sum(), features], data: data.into() })
            }
        }
    }
}

impl Network<'_> {
    /// `states`: what the encoder layers before gave.
    fn text_block(
        &self,
        block: &Block,
        batch: &Padded,
        states: &[Tensor<3>],
        value: Value,
    ) -> Result<Value> {
        Ok(match (block, value) {
            (Block::TokenEmbed(embed), Value::Start) => Value::Tokens(self.embed(embed, batch)?),
            (Block::EncoderLayer(layer), Value::Tokens(x)) => {
                Value::Tokens(self.encoder_layer(layer, batch, x)?)
            }
            (Block::TokenPool(pool), Value::Tokens(x)) => {
                Value::Rows(self.token_pool(*pool, batch, x))
            }
            (Block::LayerMean(last), Value::Tokens(x)) => {
                Value::Tokens(layer_mean(states, *last, x)?)
            }
            (Block::UnitLength, Value::Rows(x)) => {
                let length = (x.clone() * x.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
                Value::Rows(x / length)
            }
            (Block::Linear(linear), Value::Rows(x)) => Value::Rows(self.linear(linear, x)?),
            (block, _) => {
                return Err(NnError::Unsupported(format!(
                    "recipe `{}`: {block:?} after the wrong kind of block",
                    self.recipe.name
                )));
            }
        })
    }

    fn embed(&self, embed: &TokenEmbed, batch: &Padded) -> Result<Tensor<3>> {
        let (n, longest, features) = (batch.n, batch.longest, embed.features);
        let rows = |key: &str, size: usize, ids: &[i64]| {
            let table = self.param::<2>(key, "weight", [size, features])?;
            let ids = Tensor::<1, Int>::from_data(
                TensorData::new(ids.to_vec(), [ids.len()]),
                &self.device,
            );
            Ok::<_, NnError>(table.select(0, ids))
        };
        let positions: Vec<i64> =
            (0..n * longest).map(|i| (embed.first_position + i % longest) as i64).collect();
        let last = embed.first_position + embed.sizes.longest;
        let mut sum = rows(&embed.words, embed.sizes.vocabulary, &batch.ids)?;
        if let Some(places) = &embed.positions {
            sum = sum + rows(places, last, &positions)?;
        }
        if let Some(types) = &embed.types {
            sum = sum + rows(types, embed.sizes.types, &batch.types)?;
        }
        if let Some(norm) = &embed.norm {
            sum = self.layer_norm(norm, sum)?;
        }
        Ok(sum.reshape([n, longest, features]))
    }

    fn encoder_layer(
        &self,
        layer: &EncoderLayer,
        batch: &Padded,
        x: Tensor<3>,
    ) -> Result<Tensor<3>> {
        let EncoderLayer { features, heads, hidden, .. } = *layer;
        let (n, longest) = (batch.n, batch.longest);
        let rows = x.reshape([n * longest, features]);
        let linear = |key: &str, inputs, outputs, act, x: Tensor<2>| {
            self.linear(&Linear { key: key.to_string(), inputs, outputs, act }, x)
        };
        let dim = features / heads;
        let split = |key: &str| {
            let y = linear(key, features, features, Act::None, rows.clone())?;
            Ok::<_, NnError>(y.reshape([n, longest, heads, dim]).swap_dims(1, 2))
        };
        let [q, k, v] = &layer.projections;
        let (q, k, v) = (split(q)?, split(k)?, split(v)?);
        let scores = q.matmul(k.transpose()) / (dim as f64).sqrt();
        // Probabilities over the keys that count; where none does, all are zero.
        let keep = self.tensor::<4>(&batch.keep, [n, 1, 1, longest]);
        let hidden_keys = (keep.clone() - 1.0) * 1e30;
        let weights = activation::softmax(scores + hidden_keys, 3) * keep;
        let mixed = weights.matmul(v).swap_dims(1, 2).reshape([n * longest, features]);
        let attended = linear(&layer.output, features, features, Act::None, mixed)?;
        let y = self.layer_norm(&layer.attention_norm, rows + attended)?;
        let wide =
            activate(layer.act, linear(&layer.expand, features, hidden, Act::None, y.clone())?);
        let narrow = linear(&layer.shrink, hidden, features, Act::None, wide)?;
        Ok(self.layer_norm(&layer.norm, y + narrow)?.reshape([n, longest, features]))
    }

    /// `(x − μ)/√(σ² + ε)·γ + β` over each row.
    fn layer_norm(&self, norm: &LayerNorm, x: Tensor<2>) -> Result<Tensor<2>> {
        let features = x.dims()[1];
        let get = |field| {
            let row = self.param::<1>(&norm.key, field, [features])?;
            Ok::<_, NnError>(row.reshape([1, features]))
        };
        let centred = x.clone() - x.mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        Ok(centred / (variance + norm.eps).sqrt() * get("weight")? + get("bias")?)
    }

    fn token_pool(&self, pool: TokenPool, batch: &Padded, x: Tensor<3>) -> Tensor<2> {
        let [n, longest, features] = x.dims();
        let n_counted = |i: usize| (0..longest).filter(move |t| batch.keep[i * longest + t] > 0.0);
        let one_of = |place: &dyn Fn(usize) -> Option<usize>| -> Vec<f32> {
            (0..n * longest)
                .map(|at| f32::from(u8::from(place(at / longest) == Some(at % longest))))
                .collect()
        };
        let weights: Vec<f32> = match pool {
            TokenPool::Mean | TokenPool::MeanSqrtLength | TokenPool::Max => batch.keep.clone(),
            TokenPool::First => one_of(&|i| (batch.lengths[i] > 0).then_some(0)),
            TokenPool::Last => one_of(&|i| n_counted(i).next_back()),
        };
        let weights = self.tensor::<3>(&weights, [n, longest, 1]);
        let count = weights.clone().sum_dim(1).clamp_min(1e-9);
        let pooled = match pool {
            TokenPool::Max => {
                let hidden = (weights.clone() - 1.0) * 1e30;
                // Zero where no token counts.
                (x + hidden).max_dim(1) * count.clamp_max(1.0).round()
            }
            TokenPool::MeanSqrtLength => (x * weights).sum_dim(1) / count.sqrt(),
            _ => (x * weights).sum_dim(1) / count,
        };
        pooled.reshape([n, features])
    }
}

/// The mean of the last layers' outputs; `x` is the last one's.
fn layer_mean(states: &[Tensor<3>], last: usize, x: Tensor<3>) -> Result<Tensor<3>> {
    let first = states.len().checked_sub(last).filter(|_| last > 0);
    let first = first.ok_or_else(|| {
        NnError::Unsupported(format!("the mean of {last} of {} layers", states.len()))
    })?;
    let sum = states[first..].iter().cloned().reduce(|sum, state| sum + state);
    Ok(sum.unwrap_or(x) / last as f64)
}
