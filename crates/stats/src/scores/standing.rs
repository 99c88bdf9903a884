//! Places of several sources in a ranking, and how sure they are.

use offshoot_random::permutation;
use rayon::prelude::*;

use super::{Evidence, Score};
use crate::heads::Limit;
use crate::{Matrix, Probabilities, Result, Rows, average_ranks};

/// One source on the samples that all are compared on.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Its features, `[n, d]`; d may differ from source to source.
    pub rows: Rows<'a>,
    /// What its own classifier says, where it has one.
    pub source: Option<&'a Probabilities>,
}

/// Places from 1 for the best, `[contenders]`: the mean over several scores of the place that each gives, ties
/// shared. A score that a contender lacks puts it last.
pub fn places(values: &[Vec<Option<f64>>]) -> Vec<f64> {
    let scores = values.first().map_or(0, Vec::len);
    let mut mean = vec![0.0; values.len()];
    for score in 0..scores {
        let negated: Vec<f64> =
            values.iter().map(|v| v[score].map_or(f64::INFINITY, |v| -v)).collect();
        mean.iter_mut().zip(average_ranks(&negated)).for_each(|(sum, rank)| *sum += rank);
    }
    // The place among means is what a reader takes for a rank.
    average_ranks(&mean)
}

/// 95 % intervals of the [`places`], `[contenders]`, over `resamples` halves of the samples, the same half for every
/// contender. What half of the samples differs from all of them by has the variance of what all differ from the
/// truth by (McCarthy 1969), as a bootstrap's draws have; but no sample is in a half twice, which would be its own
/// nearest neighbour and flatter every score that leaves samples out. Half `r` is drawn by the key
/// (seed, "half sample", r). `None` where `limit` left no time for a single half.
///
/// # Errors
/// As [`Evidence::new`].
pub fn intervals(
    contenders: &[Contender<'_>],
    labels: &[u32],
    n_classes: usize,
    scores: &[&Score],
    (resamples, seed): (usize, u64),
    limit: &Limit,
) -> Result<Option<Vec<[f64; 2]>>> {
    let half = labels.len().div_ceil(2);
    let draws: Vec<Option<Vec<f64>>> = (0..resamples as u64)
        .into_par_iter()
        .map(|r| {
            if limit.is_reached() {
                return Ok(None);
            }
            let mut drawn = permutation(labels.len(), seed, "half sample", r);
            drawn.truncate(half);
            let of: Vec<u32> = drawn.iter().map(|&i| labels[i]).collect();
            let mut values = Vec::with_capacity(contenders.len());
            for contender in contenders {
                let rows = Matrix::gather(contender.rows, &drawn);
                let source = contender.source.map(|source| source.gather(&drawn));
                let evidence = Evidence::new(rows.rows(), &of, n_classes, source.as_ref())?;
                values.push(scores.iter().map(|score| score.of(&evidence).ok()).collect());
            }
            Ok(Some(places(&values)))
        })
        .collect::<Result<_>>()?;
    let draws: Vec<Vec<f64>> = draws.into_iter().flatten().collect();
    if draws.is_empty() {
        return Ok(None);
    }
    let interval = |c: usize| {
        let mut places: Vec<f64> = draws.iter().map(|draw| draw[c]).collect();
        places.sort_by(f64::total_cmp);
        [0.025, 0.975].map(|q| places[(q * (places.len() - 1) as f64).round() as usize])
    };
    Ok(Some((0..contenders.len()).map(interval).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::find;

    #[test]
    fn places_are_shared_by_equals_and_last_where_a_score_is_missing() {
        let values = [vec![Some(1.0)], vec![Some(3.0)], vec![None], vec![Some(1.0)]];
        assert_eq!(places(&values), [2.5, 1.0, 4.0, 2.5]);
        // First and second for one, second and first for the other.
        let values = [vec![Some(2.0), Some(0.0)], vec![Some(1.0), Some(1.0)]];
        assert_eq!(places(&values), [1.5, 1.5]);
    }

    #[test]
    fn the_interval_is_narrow_where_sources_differ_and_wide_where_they_do_not() {
        let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        let labels: Vec<u32> = (0..60).map(|i| i % 3).collect();
        let features = |salt: usize, apart: f32| -> Vec<f32> {
            (0..60 * 4)
                .map(|at| noise(at * 31 + salt) + if at % 4 == at / 4 % 3 { apart } else { 0.0 })
                .collect()
        };
        let (good, one, other) = (features(1, 2.0), features(2, 0.0), features(3, 0.0));
        let contenders = [&good, &one, &other]
            .map(|x| Contender { rows: Rows::new(60, 4, x).unwrap(), source: None });
        let scores = [find("loo").unwrap()];
        let limit = Limit::default();
        let of = |seed| {
            intervals(&contenders, &labels, 3, &scores, (40, seed), &limit).unwrap().unwrap()
        };
        let found = of(0);
        assert_eq!(found[0], [1.0, 1.0]);
        assert_eq!((found[1], found[2]), ([2.0, 3.0], [2.0, 3.0]));
        assert_eq!(found, of(0));
        let over = Limit { until: Some(std::time::Instant::now()), stop: None };
        assert!(intervals(&contenders, &labels, 3, &scores, (4, 0), &over).unwrap().is_none());
    }
}
