//! A share of samples and how sure it is.

use serde::{Deserialize, Serialize};

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// `hits` of `n`, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// `hits / n`; 0 without samples.
    pub share: f64,
    /// 95 % interval by Wilson's score (1927), which holds at 0 and 1 too; `[0, 1]` without samples.
    pub ci: [f64; 2],
}

impl Proportion {
    /// `hits` of `n` samples.
    pub fn of(hits: usize, n: usize) -> Self {
        if n == 0 {
            return Self { share: 0.0, ci: [0.0, 1.0] };
        }
        let (n, p) = (n as f64, hits as f64 / n as f64);
        let scale = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { share: p, ci: [(middle - half).max(0.0), (middle + half).min(1.0)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
        for (hits, n, low, high) in [
            (9, 10, 0.595_849_973_204_761_5, 0.982_123_786_904_927_1),
            (0, 20, 0.0, 0.161_125_158_052_819_35),
            (450, 500, 0.870_578_090_368_059_9, 0.923_322_437_262_699_7),
        ] {
            let Proportion { ci, .. } = Proportion::of(hits, n);
            assert!((ci[0] - low).abs() < 1e-9 && (ci[1] - high).abs() < 1e-9, "{ci:?}");
        }
        assert_eq!(Proportion::of(0, 0).ci, [0.0, 1.0]);
    }
}
