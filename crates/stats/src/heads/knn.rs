//! Vote of the nearest training samples by cosine similarity.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Entry, FitOptions, Fitted, Head};
use crate::{Probabilities, Result, Rows, StatsError, cv};

pub(super) const ENTRY: Entry = Entry {
    name: "knn",
    summary: "weighted vote of the nearest training samples, cosine similarity",
    paper: "Cover & Hart 1967; weights exp(s/τ) as in Wu et al. 2018 (arXiv:1805.01978)",
    fit,
};

/// Sharpness of the vote: a neighbour of similarity s counts exp(s/τ).
const SHARPNESS: f64 = 0.07;

/// Pseudo-count of every class that was seen, so that no probability of such a class is 0.
const PRIOR: f64 = 0.02;

/// Numbers of neighbours that cross-validation tries.
const CANDIDATES: [usize; 6] = [1, 3, 5, 10, 20, 50];

/// Training rows of length 1 and their labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Number of features.
    pub d: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Neighbours that vote.
    pub k: usize,
    /// Subtracted before the length is taken: features of one backbone share a large mean, which
    /// would make all of them look alike.
    pub mean: Vec<f64>,
    /// `[n, d]`, each of length 1.
    pub rows: Vec<f32>,
    /// `[n]`.
    pub labels: Vec<u32>,
}

impl Neighbours {
    /// Probabilities of every class, `[n, classes]`.
    pub fn predict(&self, rows: Rows<'_>) -> Result<Probabilities> {
        let votes: Vec<f64> = (0..rows.n())
            .into_par_iter()
            .flat_map_iter(|i| {
                let x = unit(rows.row(i), &self.mean);
                self.vote(&self.nearest(&x, None), self.k)
            })
            .collect();
        Probabilities::new(self.n_classes, votes)
            .ok_or_else(|| StatsError::Unusable("a head without classes".into()))
    }

    /// Similarity and label of the nearest rows, most similar first; `without` is left out.
    fn nearest(&self, x: &[f32], without: Option<&[bool]>) -> Vec<(f64, u32)> {
        let most = CANDIDATES[CANDIDATES.len() - 1].max(self.k);
        let mut found: Vec<(f64, usize)> = self
            .rows
            .chunks_exact(self.d)
            .enumerate()
            .filter(|(i, _)| without.is_none_or(|without| !without[*i]))
            .map(|(i, row)| (dot(x, row), i))
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if found.len() > most {
            found.select_nth_unstable_by(most, order);
            found.truncate(most);
        }
        found.sort_by(order);
        found.into_iter().map(|(s, i)| (s, self.labels[i])).collect()
    }

    fn vote(&self, nearest: &[(f64, u32)], k: usize) -> Vec<f64> {
        let mut votes = vec![0.0; self.n_classes];
        let best = nearest.first().map_or(0.0, |n| n.0);
        for &(similarity, label) in nearest.iter().take(k) {
            votes[label as usize] += ((similarity - best) / SHARPNESS).exp();
        }
        for &label in &self.labels {
            votes[label as usize] = votes[label as usize].max(PRIOR);
        }
        let sum: f64 = votes.iter().sum();
        votes.iter_mut().for_each(|v| *v /= sum);
        votes
    }
}

fn fit(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Result<Fitted> {
    let mean = crate::moments::means(rows);
    let unit_rows = (0..rows.n()).flat_map(|i| unit(rows.row(i), &mean)).collect();
    let mut head =
        Neighbours { d: rows.d(), n_classes, k: 1, mean, rows: unit_rows, labels: labels.to_vec() };
    // The number of neighbours with the least held-out log-loss.
    let folds = options.folds.min(rows.n());
    let fold_of = cv::stratified_folds(labels, folds.max(1), options.seed);
    let masks: Vec<Vec<bool>> =
        (0..folds).map(|fold| fold_of.iter().map(|&f| f == fold).collect()).collect();
    if folds >= 2 {
        let losses: Vec<[f64; CANDIDATES.len()]> = (0..rows.n())
            .into_par_iter()
            .map(|i| {
                let x = &head.rows[i * head.d..][..head.d];
                let nearest = head.nearest(x, Some(&masks[fold_of[i]]));
                CANDIDATES.map(|k| -head.vote(&nearest, k)[labels[i] as usize].max(1e-15).ln())
            })
            .collect();
        let total = |at: usize| losses.iter().map(|loss| loss[at]).sum::<f64>();
        let best = (1..CANDIDATES.len())
            .fold(0, |best, at| if total(at) < total(best) { at } else { best });
        head.k = CANDIDATES[best];
    }
    Ok(Fitted::closed_form(Head::Neighbours(head)))
}

/// `x − mean` at length 1; zeros stay zeros.
fn unit(x: &[f32], mean: &[f64]) -> Vec<f32> {
    let centred: Vec<f64> = x.iter().zip(mean).map(|(&x, m)| f64::from(x) - m).collect();
    let length = centred.iter().map(|x| x * x).sum::<f64>().sqrt();
    let inverse = if length > 0.0 { 1.0 / length } else { 0.0 };
    centred.iter().map(|x| (x * inverse) as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    f64::from(lanes.iter().sum::<f32>() + rest)
}
