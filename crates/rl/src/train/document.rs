//! The document of `offshoot rl train --json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_random::generator;
use offshoot_stats::metrics::ReturnCurves;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Version of this form.
    pub schema: u32,
    /// `rl train`.
    pub command: String,
    /// The run's folder.
    pub run: PathBuf,
    /// Wall time of the process that finished it.
    pub seconds: f64,
    /// The world.
    pub world: String,
    /// All its constants.
    pub constants: BTreeMap<String, f64>,
    /// The world and what is unusual of it, in words.
    pub told: String,
    /// The learner.
    pub learner: String,
    /// Mean over seeds of the mean return of fresh episodes.
    pub mean_return: f64,
    /// 95 % interval over seeds.
    pub mean_return_ci: [f64; 2],
    /// Episodes that each seed's policy was judged on.
    pub episodes: usize,
    /// Mean return at which the world counts as solved.
    pub threshold: Option<f64>,
    /// Seeds that reached it.
    pub solved: Option<usize>,
    /// The seed whose policy is shipped: the best one in episodes that took no part in the figures.
    pub chosen: u64,
    /// Median and inter-quartile band over seeds.
    pub curve: Vec<CurvePoint>,
    /// Each of them.
    pub seeds: Vec<SeedReport>,
}

/// One seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedReport {
    /// Which.
    pub seed: u64,
    /// Mean return of the policy that it ended with.
    pub mean_return: f64,
    /// Steps in the world.
    pub steps: u64,
    /// Time that learning took, without the evaluations between.
    pub seconds: f64,
}

/// Mean returns of all seeds after so many steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps in the world.
    pub steps: u64,
    /// Median over seeds.
    pub median: f64,
    /// A quarter of the seeds is lower.
    pub low: f64,
    /// A quarter of the seeds is higher.
    pub high: f64,
}

impl CurvePoint {
    /// Of several seeds.
    pub fn of(curves: &ReturnCurves) -> Vec<Self> {
        let points = curves.steps().iter().zip(curves.quartiles());
        points
            .map(|(steps, [low, median, high])| Self { steps: *steps as u64, median, low, high })
            .collect()
    }
}

/// Between the sorted values, linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// A mean over seeds and its 95 % percentile bootstrap interval.
pub fn interval(values: &[f64], seed: u64) -> (f64, [f64; 2]) {
    const RESAMPLES: u64 = 2000;
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|resample| {
            let mut draws = generator(seed, "bootstrap of seeds", 0, resample);
            (0..n).map(|_| values[draws.random_range(0..n)]).sum::<f64>() / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (mean, [quantile(&means, 0.025), quantile(&means, 0.975)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(&[7.0], 0.75), 7.0);
    }

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_the_spread() {
        let wide = interval(&[0.0, 10.0, 20.0, 30.0], 1);
        let narrow = interval(&[14.0, 15.0, 15.0, 16.0], 1);
        assert_eq!((wide.0, narrow.0), (15.0, 15.0));
        assert!(wide.1[0] < narrow.1[0] && narrow.1[1] < wide.1[1]);
        assert!(narrow.1[0] <= 15.0 && 15.0 <= narrow.1[1]);
    }
}
