//! kNN: how often the nearest other samples are of the same class.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::{Evidence, Score};
use crate::Result;

pub(super) const SCORE: Score = Score {
    name: "knn",
    summary: "leave-one-out accuracy of the five nearest neighbours by cosine",
    paper: "Cover & Hart 1967; to choose a source: Puigcerver et al. 2021, arXiv:2009.13239",
    needs_source: false,
    compute,
};

/// Neighbours that vote.
const K: usize = 5;
/// Samples that are asked about, at most; all are neighbours.
const MOST: usize = 2_000;
/// Samples that are asked about together.
const BLOCK: usize = 64;

/// Share of the samples that the majority of their five nearest others names rightly; among classes with as many
/// votes, the one with the nearer neighbour. Cosine of features about their mean, which all of a backbone's share.
/// Beyond 2,000 samples it asks about as many, which their content chooses.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let rows = evidence.rows();
    let (n, d) = (rows.n(), rows.d());
    if n < 2 {
        return Ok(0.0);
    }
    let mut unit = Vec::with_capacity(n * d);
    for i in 0..n {
        let first = unit.len();
        unit.extend(rows.row(i).iter().zip(evidence.mean()).map(|(&x, c)| f64::from(x) - c));
        let length = unit[first..].iter().map(|z| z * z).sum::<f64>().sqrt();
        if length > 0.0 {
            unit[first..].iter_mut().for_each(|z| *z /= length);
        }
    }
    // Column-major [d, n]: one sample a column.
    let unit = MatRef::from_column_major_slice(&unit, d, n);
    // Equal similarities are settled by content, not by place.
    let mut place = vec![0; n];
    evidence.by_content().iter().enumerate().for_each(|(at, &i)| place[i] = at);
    let asked = &evidence.by_content()[..n.min(MOST)];
    let right: usize = asked
        .par_chunks(BLOCK)
        .map(|asked| {
            let queries = Mat::from_fn(d, asked.len(), |k, q| unit[(k, asked[q])]);
            let mut similar = Mat::zeros(n, asked.len());
            matmul(&mut similar, Accum::Replace, unit.transpose(), &queries, 1.0, Par::Seq);
            let answer = |(q, &i): (usize, &usize)| {
                let nearest = nearest(n, i, |j| similar[(j, q)], &place);
                usize::from(vote(&nearest, evidence.labels()) == Some(evidence.labels()[i]))
            };
            asked.iter().enumerate().map(answer).sum::<usize>()
        })
        .sum();
    Ok(right as f64 / asked.len() as f64)
}

/// The most similar others, nearest first.
fn nearest(n: usize, own: usize, similar: impl Fn(usize) -> f64, place: &[usize]) -> Vec<usize> {
    let before = |a: usize, b: usize| {
        similar(b).total_cmp(&similar(a)).then(place[a].cmp(&place[b])).is_lt()
    };
    let mut nearest: Vec<usize> = Vec::with_capacity(K + 1);
    for j in (0..n).filter(|&j| j != own) {
        if nearest.len() < K || before(j, nearest[K - 1]) {
            let at = nearest.partition_point(|&other| before(other, j));
            nearest.insert(at, j);
            nearest.truncate(K);
        }
    }
    nearest
}

fn vote(nearest: &[usize], labels: &[u32]) -> Option<u32> {
    let votes = |label: u32| nearest.iter().filter(|&&j| labels[j] == label).count();
    // The first of equals is the nearest.
    let mut best: Option<(usize, u32)> = None;
    for &j in nearest {
        let count = votes(labels[j]);
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, labels[j]));
        }
    }
    best.map(|(_, label)| label)
}
