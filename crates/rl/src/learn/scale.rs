//! Running means and variances, by which observations and rewards are brought to a common scale.

use serde::{Deserialize, Serialize};

/// What Gymnasium's normalising wrappers clip at.
const CLIP: f32 = 10.0;
const EPS: f64 = 1e-8;

/// Moments of a stream of rows, merged batch by batch (Chan et al. 1979).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Rows so far; a little more than none at first, as the wrappers begin.
    pub count: f64,
    /// Of each column.
    pub mean: Vec<f64>,
    /// Of each column, of the population.
    pub variance: Vec<f64>,
}

impl Moments {
    /// Of no rows of `columns` values: mean 0, variance 1.
    pub fn new(columns: usize) -> Self {
        Self { count: 1e-4, mean: vec![0.0; columns], variance: vec![1.0; columns] }
    }

    /// Takes whole rows in.
    pub fn take(&mut self, rows: &[f32]) {
        let columns = self.mean.len();
        let n = (rows.len() / columns) as f64;
        if n == 0.0 {
            return;
        }
        let total = self.count + n;
        for column in 0..columns {
            let values = || rows.iter().skip(column).step_by(columns).map(|v| f64::from(*v));
            let mean = values().sum::<f64>() / n;
            let squares: f64 = values().map(|v| (v - mean).powi(2)).sum();
            let gap = mean - self.mean[column];
            let all =
                self.variance[column] * self.count + squares + gap * gap * self.count * n / total;
            self.mean[column] += gap * n / total;
            self.variance[column] = all / total;
        }
        self.count = total;
    }

    /// Rows with mean 0 and variance 1, clipped at ±10.
    pub fn normalise(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for ((value, mean), variance) in row.iter_mut().zip(&self.mean).zip(&self.variance) {
                let scaled = (f64::from(*value) - mean) / (variance + EPS).sqrt();
                *value = (scaled as f32).clamp(-CLIP, CLIP);
            }
        }
    }
}

/// Divides rewards by the deviation of the discounted returns, as Gymnasium's `NormalizeReward` does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardScale {
    gamma: f64,
    /// Discounted return of each world so far.
    returns: Vec<f64>,
    moments: Moments,
}

impl RewardScale {
    /// For `worlds` worlds.
    pub fn new(worlds: usize, gamma: f64) -> Self {
        Self { gamma, returns: vec![0.0; worlds], moments: Moments::new(1) }
    }

    /// Takes one step's rewards in and scales them. `ended` tells whose episode is over.
    pub fn scale(&mut self, rewards: &mut [f32], ended: &[bool]) {
        for (sum, reward) in self.returns.iter_mut().zip(rewards.iter()) {
            *sum = *sum * self.gamma + f64::from(*reward);
        }
        let sums: Vec<f32> = self.returns.iter().map(|sum| *sum as f32).collect();
        self.moments.take(&sums);
        let unit = self.unit();
        for reward in rewards.iter_mut() {
            *reward = ((f64::from(*reward) / unit) as f32).clamp(-CLIP, CLIP);
        }
        for (sum, _) in self.returns.iter_mut().zip(ended).filter(|(_, ended)| **ended) {
            *sum = 0.0;
        }
    }

    /// What a scaled reward of 1 stands for.
    pub fn unit(&self) -> f64 {
        (self.moments.variance[0] + EPS).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_parts_are_those_of_the_whole() {
        let rows: Vec<f32> = (0..40).map(|i| (i * i % 17) as f32).collect();
        let (mut whole, mut parts) = (Moments::new(2), Moments::new(2));
        whole.take(&rows);
        [0..2, 2..12, 12..40].into_iter().for_each(|part| parts.take(&rows[part]));
        for (a, b) in whole.mean.iter().zip(&parts.mean) {
            assert!((a - b).abs() < 1e-9);
        }
        for (a, b) in whole.variance.iter().zip(&parts.variance) {
            assert!((a - b).abs() < 1e-9);
        }
        let mut scaled = rows.clone();
        parts.normalise(&mut scaled);
        let mean: f32 = scaled.iter().step_by(2).sum::<f32>() / 20.0;
        assert!(mean.abs() < 1e-3, "{mean}");
    }

    #[test]
    fn rewards_keep_their_order_and_lose_their_unit() {
        let scaled = |unit: f32| {
            let mut scale = RewardScale::new(1, 0.9);
            let mut out = Vec::new();
            for step in 0..200 {
                let mut reward = [unit * (step % 7) as f32];
                scale.scale(&mut reward, &[step % 50 == 49]);
                out.push(reward[0]);
            }
            out
        };
        let (small, large) = (scaled(1.0), scaled(1000.0));
        // The first few rows still remember the made-up variance of 1.
        for (a, b) in small.iter().zip(&large).skip(20) {
            assert!((a - b).abs() < 0.02, "{a} {b}");
        }
    }
}
