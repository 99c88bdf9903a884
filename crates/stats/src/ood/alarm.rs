//! Where strange begins.

/// A threshold and how often familiar samples exceed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// Scores above it are strange.
    pub threshold: f64,
    /// A new sample, exchangeable with the calibration samples, exceeds it with at most this probability.
    pub rate: f64,
    /// Number of calibration samples.
    pub n: usize,
}

impl Alarm {
    /// From scores of familiar samples that the detector was not fitted on, in any order: the lowest
    /// threshold for which `k/(n+1)` is at most `rate`, `k` being the samples from there on. So few samples
    /// that this cannot be reached, `n + 1 < 1/rate`, give the largest score and the rate `1/(n+1)`; none
    /// give no alarm at all.
    pub fn calibrate(mut scores: Vec<f64>, rate: f64) -> Self {
        scores.sort_by(f64::total_cmp);
        let n = scores.len();
        let above = ((n + 1) as f64 * rate * (1.0 + 1e-12)).floor() as usize;
        let above = above.clamp(1, n.max(1));
        match n.checked_sub(above).and_then(|place| scores.get(place)) {
            Some(&threshold) => Self { threshold, rate: above as f64 / (n + 1) as f64, n },
            None => Self { threshold: f64::INFINITY, rate: 0.0, n },
        }
    }
}
