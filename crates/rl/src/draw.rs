//! Draws that the learners share.

use offshoot_random::Generator;
use rand::RngExt;

/// A standard normal value (Box and Muller 1958).
pub(crate) fn normal(draws: &mut Generator) -> f64 {
    // In (0, 1], whose logarithm is finite.
    let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
}

/// An index with the probabilities that `logits` stand for.
pub(crate) fn categorical(log_probabilities: &[f32], draws: &mut Generator) -> usize {
    let drawn = draws.random::<f32>();
    let mut sum = 0.0;
    for (index, log_p) in log_probabilities.iter().enumerate() {
        sum += log_p.exp();
        if drawn < sum {
            return index;
        }
    }
    // Rounding may leave the sum a little below 1.
    log_probabilities.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;

    #[test]
    fn normal_values_have_mean_0_and_variance_1() {
        let mut draws = generator(0, "test", 0, 0);
        let values: Vec<f64> = (0..20_000).map(|_| normal(&mut draws)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn categories_come_as_often_as_they_should() {
        let mut draws = generator(0, "test", 0, 1);
        let log_p = [0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()];
        let mut counts = [0; 3];
        (0..10_000).for_each(|_| counts[categorical(&log_p, &mut draws)] += 1);
        for (count, expected) in counts.into_iter().zip([2000, 5000, 3000]) {
            assert!((i32::abs_diff(count, expected)) < 200, "{counts:?}");
        }
    }
}
