//! Training form and gradients by the tensor engine's own differentiation.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::{Network, Value};
use crate::{Array, NnError, Params, Recipe, Result};

/// Leaves of the graph, and the batches' statistics, by key.
#[derive(Default)]
pub(super) struct Tape {
    /// Whether norms use the batch's statistics.
    pub batch_norms: bool,
    pub leaves: RefCell<BTreeMap<String, Tensor<1>>>,
}

/// What a pass in training form gives.
pub struct Gradients {
    /// The last stage's output, `[n, d]`.
    pub features: Array,
    /// Of every parameter that the recipe's stages use, in the checkpoint's layout.
    pub parameters: Params,
    /// Of the input, `[n, h, w, c]`.
    pub input: Array,
}

/// Gradients of `Σ features · probe` with respect to parameters and input, `probe` `[n, d]`.
///
/// `batch_norms` says whether batch norms normalise by the batch's statistics; they learn either
/// way. Dropout is off.
///
/// # Errors
/// As [`super::run`], and [`NnError::Unsupported`] where `probe` has another length.
pub fn gradients(
    recipe: &Recipe,
    params: &Params,
    input: &Array,
    probe: &[f32],
    batch_norms: bool,
) -> Result<Gradients> {
    let [n, height, width, channels] = super::check_input(recipe, input)?;
    let device = Device::default().autodiff();
    let tape = Tape { batch_norms, ..Tape::default() };
    let network = Network { recipe, params, device: device.clone(), tape: Some(tape) };
    let pixels: Tensor<4> = network.tensor(&input.data, [n, height, width, channels]);
    let pixels = pixels.require_grad();
    let mut value = Value::Map(pixels.clone().permute([0, 3, 1, 2]));
    for stage in &recipe.stages {
        for block in &stage.blocks {
            value = network.block(block, value)?;
        }
    }
    let Value::Rows(features) = value else {
        return Err(NnError::Unsupported(format!("`{}` ends in a map", recipe.name)));
    };
    let [rows, width] = features.dims();
    if probe.len() != rows * width {
        return Err(NnError::Unsupported(format!("a probe of {} values", probe.len())));
    }
    let probe = Tensor::<2>::from_data(TensorData::new(probe.to_vec(), [rows, width]), &device);
    let graph = (features.clone() * probe).sum().backward();
    let read = |data: Option<TensorData>, shape: &[usize]| {
        let data = match data {
            Some(data) => data
                .try_to_vec::<f32>()
                .map_err(|error| NnError::Unsupported(format!("tensor engine: {error:?}")))?,
            None => vec![0.0; shape.iter().product()],
        };
        Ok::<_, NnError>(Array { shape: shape.to_vec(), data: data.into() })
    };
    let mut parameters = Params::new();
    if let Some(tape) = &network.tape {
        for (key, leaf) in tape.leaves.borrow().iter().filter(|(key, _)| !key.contains("running")) {
            let gradient = leaf.grad(&graph).map(|g| g.into_data());
            parameters.insert(key.clone(), read(gradient, &params[key].shape)?);
        }
    }
    let by_input = pixels.grad(&graph).map(|g| g.into_data());
    let features = network.array(&Value::Rows(features.inner()))?;
    Ok(Gradients { features, parameters, input: read(by_input, &input.shape)? })
}
