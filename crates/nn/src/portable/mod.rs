//! The reference interpreter: what a recipe means, in plain tensor operations.
//!
//! Nothing is fused or folded and every block is written as its definition, so that this file can
//! be checked by reading. Layout inside is NCHW, as Burn's operations want it.

mod text;
mod training;

pub use text::run_text;
pub use training::{Gradients, gradients};

use crate::blocks::{
    Act, BatchNorm, Block, ConvNormAct, Linear, Residual, Shortcut, SqueezeExcite,
};
use crate::{Array, NnError, Params, Recipe, Result};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation, module};

/// Name under which [`run`] reports the source classifier's output.
pub const LOGITS: &str = "logits";

/// Activations between two blocks.
enum Value {
    /// `[n, c, h, w]`.
    Map(Tensor<4>),
    /// `[n, d]`.
    Rows(Tensor<2>),
}

/// Runs `recipe` in evaluation mode and returns every stage's output, then the classifier's as
/// [`LOGITS`] if the recipe has one and `params` holds it.
///
/// `input` is `[n, h, w, c]`, already normalised; outputs are `[n, h, w, c]` or `[n, d]`.
///
/// # Errors
/// [`NnError::Unsupported`] for an input that does not fit the recipe, [`NnError::Mismatch`] where
/// `params` lacks an array.
pub fn run(recipe: &Recipe, params: &Params, input: &Array) -> Result<Vec<(&'static str, Array)>> {
    let [n, height, width, channels] = check_input(recipe, input)?;
    let network = Network { recipe, params, device: Device::default(), tape: None };
    let pixels = network.tensor::<4>(&input.data, [n, height, width, channels]);
    let mut value = Value::Map(pixels.permute([0, 3, 1, 2]));
    let mut out = Vec::with_capacity(recipe.stages.len() + 1);
    for stage in &recipe.stages {
        for block in &stage.blocks {
            value = network.block(block, value)?;
        }
        out.push((stage.name, network.array(&value)?));
    }
    if let (Some(head), Value::Rows(features)) = (&recipe.head, value)
        && params.contains_key(&format!("{}.weight", head.key))
    {
        let logits = network.linear(head, features)?;
        out.push((LOGITS, network.array(&Value::Rows(logits))?));
    }
    Ok(out)
}

/// The sizes of `input`, `[n, h, w, c]`, when the recipe can take them.
fn check_input(recipe: &Recipe, input: &Array) -> Result<[usize; 4]> {
    let &[n, height, width, channels] = input.shape.as_slice() else {
        return Err(NnError::Unsupported(format!("input is {:?}, not [n, h, w, c]", input.shape)));
    };
    let expected = recipe.picture()?.channels.count();
    if channels != expected || n * height * width * channels != input.data.len() {
        return Err(NnError::Unsupported(format!(
            "input is {:?} with {} values, recipe `{}` takes {} channels",
            input.shape,
            input.data.len(),
            recipe.name,
            expected
        )));
    }
    // Burn panics where a window does not fit; the recipe knows beforehand.
    recipe.shapes(height, width)?;
    Ok([n, height, width, channels])
}

struct Network<'a> {
    recipe: &'a Recipe,
    params: &'a Params,
    device: Device,
    /// Present where gradients are wanted.
    tape: Option<training::Tape>,
}

