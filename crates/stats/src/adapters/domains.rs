//! Several domains of a source: which rows are of which, how near each is, and how each is shown.

use super::kernel::Wide;
use super::{Problem, View};
use crate::{Matrix, Result, Rows, StatsError, content, moments};

/// Rows of a domain whose distances are taken, at most.
const MOST: usize = 500;
/// Exchanges of weight between two domains: each brings the objective down, and a few dozen suffice.
const EXCHANGES: usize = 10_000;
/// Slope, as a share of the mean distance, below which no exchange is worth while.
const FLAT: f64 = 1e-10;

/// Places of each domain's rows, by its number; one part of all rows where there are no domains.
pub(super) fn parts(problem: &Problem<'_>) -> Vec<Vec<usize>> {
    match problem.domains() {
        Some(domains) => places(domains),
        None => vec![(0..problem.source().n()).collect()],
    }
}

fn places(domains: &[u32]) -> Vec<Vec<usize>> {
    let mut parts = vec![Vec::new(); domains.iter().max().map_or(0, |&most| most as usize + 1)];
    domains.iter().enumerate().for_each(|(i, &domain)| parts[domain as usize].push(i));
    parts
}

/// The view that `of` makes of each domain. One with fewer than two rows has no statistics and is seen as `pooled`.
pub(super) fn views(
    problem: &Problem<'_>,
    pooled: &View,
    of: impl Fn(Rows<'_>) -> Result<View>,
) -> Result<Vec<View>> {
    if problem.domains().is_none() {
        return Ok(Vec::new());
    }
    let one = |part: &Vec<usize>| match part.len() {
        0 | 1 => Ok(pooled.clone()),
        _ => of(Matrix::gather(problem.source(), part).rows()),
    };
    parts(problem).iter().map(one).collect()
}

/// Rows as the views of their domains show them, `[n, k]`, in their order; `pooled` shows those of other domains.
pub(super) fn shown(
    rows: Rows<'_>,
    domains: &[u32],
    views: &[View],
    pooled: &View,
) -> Result<Matrix> {
    if domains.len() != rows.n() {
        return Err(StatsError::Shape {
            expected: format!("the domain of each of {} rows", rows.n()),
            actual: format!("{} domains", domains.len()),
        });
    }
    let mut out: Option<(usize, Vec<f32>)> = None;
    for (domain, part) in places(domains).iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let view = views.get(domain).unwrap_or(pooled);
        let own = view.apply(Matrix::gather(rows, part).rows())?;
        let k = own.rows().d();
        let (width, data) = out.get_or_insert_with(|| (k, vec![0.0; rows.n() * k]));
        if *width != k {
            return Err(StatsError::Shape {
                expected: format!("{width} features of every domain"),
                actual: format!("{k} of domain {domain}"),
            });
        }
        for (row, &i) in part.iter().enumerate() {
            data[i * k..][..k].copy_from_slice(own.rows().row(row));
        }
    }
    let (k, data) = out.unwrap_or((rows.d(), Vec::new()));
    Matrix::new(rows.n(), k, data)
        .ok_or_else(|| StatsError::Unusable(format!("views of {} rows", rows.n())))
}

/// How near several sets of rows are to a target, and how much of each comes nearest to it together.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearness {
    /// Energy distance `2E‖x − t‖ − E‖x − x'‖ − E‖t − t'‖` of each set from the target, as a share of
    /// `2E‖x − t‖`: 0 for the same distribution, 1 for two points. 1 where a set has no rows.
    pub distances: Vec<f64>,
    /// Shares of the mixture of the sets that is nearest to the target by the energy distance; they sum to 1.
    pub shares: Vec<f64>,
}

