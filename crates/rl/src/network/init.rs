//! Values to begin with.

use offshoot_random::Generator;
use rand::RngExt;

use super::Perceptron;
use crate::draw::normal;

/// Orthogonal weights (Saxe et al. 2014, arXiv:1312.6120) and zero biases for layer `layer`: the rows or
/// columns, whichever are fewer, are orthonormal, times `gain`.
pub fn orthogonal(network: &mut Perceptron, layer: usize, gain: f32, draws: &mut Generator) {
    let shape = network.layers()[layer];
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    let (count, length) = (inputs.min(outputs), inputs.max(outputs));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| normal(draws)).collect();
        // Twice: after one pass of Gram and Schmidt what rounding left is still there.
        for _ in 0..2 {
            for earlier in &basis {
                let dot: f64 = vector.iter().zip(earlier).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 1e-6 {
            vector.iter_mut().for_each(|v| *v /= norm);
            basis.push(vector);
        }
    }
    let (weight, bias) = network.layer_mut(layer);
    for (i, row) in weight.chunks_exact_mut(outputs).enumerate() {
        for (j, w) in row.iter_mut().enumerate() {
            let value = if inputs <= outputs { basis[i][j] } else { basis[j][i] };
            *w = gain * value as f32;
        }
    }
    bias.fill(0.0);
}

/// Weights and biases of layer `layer` uniform in ±1/√inputs, as PyTorch's `Linear` begins.
pub fn uniform(network: &mut Perceptron, layer: usize, draws: &mut Generator) {
    let limit = 1.0 / (network.layers()[layer].inputs as f32).sqrt();
    let (weight, bias) = network.layer_mut(layer);
    for value in weight.iter_mut().chain(bias) {
        *value = limit * (2.0 * draws.random::<f32>() - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Nonlinearity;

    #[test]
    fn orthogonal_layers_keep_lengths() {
        for (inputs, outputs) in [(4, 64), (64, 64), (64, 2)] {
            let mut network = Perceptron::shaped(inputs, &[], outputs, Nonlinearity::Tanh).unwrap();
            let mut draws = offshoot_random::generator(1, "test", 0, 0);
            orthogonal(&mut network, 0, 2.0, &mut draws);
            let (weight, bias) = network.layer(0);
            assert!(bias.iter().all(|b| *b == 0.0));
            let at = |i: usize, j: usize| f64::from(weight[i * outputs + j]);
            let count = inputs.min(outputs);
            for a in 0..count {
                for b in 0..count {
                    let dot: f64 = match inputs <= outputs {
                        true => (0..outputs).map(|j| at(a, j) * at(b, j)).sum(),
                        false => (0..inputs).map(|i| at(i, a) * at(i, b)).sum(),
                    };
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-5, "{inputs}×{outputs} {a} {b} {dot}");
                }
            }
        }
    }
}
