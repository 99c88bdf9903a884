//! Frozen norms folded into the convolution before them.

use crate::blocks::ConvNormAct;
use crate::{NnError, Params, Result};

/// Values of `key`, checked for length.
pub(super) fn array<'a>(params: &'a Params, key: &str, len: usize) -> Result<&'a [f32]> {
    let array = params
        .get(key)
        .ok_or_else(|| NnError::Unsupported(format!("parameter `{key}` is missing")))?;
    if array.data.len() != len {
        return Err(NnError::Unsupported(format!(
            "expected {len} values of `{key}`, got {}",
            array.data.len()
        )));
    }
    Ok(&array.data)
}

/// Weight and bias of `conv(x)` followed by its norm with running statistics:
/// `γ·(w·x + b − μ)/√(σ² + ε) + β`. Computed in `f64`, so that folding adds no error of its own.
pub(super) fn fold(params: &Params, block: &ConvNormAct) -> Result<(Vec<f32>, Vec<f32>)> {
    let conv = &block.conv;
    let taps = conv.inputs / conv.groups * conv.kernel * conv.kernel;
    let weight = array(params, &format!("{}.weight", conv.key), conv.outputs * taps)?;
    let mut bias = match conv.bias {
        true => array(params, &format!("{}.bias", conv.key), conv.outputs)?.to_vec(),
        false => vec![0.0; conv.outputs],
    };
    let Some(norm) = &block.norm else { return Ok((weight.to_vec(), bias)) };
    let read = |name| array(params, &format!("{}.{name}", norm.key), conv.outputs);
    let (gamma, beta) = (read("weight")?, read("bias")?);
    let (mean, var) = (read("running_mean")?, read("running_var")?);
    let mut folded = Vec::with_capacity(weight.len());
    for (o, weight) in weight.chunks_exact(taps).enumerate() {
        let scale = f64::from(gamma[o]) / (f64::from(var[o]) + f64::from(norm.eps)).sqrt();
        folded.extend(weight.iter().map(|&w| (f64::from(w) * scale) as f32));
        let shifted = (f64::from(bias[o]) - f64::from(mean[o])) * scale + f64::from(beta[o]);
        bias[o] = shifted as f32;
    }
    Ok((folded, bias))
}
