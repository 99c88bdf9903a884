//! What turns a normalised picture into a feature vector.

use offshoot_nn::cpu::Plan;

use crate::Result;

/// Computes feature rows. The result for one sample depends on that sample only.
pub trait Engine: Send + Sync {
    /// Values a sample of the input.
    fn input_len(&self) -> usize;
    /// Values a feature row.
    fn dim(&self) -> usize;
    /// Computes `n` rows: `input` is `[n, input_len]`, `features` is `[n, dim]`.
    fn run(&self, input: &[f32], n: usize, features: &mut [f32]) -> Result<()>;
}

impl Engine for Plan {
    fn input_len(&self) -> usize {
        self.input_shape().len()
    }
    fn dim(&self) -> usize {
        self.feature_dim()
    }
    fn run(&self, input: &[f32], n: usize, features: &mut [f32]) -> Result<()> {
        Ok(self.features(input, n, features)?)
    }
}

/// The input itself: raw pixels, or feature vectors that the data already holds.
#[derive(Debug)]
pub struct Identity(
    /// Values a sample.
    pub usize,
);

impl Engine for Identity {
    fn input_len(&self) -> usize {
        self.0
    }
    fn dim(&self) -> usize {
        self.0
    }
    fn run(&self, input: &[f32], _: usize, features: &mut [f32]) -> Result<()> {
        features.copy_from_slice(input);
        Ok(())
    }
}
