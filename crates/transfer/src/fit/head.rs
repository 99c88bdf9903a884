//! The linear head while it learns.

use offshoot_random::generator;
use offshoot_stats::heads::Linear;
use rand::RngExt;

/// `logits = W·(features) + b`, with dropout on the features.
#[derive(Debug, Clone)]
pub struct LinearHead {
    /// Values of a feature row.
    pub dim: usize,
    /// Classes.
    pub classes: usize,
    /// `[classes, dim]`.
    pub weight: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
    /// Gradients of the last backward pass.
    pub weight_gradient: Vec<f32>,
    /// As above.
    pub bias_gradient: Vec<f32>,
}

impl LinearHead {
    /// Takes over a fitted head.
    pub fn from_linear(linear: &Linear) -> Self {
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
        Self::with(linear.d, narrow(&linear.weight), narrow(&linear.bias))
    }

    /// Uniform within `±1/√dim`, as PyTorch begins; biases zero.
    pub fn random(dim: usize, classes: usize, seed: u64) -> Self {
        let bound = 1.0 / (dim.max(1) as f32).sqrt();
        let mut draws = generator(seed, "head weights", 0, 0);
        let weight = (0..dim * classes).map(|_| draws.random_range(-bound..bound)).collect();
        Self::with(dim, weight, vec![0.0; classes])
    }

    /// Of these values.
    pub fn with(dim: usize, weight: Vec<f32>, bias: Vec<f32>) -> Self {
        let (weight_gradient, bias_gradient) = (vec![0.0; weight.len()], vec![0.0; bias.len()]);
        Self { dim, classes: bias.len(), weight, bias, weight_gradient, bias_gradient }
    }

    /// As the heads of `offshoot-stats` are.
    pub fn to_linear(&self) -> Linear {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        Linear { d: self.dim, weight: wide(&self.weight), bias: wide(&self.bias) }
    }

    /// Logits `[n, classes]` of `features` `[n, dim]`.
    pub fn forward(&self, features: &[f32]) -> Vec<f32> {
        let rows = features.chunks_exact(self.dim);
        let logit = |row: &[f32], class: usize| {
            let weight = &self.weight[class * self.dim..(class + 1) * self.dim];
            dot(row, weight) + self.bias[class]
        };
        rows.flat_map(|row| (0..self.classes).map(move |class| logit(row, class))).collect()
    }

    /// Forms the head's gradients from that of the logits and what the head `alone` sees of them, and adds the
    /// features' to `to_features`.
    pub fn backward(
        &mut self,
        features: &[f32],
        of_logits: &[f32],
        alone: &[f32],
        to_features: &mut [f32],
    ) {
        self.weight_gradient.fill(0.0);
        self.bias_gradient.fill(0.0);
        let rows = features.chunks_exact(self.dim).zip(to_features.chunks_exact_mut(self.dim));
        let logits = of_logits.chunks_exact(self.classes).zip(alone.chunks_exact(self.classes));
        for ((row, to), (logits, alone)) in rows.zip(logits) {
            for (class, (&gradient, alone)) in logits.iter().zip(alone).enumerate() {
                let place = class * self.dim..(class + 1) * self.dim;
                add(&mut self.weight_gradient[place.clone()], gradient + alone, row);
                add(to, gradient, &self.weight[place]);
                self.bias_gradient[class] += gradient + alone;
            }
        }
    }
}

/// Sixteen sums side by side, added in order: quick, and the same bits everywhere.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_parts, a_rest) = a.as_chunks::<16>();
    let (b_parts, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in a_parts.iter().zip(b_parts) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn add(to: &mut [f32], factor: f32, values: &[f32]) {
    to.iter_mut().zip(values).for_each(|(to, v)| *to += factor * v);
}

/// Leaves out a share of the features of each sample and scales the others up (Srivastava et al.
/// 2014); returns the factor of every value.
pub fn dropout(features: &mut [f32], rate: f64, seed: u64, step: u64) -> Vec<f32> {
    let kept = (1.0 / (1.0 - rate)) as f32;
    let mut draws = generator(seed, "dropout", step, 0);
    let factors: Vec<f32> = (0..features.len())
        .map(|_| if f64::from(draws.random::<f32>()) < rate { 0.0 } else { kept })
        .collect();
    features.iter_mut().zip(&factors).for_each(|(v, factor)| *v *= factor);
    factors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_slopes() {
        let mut head = LinearHead::random(19, 3, 1);
        let features: Vec<f32> = (0..38).map(|i| (i as f32 * 0.37).sin()).collect();
        let of_logits = [0.5, -1.0, 0.25, 1.0, 0.75, -0.5];
        let loss = |head: &LinearHead, features: &[f32]| -> f64 {
            let logits = head.forward(features);
            logits.iter().zip(of_logits).map(|(l, g)| f64::from(l * g)).sum()
        };
        let mut to = vec![1.0; 38];
        head.backward(&features, &of_logits, &[0.0; 6], &mut to);
        let step = 1e-2;
        for at in [0, 18, 40] {
            let mut moved = head.clone();
            moved.weight[at] += step;
            let slope = (loss(&moved, &features) - loss(&head, &features)) / f64::from(step);
            assert!((slope - f64::from(head.weight_gradient[at])).abs() < 1e-3);
        }
        let mut moved = features.clone();
        moved[20] += step;
        let slope = (loss(&head, &moved) - loss(&head, &features)) / f64::from(step);
        assert!((slope + 1.0 - f64::from(to[20])).abs() < 1e-3);
        assert!((head.bias_gradient[0] - 1.5).abs() < 1e-6);
        // What the head alone sees reaches no feature.
        let [weight, before] = [head.weight_gradient.clone(), to.clone()];
        to.fill(1.0);
        head.backward(&features, &[0.0; 6], &of_logits, &mut to);
        assert_eq!(head.weight_gradient, weight);
        assert!(to.iter().all(|&v| v == 1.0) && before != to);
    }

    #[test]
    fn dropout_keeps_the_expectation_and_its_draws() {
        let mut values = vec![1.0; 20_000];
        let factors = dropout(&mut values, 0.25, 3, 7);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(dropout(&mut vec![1.0; 20_000], 0.25, 3, 7), factors);
        assert_ne!(dropout(&mut vec![1.0; 20_000], 0.25, 3, 8), factors);
    }
}