/// Compares each domain of `source` `[n, d]` with `target` `[m, d]`.
///
/// The shares `w ≥ 0, Σ w = 1` minimise the energy distance (Székely & Rizzo 2013) of `Σ w_k P_k` from the target,
/// `2 Σ w_k E‖x_k − t‖ − Σ w_k w_l E‖x_k − x_l‖` but for a constant, where `P_k` are the sets as they are: a set of
/// few rows has its rows' distances from themselves in it, so that it counts less. That is kernel mean matching
/// (Huang et al. 2006) with one weight a domain and a kernel without a width. Convex; solved by exact exchanges
/// between the pair of domains with the steepest slope. At most 500 rows a domain are looked at.
///
/// # Errors
/// Another number of domains than rows, rows of two widths, no rows.
pub fn nearness(source: Rows<'_>, domains: &[u32], target: Rows<'_>) -> Result<Nearness> {
    if domains.len() != source.n() || source.n() == 0 || target.n() == 0 {
        return Err(StatsError::Shape {
            expected: "a domain for each of at least one source row, and a target row".into(),
            actual: format!(
                "{} domains, {} source rows, {} target rows",
                domains.len(),
                source.n(),
                target.n()
            ),
        });
    }
    crate::check::width(target, source.d())?;
    let parts = places(domains);
    let centre = moments::means(target);
    let wide = |rows: Rows<'_>| {
        let order: Vec<usize> = content::order(rows).into_iter().take(MOST).collect();
        Wide::of(Matrix::gather(rows, &order).rows(), &centre)
    };
    let sets: Vec<Option<Wide>> = parts
        .iter()
        .map(|part| (!part.is_empty()).then(|| wide(Matrix::gather(source, part).rows())))
        .collect();
    let own = wide(target);
    let mean = |a: &Wide, b: &Wide| {
        let all = a.all_distances(b);
        all.iter().map(|square| square.max(0.0).sqrt()).sum::<f64>() / all.len() as f64
    };
    // Of all pairs but a row with itself, whose distance rounding makes larger than 0.
    let within = |a: &Wide| {
        let all = a.all_distances(a);
        let pairs = all.iter().enumerate().filter(|(i, _)| i / a.n != i % a.n);
        let sum: f64 = pairs.map(|(_, square)| square.max(0.0).sqrt()).sum();
        sum / (a.n * (a.n - 1)).max(1) as f64
    };
    let present: Vec<usize> = (0..sets.len()).filter(|&k| sets[k].is_some()).collect();
    let some: Vec<&Wide> = sets.iter().flatten().collect();
    let to_target: Vec<f64> = some.iter().map(|set| mean(set, &own)).collect();
    let k = some.len();
    let mut between = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..i {
            let apart = mean(some[i], some[j]);
            (between[i * k + j], between[j * k + i]) = (apart, apart);
        }
        // As of all of its rows, of which those that were looked at are a sample.
        let n = parts[present[i]].len() as f64;
        between[i * k + i] = within(some[i]) * (1.0 - 1.0 / n);
    }
    let of_target = within(&own) * (1.0 - 1.0 / target.n() as f64);
    let (mut distances, mut shares) = (vec![1.0; parts.len()], vec![0.0; parts.len()]);
    let found = nearest_mixture(&to_target, &between);
    for (i, &domain) in present.iter().enumerate() {
        let across = 2.0 * to_target[i];
        let apart = across - between[i * k + i] - of_target;
        distances[domain] = if across > 0.0 { (apart / across).max(0.0) } else { 0.0 };
        shares[domain] = found[i];
    }
    Ok(Nearness { distances, shares })
}

/// `argmin 2 aᵀw − wᵀBw` over shares.
fn nearest_mixture(a: &[f64], b: &[f64]) -> Vec<f64> {
    let k = a.len();
    let mut w = vec![1.0 / k.max(1) as f64; k];
    let flat = FLAT * a.iter().copied().fold(0.0, f64::max);
    for _ in 0..EXCHANGES {
        let slope = |i: usize| a[i] - (0..k).map(|j| b[i * k + j] * w[j]).sum::<f64>();
        let slopes: Vec<f64> = (0..k).map(slope).collect();
        let to = (0..k).min_by(|&i, &j| slopes[i].total_cmp(&slopes[j]));
        let from = (0..k).filter(|&i| w[i] > 0.0).max_by(|&i, &j| slopes[i].total_cmp(&slopes[j]));
        let (Some(to), Some(from)) = (to, from) else { break };
        let gain = slopes[from] - slopes[to];
        if gain.is_nan() || gain <= flat {
            break;
        }
        let curvature = 2.0 * b[to * k + from] - b[to * k + to] - b[from * k + from];
        let moved = if curvature > 0.0 { (gain / curvature).min(w[from]) } else { w[from] };
        w[to] += moved;
        // Exactly 0 where all of it went.
        w[from] = if moved < w[from] { w[from] - moved } else { 0.0 };
    }
    w
}

#[cfg(test)]
mod tests {
    use super::nearest_mixture;

    #[test]
    fn exchanges_end_at_the_least_value_of_a_fine_grid() {
        let a = [1.0, 1.3, 0.9];
        let b = [0.8, 1.4, 1.1, 1.4, 0.9, 1.5, 1.1, 1.5, 0.7];
        let value = |w: &[f64]| {
            let linear: f64 = a.iter().zip(w).map(|(a, w)| 2.0 * a * w).sum();
            let square: f64 = (0..9).map(|at| w[at / 3] * b[at] * w[at % 3]).sum();
            linear - square
        };
        let found = nearest_mixture(&a, &b);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{found:?}");
        let steps = 200;
        let mut least = f64::INFINITY;
        for i in 0..=steps {
            for j in 0..=steps - i {
                let w = [i, j, steps - i - j].map(|x| x as f64 / steps as f64);
                least = least.min(value(&w));
            }
        }
        assert!(value(&found) <= least + 1e-9, "{found:?}: {} and {least}", value(&found));
    }
}
