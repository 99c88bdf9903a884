//! What policies return while they learn, one line a seed.

use crate::{Result, StatsError};

/// Mean returns while policies learn.
#[derive(Debug, Clone, PartialEq)]
pub struct ReturnCurves {
    pub(super) steps: Vec<f64>,
    pub(super) returns: Vec<Vec<f64>>,
}

impl ReturnCurves {
    /// `steps` at which policies were asked, ascending, and what they returned, `[seeds][steps]`.
    ///
    /// # Errors
    /// Fewer than two points, steps that do not ascend, no seed, a seed with another number of points, or
    /// values that are none.
    pub fn new(steps: Vec<f64>, returns: Vec<Vec<f64>>) -> Result<Self> {
        let ascend = steps.windows(2).all(|pair| pair[0] < pair[1]);
        if steps.len() < 2 || !ascend || steps.iter().any(|s| !s.is_finite()) {
            return Err(StatsError::Shape {
                expected: "two or more ascending steps of a learning curve".into(),
                actual: format!("{steps:?}"),
            });
        }
        if returns.is_empty() {
            return Err(StatsError::Unusable("a learning curve without a seed".into()));
        }
        for (row, seed) in returns.iter().enumerate() {
            if seed.len() != steps.len() {
                return Err(StatsError::Shape {
                    expected: format!("{} returns of seed {row}", steps.len()),
                    actual: seed.len().to_string(),
                });
            }
            if seed.iter().any(|v| !v.is_finite()) {
                return Err(StatsError::NotFinite { what: "a learning curve", row });
            }
        }
        Ok(Self { steps, returns })
    }

    /// Steps at which policies were asked.
    pub fn steps(&self) -> &[f64] {
        &self.steps
    }

    /// What they returned, `[seeds][steps]`.
    pub fn returns(&self) -> &[Vec<f64>] {
        &self.returns
    }

    /// Number of seeds.
    pub fn seeds(&self) -> usize {
        self.returns.len()
    }

    /// First quartile, median and third quartile over seeds, at each point.
    pub fn quartiles(&self) -> Vec<[f64; 3]> {
        let at = |point: usize| {
            let mut column: Vec<f64> = self.returns.iter().map(|seed| seed[point]).collect();
            column.sort_by(f64::total_cmp);
            [0.25, 0.5, 0.75].map(|q| between(&column, q))
        };
        (0..self.steps.len()).map(at).collect()
    }

    /// What the steps from the first to the last span.
    pub(super) fn span(&self) -> f64 {
        self.steps[self.steps.len() - 1] - self.steps[0]
    }

    /// The integral of a seed's curve over its first `length` steps, by trapezoids.
    pub(super) fn area(&self, seed: &[f64], length: f64) -> f64 {
        let end = self.steps[0] + length;
        let pairs = self.steps.windows(2).zip(seed.windows(2));
        pairs
            .map(|(t, v)| {
                let to = end.min(t[1]);
                if to <= t[0] {
                    return 0.0;
                }
                let last = v[0] + (v[1] - v[0]) * (to - t[0]) / (t[1] - t[0]);
                0.5 * (v[0] + last) * (to - t[0])
            })
            .sum()
    }

    /// Steps after which a seed's curve first is at `threshold`, read off between points; infinite if never.
    pub(super) fn time_to(&self, seed: &[f64], threshold: f64) -> f64 {
        let Some(after) = seed.iter().position(|&v| v >= threshold) else { return f64::INFINITY };
        let Some(before) = after.checked_sub(1) else { return self.steps[0] };
        let share = (threshold - seed[before]) / (seed[after] - seed[before]);
        self.steps[before] + share * (self.steps[after] - self.steps[before])
    }

    /// The mean of a seed's last points, a tenth of all and at least one.
    pub(super) fn asymptote(seed: &[f64]) -> f64 {
        let n = seed.len().div_ceil(10);
        seed[seed.len() - n..].iter().sum::<f64>() / n as f64
    }
}

/// The value at a quantile of sorted values, interpolated; NaN without any.
fn between(sorted: &[f64], q: f64) -> f64 {
    let place = q * sorted.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(low), Some(high)) if place > below as f64 => {
            low + (high - low) * (place - below as f64)
        }
        (Some(low), _) => *low,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let four = [4.0, 1.0, 3.0, 2.0].map(|v| vec![v, 0.0]).to_vec();
        let four = ReturnCurves::new(vec![0.0, 1.0], four).unwrap();
        assert_eq!(four.quartiles(), [[1.75, 2.5, 3.25], [0.0; 3]]);
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        assert!(ReturnCurves::new(vec![0.0, 1.0], vec![vec![0.0, f64::NAN]]).is_err());
        assert!(ReturnCurves::new(vec![0.0, 1.0], vec![vec![0.0]]).is_err());
        assert!(ReturnCurves::new(vec![1.0, 0.0], vec![vec![0.0, 1.0]]).is_err());
        assert!(ReturnCurves::new(vec![0.0], vec![vec![0.0]]).is_err());
        assert!(ReturnCurves::new(vec![0.0, 1.0], vec![]).is_err());
    }
}
