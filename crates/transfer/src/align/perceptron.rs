//! A small network of a term's own: linear layers with ReLU between them and no norm, whose statistics would
//! tell the domains apart for it.

use offshoot_random::generator;
use rand::RngExt;

use crate::fit::head::LinearHead;
use crate::regularize::Own;

/// `[n, inputs]` to `[n, outputs]`.
#[derive(Default)]
pub(super) struct Perceptron {
    layers: Vec<LinearHead>,
    keys: &'static [[&'static str; 2]],
    rate: f64,
    /// What each layer read in the last pass.
    read: Vec<Vec<f32>>,
}

impl Perceptron {
    /// Of these sizes, the input's first, one layer for each of `keys`, the names of weights and biases. Values
    /// are uniform within `±1/√inputs`, as PyTorch begins; they learn at `rate` times the head's rate.
    pub fn new(sizes: &[usize], keys: &'static [[&'static str; 2]], seed: u64, rate: f64) -> Self {
        let layer = |(sizes, names): (&[usize], &[&str; 2])| {
            let (inputs, outputs) = (sizes[0], sizes[1]);
            let bound = 1.0 / (inputs.max(1) as f32).sqrt();
            let draw = |name: &str, n: usize| -> Vec<f32> {
                let mut draws = generator(seed, name, 0, 0);
                (0..n).map(|_| draws.random_range(-bound..bound)).collect()
            };
            LinearHead::with(inputs, draw(names[0], inputs * outputs), draw(names[1], outputs))
        };
        let layers = sizes.windows(2).zip(keys).map(layer).collect();
        Self { layers, keys, rate, read: Vec::new() }
    }

    /// Its outputs for these rows.
    pub fn forward(&mut self, rows: Vec<f32>) -> Vec<f32> {
        self.read.clear();
        let mut values = rows;
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                values.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            let next = layer.forward(&values);
            self.read.push(std::mem::replace(&mut values, next));
        }
        values
    }

    /// Forms its gradients from those of the last outputs; returns those of the rows.
    pub fn backward(&mut self, of_outputs: Vec<f32>) -> Vec<f32> {
        let mut gradient = of_outputs;
        for (i, (layer, read)) in self.layers.iter_mut().zip(&self.read).enumerate().rev() {
            let mut to = vec![0.0; read.len()];
            layer.backward(read, &gradient, &vec![0.0; gradient.len()], &mut to);
            if i > 0 {
                to.iter_mut().zip(read).filter(|(_, v)| **v <= 0.0).for_each(|(to, _)| *to = 0.0);
            }
            gradient = to;
        }
        gradient
    }

    /// Its tensors.
    pub fn own(&mut self) -> Vec<Own<'_>> {
        let rate = self.rate;
        let layers = self.layers.iter_mut().zip(self.keys);
        let both = layers.flat_map(|(layer, [weight_key, bias_key])| {
            let LinearHead { weight, bias, weight_gradient, bias_gradient, .. } = layer;
            [
                Own {
                    key: weight_key,
                    value: weight,
                    gradient: weight_gradient,
                    decays: true,
                    rate,
                },
                Own { key: bias_key, value: bias, gradient: bias_gradient, decays: false, rate },
            ]
        });
        both.collect()
    }
}