impl Network<'_> {
    fn block(&self, block: &Block, value: Value) -> Result<Value> {
        Ok(match (block, value) {
            (Block::Conv(layer), Value::Map(x)) => Value::Map(self.conv(layer, x)?),
            (Block::Residual(residual), Value::Map(x)) => Value::Map(self.residual(residual, x)?),
            (Block::MaxPool { kernel, stride, padding }, Value::Map(x)) => {
                let [_, _, height, width] = x.dims();
                let mut options = MaxPoolOptions::new([*kernel; 2]);
                options.stride = [*stride; 2];
                options.padding =
                    [height, width].map(|size| padding.around(size, *kernel, *stride));
                Value::Map(module::max_pool2d(x, options))
            }
            (Block::GlobalAvgPool, Value::Map(x)) => {
                let [n, channels, _, _] = x.dims();
                Value::Rows(x.mean_dim(3).mean_dim(2).reshape([n, channels]))
            }
            (Block::Flatten, Value::Map(x)) => {
                let [n, channels, height, width] = x.dims();
                Value::Rows(x.reshape([n, channels * height * width]))
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

    fn conv(&self, layer: &ConvNormAct, x: Tensor<4>) -> Result<Tensor<4>> {
        let conv = &layer.conv;
        let [_, _, height, width] = x.dims();
        let padding =
            [height, width].map(|size| conv.padding.around(size, conv.kernel, conv.stride));
        let options = ConvOptions::new_with_padding([conv.stride; 2], padding, [1, 1], conv.groups);
        let kernel = [conv.outputs, conv.inputs / conv.groups, conv.kernel, conv.kernel];
        let weight = self.param::<4>(&conv.key, "weight", kernel)?;
        let bias = match conv.bias {
            true => Some(self.param::<1>(&conv.key, "bias", [conv.outputs])?),
            false => None,
        };
        let y = module::conv2d(x, weight, bias, options);
        let y = match &layer.norm {
            Some(norm) => self.batch_norm(norm, conv.outputs, y)?,
            None => y,
        };
        let y = activate(layer.act, y);
        match &layer.excite {
            Some(excite) => self.excite(excite, conv.outputs, y),
            None => Ok(y),
        }
    }

    fn excite(&self, excite: &SqueezeExcite, channels: usize, x: Tensor<4>) -> Result<Tensor<4>> {
        let pointwise = |key: &str, inputs: usize, outputs: usize, x: Tensor<4>| {
            let weight = self.param::<4>(key, "weight", [outputs, inputs, 1, 1])?;
            let bias = self.param::<1>(key, "bias", [outputs])?;
            let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
            Ok::<_, NnError>(module::conv2d(x, weight, Some(bias), options))
        };
        let means = x.clone().mean_dim(3).mean_dim(2);
        let hidden = pointwise(&excite.reduce, channels, excite.hidden, means)?;
        let hidden = activate(excite.act, hidden);
        let gates = pointwise(&excite.expand, excite.hidden, channels, hidden)?;
        Ok(x * activation::sigmoid(gates))
    }

    /// `(x − μ) / √(σ² + ε) · γ + β` with the running statistics.
    fn batch_norm(&self, norm: &BatchNorm, channels: usize, x: Tensor<4>) -> Result<Tensor<4>> {
        let get = |field| {
            let row = self.param::<1>(&norm.key, field, [channels])?;
            Ok::<_, NnError>(row.reshape([1, channels, 1, 1]))
        };
        if self.tape.as_ref().is_some_and(|tape| tape.batch_norms) {
            let mean_of = |x: Tensor<4>| x.mean_dim(0).mean_dim(2).mean_dim(3);
            let centred = x.clone() - mean_of(x);
            let variance = mean_of(centred.clone() * centred.clone());
            let deviation = (variance + norm.eps).sqrt();
            return Ok(centred / deviation * get("weight")? + get("bias")?);
        }
        let deviation = (get("running_var")? + norm.eps).sqrt();
        Ok((x - get("running_mean")?) / deviation * get("weight")? + get("bias")?)
    }

    fn residual(&self, residual: &Residual, x: Tensor<4>) -> Result<Tensor<4>> {
        let mut y = x.clone();
        for layer in &residual.body {
            y = self.conv(layer, y)?;
        }
        let sum = match &residual.shortcut {
            Shortcut::None => y,
            Shortcut::Identity => y + x,
            Shortcut::Project(layer) => y + self.conv(layer, x)?,
        };
        Ok(activate(residual.act, sum))
    }

    fn linear(&self, linear: &Linear, x: Tensor<2>) -> Result<Tensor<2>> {
        let weight = self.param::<2>(&linear.key, "weight", [linear.outputs, linear.inputs])?;
        let bias = self.param::<1>(&linear.key, "bias", [linear.outputs])?;
        let y = x.matmul(weight.transpose()) + bias.reshape([1, linear.outputs]);
        Ok(activate(linear.act, y))
    }

    fn param<const D: usize>(
        &self,
        key: &str,
        field: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>> {
        let key = format!("{key}.{field}");
        match self.params.get(&key) {
            Some(array)
                if array.shape == shape && array.data.len() == shape.iter().product::<usize>() =>
            {
                let Some(tape) = &self.tape else { return Ok(self.tensor(&array.data, shape)) };
                let mut leaves = tape.leaves.borrow_mut();
                let leaf = leaves.entry(key).or_insert_with(|| {
                    self.tensor::<1>(&array.data, [array.data.len()]).require_grad()
                });
                Ok(leaf.clone().reshape(shape))
            }
            found => Err(NnError::Mismatch {
                recipe: self.recipe.name.to_string(),
                detail: match found {
                    Some(array) => format!("`{key}` is {:?}, expected {shape:?}", array.shape),
                    None => format!("`{key}` is missing"),
                },
            }),
        }
    }

    fn tensor<const D: usize>(&self, data: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(data.to_vec(), shape), &self.device)
    }

    /// Channels innermost, as all interpreters report.
    fn array(&self, value: &Value) -> Result<Array> {
        let (shape, read) = match value {
            Value::Map(x) => {
                let last = x.clone().permute([0, 2, 3, 1]);
                (last.dims().to_vec(), last.try_into_vec_as::<f32>())
            }
            Value::Rows(x) => (x.dims().to_vec(), x.clone().try_into_vec_as::<f32>()),
        };
        let data = read.map_err(|error| NnError::Unsupported(format!("tensor engine: {error}")))?;
        Ok(Array { shape, data: data.into() })
    }
}

fn activate<const D: usize>(act: Act, x: Tensor<D>) -> Tensor<D> {
    match act {
        Act::None => x,
        Act::Relu => activation::relu(x),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Gelu => activation::gelu(x),
        Act::GeluTanh => {
            let cubic = x.clone() * x.clone() * x.clone() * 0.044715;
            let inner = (x.clone() + cubic) * (2.0 / std::f64::consts::PI).sqrt();
            x * 0.5 * (inner.tanh() + 1.0)
        }
        Act::Silu => activation::silu(x),
        Act::Tanh => x.tanh(),
    }
}
