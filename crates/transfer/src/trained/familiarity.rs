//! How far an input is from what the classifier was trained on.

use offshoot_stats::Rows;

/// Share of the validation samples that count as familiar.
const FAMILIAR: f64 = 0.99;

/// Distance to the nearest class mean, each feature in units of its within-class deviation: a
/// Mahalanobis distance with a diagonal covariance (Lee et al. 2018, arXiv:1807.03888).
#[derive(Debug, Clone, PartialEq)]
pub struct Familiarity {
    /// Means of the classes that training rows exist for, `[classes, dim]`.
    pub means: Vec<f32>,
    /// One over the within-class deviation of each feature; 0 for constant features.
    pub scale: Vec<f32>,
    /// Distances above it are unfamiliar.
    pub threshold: f32,
}

impl Familiarity {
    /// Means and deviations of the training rows; 99 % of the `held_out` rows are familiar. Without
    /// held-out rows nothing is unfamiliar.
    pub fn fit(rows: Rows<'_>, labels: &[u32], classes: usize, held_out: Rows<'_>) -> Self {
        let d = rows.d().max(1);
        let mut counts = vec![0usize; classes];
        let mut sums = vec![0f64; classes * d];
        for (i, &label) in labels.iter().enumerate() {
            let class = label as usize;
            counts[class] += 1;
            let sum = &mut sums[class * d..(class + 1) * d];
            sum.iter_mut().zip(rows.row(i)).for_each(|(s, &v)| *s += f64::from(v));
        }
        for (sum, &n) in sums.chunks_mut(d).zip(&counts) {
            sum.iter_mut().for_each(|s| *s /= n.max(1) as f64);
        }
        let mut squares = vec![0f64; d];
        for (i, &label) in labels.iter().enumerate() {
            let mean = &sums[label as usize * d..(label as usize + 1) * d];
            for ((square, mean), &v) in squares.iter_mut().zip(mean).zip(rows.row(i)) {
                *square += (f64::from(v) - mean).powi(2);
            }
        }
        let freedom = labels.len().saturating_sub(classes).max(1) as f64;
        let scale = |square: &f64| {
            let deviation = (square / freedom).sqrt();
            if deviation > 1e-12 { (1.0 / deviation) as f32 } else { 0.0 }
        };
        let present = sums.chunks(d).zip(&counts).filter(|(_, n)| **n > 0);
        let mut familiarity = Self {
            means: present.flat_map(|(mean, _)| mean.iter().map(|&m| m as f32)).collect(),
            scale: squares.iter().map(scale).collect(),
            threshold: f32::MAX,
        };
        let mut distances: Vec<f32> =
            (0..held_out.n()).map(|i| familiarity.distance(held_out.row(i))).collect();
        distances.sort_by(f32::total_cmp);
        let rank = (FAMILIAR * distances.len() as f64).ceil() as usize;
        if let Some(&distance) = distances.get(rank.saturating_sub(1)) {
            familiarity.threshold = distance;
        }
        familiarity
    }

    /// Root mean square over features; comparable with [`Self::threshold`].
    pub fn distance(&self, row: &[f32]) -> f32 {
        let d = row.len().max(1);
        let to = |mean: &[f32]| -> f64 {
            let offsets = row.iter().zip(mean).zip(&self.scale);
            let squares = offsets.map(|((&v, &m), &s)| (f64::from(v - m) * f64::from(s)).powi(2));
            (squares.sum::<f64>() / d as f64).sqrt()
        };
        self.means.chunks_exact(d).map(to).fold(f64::INFINITY, f64::min) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_or_beyond_the_classes_is_unfamiliar() {
        // Two classes around (0, 0) and (10, 10), deviation about 1.
        let offsets = [-1.0f32, 0.0, 1.0, -0.5, 0.5];
        let data: Vec<f32> = offsets.iter().flat_map(|&o| [o, -o, 10.0 + o, 10.0 - o]).collect();
        let labels: Vec<u32> = (0..10).map(|i| i % 2).collect();
        let rows = Rows::new(10, 2, &data).unwrap();
        // A third class has no training rows.
        let familiarity = Familiarity::fit(rows, &labels, 3, rows);
        for familiar in [[0.0, 0.0], [10.0, 10.0]] {
            assert!(familiarity.distance(&familiar) < familiarity.threshold);
        }
        for far in [[5.0, 5.0], [100.0, 0.0]] {
            assert!(familiarity.distance(&far) > familiarity.threshold);
        }
    }
}
