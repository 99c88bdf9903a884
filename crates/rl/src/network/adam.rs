//! Adam with a share of the rate for each layer, and clipping by the global norm.

use offshoot_kernels::AdamW;

use super::Perceptron;

/// Moments of Adam (Kingma and Ba 2015, arXiv:1412.6980) for one list of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Steps so far.
    pub steps: u64,
    /// First moments.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
}

impl Adam {
    /// For `len` values.
    pub fn new(len: usize, eps: f32) -> Self {
        Self { eps, steps: 0, first: vec![0.0; len], second: vec![0.0; len] }
    }

    /// Steps `network` along `slope`, which is multiplied by `scale` first. Layer `i` learns at
    /// `lr · shares[i]`; one whose share is zero stays as it is to the bit, as do its moments.
    pub fn step(
        &mut self,
        network: &mut Perceptron,
        slope: &[f32],
        lr: f32,
        shares: &[f32],
        scale: f32,
    ) {
        self.steps += 1;
        for (layer, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let span = network.span(layer);
            let rule = self.rule(lr * share, scale);
            rule.step(
                self.steps,
                &mut network.values_mut()[span.clone()],
                &slope[span.clone()],
                &mut self.first[span.clone()],
                &mut self.second[span],
            );
        }
    }

    /// Steps plain `values`, all at the rate `lr`.
    pub fn step_values(&mut self, values: &mut [f32], slope: &[f32], lr: f32, scale: f32) {
        self.steps += 1;
        let rule = self.rule(lr, scale);
        rule.step(self.steps, values, slope, &mut self.first, &mut self.second);
    }

    fn rule(&self, lr: f32, scale: f32) -> AdamW {
        AdamW { eps: self.eps, scale, ..AdamW::new(lr, 0.0) }
    }
}

/// What slopes are multiplied by so that their common norm is at most `limit`, as PyTorch's
/// `clip_grad_norm_` does it.
pub(crate) fn clip<'a>(slopes: impl IntoIterator<Item = &'a [f32]>, limit: f32) -> f32 {
    let mut square = 0.0f64;
    for slope in slopes {
        // Eight sums side by side: a fixed order that the compiler can keep in a vector.
        let mut sums = [0.0f64; 8];
        let chunks = slope.chunks_exact(8);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (sum, &g) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(g) * f64::from(g);
            }
        }
        square += sums.iter().sum::<f64>();
        square += rest.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    }
    (limit / (square.sqrt() as f32 + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Nonlinearity;

    #[test]
    fn a_share_of_zero_freezes_to_the_bit() {
        let mut network = Perceptron::shaped(2, &[3], 1, Nonlinearity::Relu).unwrap();
        network.values_mut().fill(0.5);
        let slope = vec![1.0; network.values().len()];
        let mut adam = Adam::new(slope.len(), 1e-5);
        adam.step(&mut network, &slope, 0.1, &[0.0, 0.5], 1.0);
        assert!(network.values()[network.span(0)].iter().all(|v| *v == 0.5));
        // Adam's first step is the rate itself.
        assert!(network.values()[network.span(1)].iter().all(|v| (v - 0.45).abs() < 1e-5));
    }

    #[test]
    fn a_norm_above_the_limit_is_brought_to_it() {
        let slope = [3.0, 4.0];
        assert!((clip([&slope[..]], 0.5) - 0.1).abs() < 1e-6);
        assert_eq!(clip([&slope[..]], 6.0), 1.0);
    }
}
