//! What computes with a network: packed weights and buffers.

use offshoot_kernels::{Activation, Epilogue, Isa, Linear, LinearGrad, Order, Precision};

use super::{Nonlinearity, Perceptron};
use crate::{Result, RlError};

/// Forward and backward passes of one network.
pub struct Engine {
    layers: Vec<Packed>,
    /// What comes in, then what each layer gave, `[rows, values]` in whole blocks.
    values: Vec<Vec<f32>>,
    /// Slopes of the loss by what a layer gave, and by what came into it.
    slopes: [Vec<f32>; 2],
    scratch: Vec<f32>,
    rows: usize,
}

struct Packed {
    outputs: usize,
    then: Nonlinearity,
    forward: Linear,
    backward: LinearGrad,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// The level of vector instructions. Matrix tiles would split every operand into bf16 parts first.
fn level() -> Isa {
    match Isa::detect() {
        Isa::Amx => Isa::Avx512,
        other => other,
    }
}

fn kernel(error: offshoot_kernels::KernelError) -> RlError {
    RlError::Internal(error.to_string())
}

impl Engine {
    /// For networks of the shape of `network`, whose values it takes.
    pub fn new(network: &Perceptron) -> Result<Self> {
        let isa = level();
        let mut layers = Vec::new();
        for layer in network.layers() {
            layers.push(Packed {
                outputs: layer.outputs,
                then: layer.then,
                forward: Linear::planned(isa, Precision::F32, layer.inputs, layer.outputs)
                    .map_err(kernel)?,
                backward: LinearGrad::new(isa, Precision::F32, layer.inputs, layer.outputs)
                    .map_err(kernel)?,
            });
        }
        let values = vec![Vec::new(); layers.len() + 1];
        let mut engine =
            Self { layers, values, slopes: Default::default(), scratch: Vec::new(), rows: 0 };
        engine.take(network, true)?;
        Ok(engine)
    }

    /// Takes the present values of a network of the same shape; `learns` where slopes will be asked for.
    pub fn take(&mut self, network: &Perceptron, learns: bool) -> Result<()> {
        for (index, packed) in self.layers.iter_mut().enumerate() {
            let (weight, bias) = network.layer(index);
            packed.forward.pack(Order::Hwio, weight, bias).map_err(kernel)?;
            // Nobody asks for the slope by what came into the first layer.
            if learns && index > 0 {
                packed.backward.pack(weight).map_err(kernel)?;
            }
        }
        Ok(())
    }

    /// The network's outputs `[rows, outputs]` for `input` `[rows, inputs]`. A row's outputs depend on that
    /// row alone.
    ///
    /// # Panics
    /// When `input` is not `rows` rows.
    pub fn forward(&mut self, rows: usize, input: &[f32]) -> &[f32] {
        let inputs = self.layers[0].forward.inputs();
        assert_eq!(input.len(), rows * inputs, "rows of {inputs} values");
        self.rows = rows;
        let padded = rows.next_multiple_of(LinearGrad::BLOCK);
        grow(&mut self.values[0], padded * inputs);
        self.values[0][..input.len()].copy_from_slice(input);
        for (index, packed) in self.layers.iter().enumerate() {
            let (before, after) = self.values.split_at_mut(index + 1);
            let (from, to) = (&before[index], &mut after[0]);
            grow(to, padded * packed.outputs);
            grow(&mut self.scratch, packed.forward.scratch_len(rows));
            let act = match packed.then {
                Nonlinearity::Linear => Activation::None,
                Nonlinearity::Tanh => Activation::Tanh,
                Nonlinearity::Relu => Activation::Relu,
            };
            let epilogue = Epilogue { residual: None, act };
            packed.forward.run(rows, from, epilogue, &mut self.scratch, to);
        }
        let last = self.layers.len();
        &self.values[last][..rows * self.layers[last - 1].outputs]
    }

