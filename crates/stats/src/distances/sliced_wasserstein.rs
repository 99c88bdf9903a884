//! Sliced Wasserstein distance.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use offshoot_random::generator;
use pulp::Arch;
use rand::RngExt;
use rayon::prelude::*;

use super::{Distance, Measure, Options, Pair};
use crate::{Result, Rows};

pub(super) const DISTANCE: Distance = Distance {
    name: "sliced_wasserstein",
    summary: "mean Wasserstein-1 distance of projections on random directions",
    paper: "Rabin et al. 2011; Bonneel et al. 2015, J. Math. Imaging Vis. 51",
    is_test: true,
    least: 0.0,
    compute,
};

/// Random directions.
const DIRECTIONS: usize = 100;

/// Columns walked along together.
const LANES: usize = 32;

/// Rows projected at a time.
const BLOCK: usize = 256;

/// The mean over directions of `∫ |F_s − F_t|`, which is the Wasserstein-1 distance in one dimension.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let directions: Vec<f64> =
        (0..DIRECTIONS as u64).flat_map(|k| direction(pair.d(), pair.options.seed, k)).collect();
    let (statistics, resampled) = sliced(pair, &directions);
    // Drawing samples twice adds distance of its own, which the mean of resamples shows.
    let excess = super::mean(&resampled).unwrap_or(statistics[0]) - statistics[0];
    let resampled = resampled.into_iter().map(|distance| (distance - excess).max(0.0)).collect();
    Ok(pair.test(DISTANCE.name, statistics[0], statistics, resampled))
}

/// The distance along given unit vectors `[k, d]`.
///
/// # Errors
/// As [`Pair::new`].
pub fn along(source: Rows<'_>, target: Rows<'_>, directions: &[f64]) -> Result<f64> {
    let options = Options { permutations: 0, resamples: 0, seed: 0 };
    let pair = Pair::new(source, target, options)?;
    Ok(sliced(&pair, directions).0[0])
}

/// A point on the unit sphere: normal draws (Box & Muller 1958), scaled.
fn direction(d: usize, seed: u64, index: u64) -> Vec<f64> {
    let mut draws = generator(seed, "directions", 0, index);
    let mut out: Vec<f64> = (0..d)
        .map(|_| {
            let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
            radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
        })
        .collect();
    let length = out.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    out.iter_mut().for_each(|x| *x /= length);
    out
}

/// Means over directions for the pair and every permutation, and for every resample.
fn sliced(pair: &Pair<'_>, directions: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let d = pair.d();
    let k = directions.len() / d;
    let n = pair.cells.rows.len();
    let mut projections = vec![0.0; n * k];
    let directions = MatRef::from_column_major_slice(&directions[..k * d], d, k);
    projections.par_chunks_mut((BLOCK * k).max(1)).enumerate().for_each(|(block, out)| {
        let rows = out.len() / k;
        let places = block * BLOCK..block * BLOCK + rows;
        let values: Vec<f64> = places
            .flat_map(|place| {
                let row = pair.row(place).iter().zip(&pair.centre);
                row.map(|(&x, c)| f64::from(x) - c)
            })
            .collect();
        let values = MatRef::from_column_major_slice(&values, d, rows);
        let to = MatMut::from_column_major_slice_mut(out, k, rows);
        matmul(to, Accum::Replace, directions.transpose(), values, 1.0, Par::Seq);
    });
    let panels = panels(pair);
    let cell_of: Vec<u32> = pair
        .cells
        .cells
        .iter()
        .enumerate()
        .flat_map(|(index, cell)| std::iter::repeat_n(index as u32, cell.len))
        .collect();
    let each: Vec<Vec<[f64; LANES]>> = (0..k)
        .into_par_iter()
        .map(|direction| {
            let mut places: Vec<(f64, u32)> =
                (0..n).map(|place| (projections[place * k + direction], cell_of[place])).collect();
            places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            // A step of the distribution functions, and how far it is to the next.
            let steps: Vec<(usize, f64)> = places
                .iter()
                .enumerate()
                .map(|(i, &(x, cell))| {
                    (cell as usize, places.get(i + 1).map_or(0.0, |next| next.0 - x))
                })
                .collect();
            panels.iter().map(|weights| walk(&steps, weights)).collect()
        })
        .collect();
    let mut sums = vec![0.0; panels.len() * LANES];
    for panels in &each {
        sums.iter_mut().zip(panels.iter().flatten()).for_each(|(sum, d)| *sum += d);
    }
    sums.iter_mut().for_each(|sum| *sum /= k.max(1) as f64);
    let columns = pair.cells.columns;
    (sums[..columns].to_vec(), sums[columns..columns + pair.cells.resamples].to_vec())
}

/// What a sample of each cell adds to `F_s − F_t`, `[panels][cells][LANES]`; permutations first, then
/// resamples.
fn panels(pair: &Pair<'_>) -> Vec<Vec<[f64; LANES]>> {
    let cells = &pair.cells;
    let [n, m] = cells.n.map(|n| n as f64);
    let drawn: Vec<[f64; 2]> = (0..cells.resamples)
        .map(|resample| [cells.drawn_from(0, resample), cells.drawn_from(1, resample)])
        .collect();
    let weight = |cell: usize, column: usize| match column.checked_sub(cells.columns) {
        None if cells.is_source[cell * cells.columns + column] != 0 => 1.0 / n,
        None => -1.0 / m,
        Some(resample) if resample < cells.resamples => {
            let set = cells.cells[cell].set;
            let share = cells.drawn[cell * cells.resamples + resample] / drawn[resample][set];
            if set == 0 { share } else { -share }
        }
        Some(_) => 0.0,
    };
    let all = cells.columns + cells.resamples;
    (0..all.div_ceil(LANES))
        .map(|panel| {
            let one = |cell| std::array::from_fn(|lane| weight(cell, panel * LANES + lane));
            (0..cells.cells.len()).map(one).collect()
        })
        .collect()
}

/// `∫ |F_s − F_t|` of a panel's columns.
fn walk(steps: &[(usize, f64)], weights: &[[f64; LANES]]) -> [f64; LANES] {
    Arch::new().dispatch(Walk { steps, weights })
}

struct Walk<'a> {
    steps: &'a [(usize, f64)],
    weights: &'a [[f64; LANES]],
}

impl pulp::WithSimd for Walk<'_> {
    type Output = [f64; LANES];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [f64; LANES] {
        let mut apart = [0.0; LANES];
        let mut sums = [0.0; LANES];
        for &(cell, step) in self.steps {
            let weights = &self.weights[cell];
            for lane in 0..LANES {
                apart[lane] += weights[lane];
                sums[lane] += step * apart[lane].abs();
            }
        }
        sums
    }
}
