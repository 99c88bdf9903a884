//! Lloyd's k-means.

use rayon::prelude::*;

use crate::Rows;

const MOST_ROUNDS: usize = 300;

/// Cluster of every row (Lloyd 1982): starts from the mean of each of the `classes` `[n]` and ends when no row
/// changes its cluster. A cluster that loses all of its rows stays where it is.
pub(super) fn clusters(rows: Rows<'_>, classes: &[u32]) -> Vec<u32> {
    let mut present: Vec<u32> = classes.to_vec();
    present.sort_unstable();
    present.dedup();
    let place = |class: &u32| present.partition_point(|p| p < class) as u32;
    let mut assigned: Vec<u32> = classes.iter().map(place).collect();
    let mut centres = vec![0.0; present.len() * rows.d()];
    for _ in 0..MOST_ROUNDS {
        move_centres(rows, &assigned, &mut centres);
        let next: Vec<u32> =
            (0..rows.n()).into_par_iter().map(|i| nearest(rows.row(i), &centres)).collect();
        if next == assigned {
            break;
        }
        assigned = next;
    }
    assigned
}

fn move_centres(rows: Rows<'_>, assigned: &[u32], centres: &mut [f64]) {
    let d = rows.d();
    let (mut sums, mut counts) = (vec![0.0; centres.len()], vec![0.0; centres.len() / d]);
    for (i, &cluster) in assigned.iter().enumerate() {
        counts[cluster as usize] += 1.0;
        let sums = &mut sums[cluster as usize * d..][..d];
        sums.iter_mut().zip(rows.row(i)).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    for ((centre, sum), count) in centres.chunks_exact_mut(d).zip(sums.chunks_exact(d)).zip(counts)
    {
        if count > 0.0 {
            centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count);
        }
    }
}

/// The first of equals.
fn nearest(row: &[f32], centres: &[f64]) -> u32 {
    let (mut best, mut least) = (0, f64::INFINITY);
    for (index, centre) in centres.chunks_exact(row.len()).enumerate() {
        let square: f64 = row.iter().zip(centre).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum();
        if square < least {
            (best, least) = (index, square);
        }
    }
    best as u32
}