    /// Slopes of a loss by all values of the layers from `first` on, from its slopes `by_output`
    /// `[rows, outputs]` by what the last [`Self::forward`] gave. Below `first`, `slope` is not touched.
    ///
    /// # Panics
    /// When `by_output` has another number of rows than the last forward pass.
    pub fn backward(
        &mut self,
        network: &Perceptron,
        by_output: &[f32],
        first: usize,
        slope: &mut [f32],
    ) {
        let rows = self.rows;
        let padded = rows.next_multiple_of(LinearGrad::BLOCK);
        let widest = self.layers.iter().map(|l| l.outputs).max().unwrap_or(1);
        for buffer in &mut self.slopes {
            grow(buffer, padded * widest);
        }
        let outputs = self.layers[self.layers.len() - 1].outputs;
        assert_eq!(by_output.len(), rows * outputs, "slopes of {rows} rows");
        self.slopes[0][..by_output.len()].copy_from_slice(by_output);
        for index in (first..self.layers.len()).rev() {
            let packed = &self.layers[index];
            let given = &self.values[index + 1][..rows * packed.outputs];
            let [slopes, next] = &mut self.slopes;
            bend(packed.then, given, &mut slopes[..rows * packed.outputs]);
            // The kernel sums whole blocks: rows beyond the last count nothing.
            slopes[rows * packed.outputs..padded * packed.outputs].fill(0.0);
            let inputs = packed.forward.inputs();
            let span = network.span(index);
            let (by_weight, by_bias) = slope[span].split_at_mut(inputs * packed.outputs);
            let needed = packed.backward.weight_scratch_len(rows);
            grow(&mut self.scratch, needed.max(packed.backward.input_scratch_len(rows)));
            packed.backward.weight(
                rows,
                &self.values[index][..padded * inputs],
                &slopes[..padded * packed.outputs],
                &mut self.scratch,
                by_weight,
            );
            by_bias.fill(0.0);
            packed.backward.bias(&slopes[..rows * packed.outputs], by_bias);
            if index > first {
                packed.backward.input(
                    rows,
                    &slopes[..rows * packed.outputs],
                    None,
                    &mut self.scratch,
                    &mut next[..rows * inputs],
                );
                self.slopes.swap(0, 1);
            }
        }
    }
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// Turns slopes by what a layer gave into slopes by its product.
fn bend(then: Nonlinearity, given: &[f32], slopes: &mut [f32]) {
    match then {
        Nonlinearity::Linear => {}
        Nonlinearity::Tanh => {
            slopes.iter_mut().zip(given).for_each(|(slope, y)| *slope *= 1.0 - y * y);
        }
        Nonlinearity::Relu => {
            slopes
                .iter_mut()
                .zip(given)
                .for_each(|(slope, y)| *slope = if *y > 0.0 { *slope } else { 0.0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{orthogonal, uniform};
    use super::*;

    fn network(then: Nonlinearity) -> Perceptron {
        let mut network = Perceptron::shaped(3, &[20, 17], 2, then).unwrap();
        let mut draws = offshoot_random::generator(3, "test", 0, 0);
        orthogonal(&mut network, 0, 1.0, &mut draws);
        uniform(&mut network, 1, &mut draws);
        orthogonal(&mut network, 2, 0.7, &mut draws);
        network
    }

    fn inputs(rows: usize) -> Vec<f32> {
        (0..rows * 3).map(|i| ((i * 37 % 19) as f32 - 9.0) / 7.0).collect()
    }

    /// By definition, in f64.
    fn plainly(network: &Perceptron, input: &[f32]) -> Vec<f64> {
        let mut x: Vec<f64> = input.iter().map(|v| f64::from(*v)).collect();
        for (index, layer) in network.layers().iter().enumerate() {
            let (weight, bias) = network.layer(index);
            x = (0..layer.outputs)
                .map(|j| {
                    let mut sum = f64::from(bias[j]);
                    for (i, x) in x.iter().enumerate() {
                        sum += x * f64::from(weight[i * layer.outputs + j]);
                    }
                    match layer.then {
                        Nonlinearity::Linear => sum,
                        Nonlinearity::Tanh => sum.tanh(),
                        Nonlinearity::Relu => sum.max(0.0),
                    }
                })
                .collect();
        }
        x
    }

    #[test]
    fn outputs_are_those_of_the_definition_in_any_company() {
        for then in [Nonlinearity::Tanh, Nonlinearity::Relu] {
            let network = network(then);
            let mut engine = Engine::new(&network).unwrap();
            let input = inputs(130);
            let together = engine.forward(130, &input).to_vec();
            for (row, outputs) in input.chunks(3).zip(together.chunks(2)) {
                assert_eq!(engine.forward(1, row), outputs);
                for (a, b) in outputs.iter().zip(plainly(&network, row)) {
                    assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let rows = 70;
        for then in [Nonlinearity::Tanh, Nonlinearity::Relu] {
            let network = network(then);
            let input = inputs(rows);
            let by_output: Vec<f32> = (0..rows * 2).map(|i| (i % 5) as f32 / 5.0 - 0.3).collect();
            let loss = |network: &Perceptron| -> f64 {
                let rows = input.chunks(3).zip(by_output.chunks(2));
                rows.map(|(row, by)| {
                    let outputs = plainly(network, row);
                    outputs.iter().zip(by).map(|(y, s)| y * f64::from(*s)).sum::<f64>()
                })
                .sum()
            };
            let mut engine = Engine::new(&network).unwrap();
            engine.forward(rows, &input);
            let mut slope = vec![f32::NAN; network.values().len()];
            engine.backward(&network, &by_output, 0, &mut slope);
            for i in (0..slope.len()).step_by(3) {
                let h = 1e-3;
                let mut moved = network.clone();
                let (low, high) = (network.values()[i] - h, network.values()[i] + h);
                moved.values_mut()[i] = high;
                let above = loss(&moved);
                moved.values_mut()[i] = low;
                let numeric = (above - loss(&moved)) / f64::from(high - low);
                let error = (numeric - f64::from(slope[i])).abs();
                // A relu may bend within the step.
                let allowed = if then == Nonlinearity::Tanh { 2e-4 } else { 2e-2 };
                assert!(error < allowed * (1.0 + numeric.abs()), "{i}: {numeric} {}", slope[i]);
            }
            // What lies below the first layer that learns is not touched, and the rest is the same.
            let mut above = vec![7.0; slope.len()];
            engine.forward(rows, &input);
            engine.backward(&network, &by_output, 1, &mut above);
            let first = network.span(0).end;
            assert!(above[..first].iter().all(|v| *v == 7.0));
            assert_eq!(above[first..], slope[first..]);
        }
    }
}
