//! The state of a batch norm that learns.

use std::collections::BTreeMap;

use offshoot_kernels::merge_moments;

use super::{NormMode, vector};
use crate::cpu::fold::array;
use crate::{Array, Params, Result};

/// Share of the batch in running statistics, as PyTorch's default has it.
pub(super) const MOMENTUM: f64 = 0.1;

/// A batch norm's state.
pub(super) struct Norm {
    pub key: String,
    pub gamma: usize,
    pub beta: usize,
    pub eps: f32,
    /// What it normalises by; running statistics wherever its scale does not learn.
    pub mode: NormMode,
    /// Share of the batch in running statistics.
    pub momentum: f64,
    pub running_mean: Vec<f32>,
    pub running_var: Vec<f32>,
    /// Of the last forward pass: what was normalised by, and the affine form that it gave.
    pub mean: Vec<f64>,
    pub inverse: Vec<f64>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// Two sums a channel for each image.
    pub sums: Vec<f32>,
}

impl Norm {
    pub fn statistics(&self) -> BTreeMap<String, Array> {
        BTreeMap::from([
            (format!("{}.running_mean", self.key), vector(&self.running_mean)),
            (format!("{}.running_var", self.key), vector(&self.running_var)),
        ])
    }

    /// Takes over running statistics, where `params` has them.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        for (field, to) in
            [("running_mean", &mut self.running_mean), ("running_var", &mut self.running_var)]
        {
            let key = format!("{}.{field}", self.key);
            if params.contains_key(&key) {
                let len = to.len();
                to.copy_from_slice(array(params, &key, len)?);
            }
        }
        Ok(())
    }

    /// Derives the affine form from the batch's moments or the running ones.
    pub fn settle(&mut self, pixels: usize, gamma: &[f32], beta: &[f32]) {
        let channels = gamma.len();
        let mut variance = vec![0.0; channels];
        match self.mode {
            NormMode::Batch => {
                let images = self.sums.chunks_exact(2 * channels);
                let each = pixels / images.len();
                let slices = images.map(|s| (each, &s[..channels], &s[channels..]));
                merge_moments(slices, &mut self.mean, &mut variance);
                // PyTorch keeps the unbiased variance, but normalises by the biased one.
                let unbiased = pixels as f64 / (pixels as f64 - 1.0).max(1.0);
                let momentum = self.momentum;
                let follow = |running: &mut f32, batch: f64| {
                    *running = ((1.0 - momentum) * f64::from(*running) + momentum * batch) as f32;
                };
                for (c, &batch) in variance.iter().enumerate() {
                    follow(&mut self.running_mean[c], self.mean[c]);
                    follow(&mut self.running_var[c], batch * unbiased);
                }
            }
            NormMode::Running => {
                for (c, variance) in variance.iter_mut().enumerate() {
                    self.mean[c] = f64::from(self.running_mean[c]);
                    *variance = f64::from(self.running_var[c]);
                }
            }
        }
        for (c, variance) in variance.into_iter().enumerate() {
            self.inverse[c] = 1.0 / (variance + f64::from(self.eps)).sqrt();
            let scale = f64::from(gamma[c]) * self.inverse[c];
            self.scale[c] = scale as f32;
            self.shift[c] = (f64::from(beta[c]) - scale * self.mean[c]) as f32;
        }
    }
}
