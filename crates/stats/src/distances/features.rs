//! Which features moved.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::Pair;

/// One feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureShift {
    /// Which column.
    pub feature: usize,
    /// Difference of means, target − source, in pooled standard deviations (Cohen's d).
    pub difference: f64,
    /// Corrected for the number of features: the share of permutations in which *any* feature differs as
    /// much (Westfall & Young 1993, max-T).
    pub p_value: f64,
}

/// All features, the one that moved most first.
pub fn features(pair: &Pair<'_>) -> Vec<FeatureShift> {
    let (d, cells) = (pair.d(), &pair.cells);
    let (n, columns) = (cells.cells.len(), cells.columns);
    let mut sums = vec![0.0; n * d];
    let mut within = vec![[0.0; 2]; d];
    let mut means = vec![[0.0; 2]; d];
    for (cell, sums) in cells.cells.iter().zip(sums.chunks_exact_mut(d)) {
        for place in cell.start..cell.start + cell.len {
            let row = pair.row(place).iter().zip(&pair.centre);
            for ((sum, mean), (&x, centre)) in sums.iter_mut().zip(&mut means).zip(row) {
                *sum += f64::from(x) - centre;
                mean[cell.set] += (f64::from(x) - centre) / cells.n[cell.set] as f64;
            }
        }
    }
    for &(set, row) in &cells.rows {
        let row = pair.sets[set].row(row).iter().zip(&pair.centre);
        for ((within, mean), (&x, centre)) in within.iter_mut().zip(&means).zip(row) {
            within[set] += (f64::from(x) - centre - mean[set]).powi(2);
        }
    }
    let counts = cells.n.map(|n| n as f64);
    let scale: Vec<f64> = within
        .iter()
        .zip(&means)
        .zip(&pair.centre)
        .map(|((within, mean), centre)| {
            let variance = (within[0] + within[1]) / (counts[0] + counts[1] - 2.0).max(1.0);
            // A feature that only rounding moves says nothing; one that moves and does not vary, all.
            let apart = (mean[1] - mean[0]).powi(2);
            let floor = 1e-14 * (centre * centre + apart);
            if variance > floor { variance.sqrt().recip() } else { 0.0 }
        })
        .collect();
    let weight = |source: u8| if source != 0 { -1.0 / counts[0] } else { 1.0 / counts[1] };
    let weights: Vec<f64> = cells.is_source.iter().map(|&s| weight(s)).collect();
    let sums = MatRef::from_column_major_slice(&sums, d, n);
    let weights = MatRef::from_column_major_slice(&weights, columns, n);
    // Row-major [d, columns], a panel of features at a time.
    let mut differences = vec![0.0; d * columns];
    differences.par_chunks_mut((64 * columns).max(1)).enumerate().for_each(|(panel, out)| {
        let own = out.len() / columns;
        let to = MatMut::from_column_major_slice_mut(out, columns, own);
        let right = sums.subrows(panel * 64, own).transpose();
        matmul(to, Accum::Replace, weights, right, 1.0, Par::Seq);
    });
    let mut largest = vec![0.0f64; columns];
    for (row, scale) in differences.chunks_exact(columns).zip(&scale) {
        for (most, difference) in largest.iter_mut().zip(row) {
            *most = most.max((difference * scale).abs());
        }
    }
    largest.sort_by(f64::total_cmp);
    let mut out: Vec<FeatureShift> = differences
        .chunks_exact(columns)
        .zip(&scale)
        .enumerate()
        .map(|(feature, (row, scale))| {
            let difference = row[0] * scale;
            let below = largest.partition_point(|&most| most < difference.abs() * (1.0 - 1e-9));
            let p_value = ((columns - below).max(1)) as f64 / columns as f64;
            FeatureShift { feature, difference, p_value }
        })
        .collect();
    out.sort_by(|a, b| {
        b.difference.abs().total_cmp(&a.difference.abs()).then(a.feature.cmp(&b.feature))
    });
    out
}
