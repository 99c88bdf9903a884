//! What a network is: its layers and their values.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Result, RlError};

/// What follows a layer's product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nonlinearity {
    /// Nothing: an output, or a linear adapter.
    Linear,
    /// The hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    Relu,
}

/// One fully connected layer: `y = f(x·W + b)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Values of a row that comes in.
    pub inputs: usize,
    /// Values of a row that goes out.
    pub outputs: usize,
    /// f.
    pub then: Nonlinearity,
}

impl Layer {
    fn len(self) -> usize {
        (self.inputs + 1) * self.outputs
    }
}

/// Layers and their values: of each layer `W` `[inputs, outputs]`, then `b` `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Perceptron {
    layers: Vec<Layer>,
    values: Vec<f32>,
}

impl Perceptron {
    /// A network whose values are zero.
    ///
    /// # Errors
    /// Without layers, with an empty one, or where one does not take what the one before gives.
    pub fn zeros(layers: Vec<Layer>) -> Result<Self> {
        let empty = layers.iter().any(|l| l.inputs == 0 || l.outputs == 0);
        let broken = layers.windows(2).any(|pair| pair[0].outputs != pair[1].inputs);
        if layers.is_empty() || empty || broken {
            let sizes: Vec<String> =
                layers.iter().map(|l| format!("{}→{}", l.inputs, l.outputs)).collect();
            return Err(RlError::Unusable(format!(
                "layers must follow on each other, and came as `{}`",
                sizes.join(" ")
            )));
        }
        let values = vec![0.0; layers.iter().map(|l| l.len()).sum()];
        Ok(Self { layers, values })
    }

    /// Layers from `inputs` through `hidden` to `outputs`, `then` after each but the last; values are zero.
    ///
    /// # Errors
    /// As [`Self::zeros`].
    pub fn shaped(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        then: Nonlinearity,
    ) -> Result<Self> {
        let mut layers = Vec::new();
        let mut from = inputs;
        for &size in hidden {
            layers.push(Layer { inputs: from, outputs: size, then });
            from = size;
        }
        layers.push(Layer { inputs: from, outputs, then: Nonlinearity::Linear });
        Self::zeros(layers)
    }

    /// The layers, that of the inputs first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// All values, layer after layer.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to change.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Where the values of layer `layer` are.
    pub fn span(&self, layer: usize) -> Range<usize> {
        let start: usize = self.layers[..layer].iter().map(|l| l.len()).sum();
        start..start + self.layers[layer].len()
    }

    /// `W` `[inputs, outputs]` and `b` of layer `layer`.
    pub fn layer(&self, layer: usize) -> (&[f32], &[f32]) {
        let Layer { inputs, outputs, .. } = self.layers[layer];
        self.values[self.span(layer)].split_at(inputs * outputs)
    }

    /// The same, to change.
    pub fn layer_mut(&mut self, layer: usize) -> (&mut [f32], &mut [f32]) {
        let Layer { inputs, outputs, .. } = self.layers[layer];
        let span = self.span(layer);
        self.values[span].split_at_mut(inputs * outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_all_values_once() {
        let network = Perceptron::shaped(3, &[5, 4], 2, Nonlinearity::Tanh).unwrap();
        let spans: Vec<_> = (0..3).map(|layer| network.span(layer)).collect();
        assert_eq!(spans, [0..20, 20..44, 44..54]);
        assert_eq!(network.values().len(), 54);
        assert_eq!(network.layer(1).0.len(), 20);
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let layer = |inputs, outputs| Layer { inputs, outputs, then: Nonlinearity::Linear };
        assert!(Perceptron::zeros(vec![layer(2, 3), layer(4, 1)]).is_err());
        assert!(Perceptron::zeros(vec![layer(2, 0)]).is_err());
        assert!(Perceptron::zeros(Vec::new()).is_err());
    }
}
