//! Whether the same inputs have other labels in the target than in the source.
//!
//! A source head that errs on target samples has met inputs that it does not know, or known inputs with
//! other labels. Only the second is a change of p(y|x), and only labels tell. So errors are compared where
//! both sets have samples alike: in strata of the score by which a classifier tells the sets apart.

use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

use crate::{Result, StatsError};

/// Strata of equal numbers of pooled samples.
const STRATA: usize = 20;

/// Share of the target's samples that must have source samples alike: where the sets are apart, one stratum
/// still holds the ends of both.
const LEAST_OVERLAP: f64 = 0.15;

/// Samples of each set that a stratum needs.
const FEWEST: usize = 5;

/// Share of a stratum's samples that the rarer set must have, after both are weighed alike.
const RAREST: f64 = 0.05;

/// A labelled sample and what two heads that had not seen it say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// How much it looks like the target ([`crate::distances::Pair::scores`]).
    pub score: f64,
    /// Whether the source's head errs.
    pub wrong: bool,
    /// Whether a head of the target's labels errs; not looked at for source samples.
    pub own_wrong: bool,
}

/// What the probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct Concept {
    /// Share of target samples that have source samples alike.
    pub overlap: f64,
    /// Which target samples these are.
    pub inside: Vec<bool>,
    /// The source head's error on source samples alike, as often in each stratum as the target's.
    pub source_error: f64,
    /// The source head's error on the target's samples there.
    pub target_error: f64,
    /// The error there of a head of the target's own labels.
    pub own_error: f64,
    /// That the source head errs more on target samples than on source samples alike: permutation
    /// within strata.
    pub excess_p: f64,
    /// That the target's own head errs less than the source's: exact McNemar test.
    pub own_p: f64,
    /// The larger of both: only where the source head is wrong *and* other labels can be learnt has p(y|x)
    /// changed. 1 where the sets have too little alike to tell.
    pub p_value: f64,
}

/// Looks for other labels of the same inputs.
///
/// # Errors
/// No samples on one side, or a score that is not finite.
pub fn probe(
    source: &[Judged],
    target: &[Judged],
    permutations: usize,
    seed: u64,
) -> Result<Concept> {
    for (what, set) in [("source", source), ("target", target)] {
        if set.is_empty() {
            return Err(StatsError::Unusable(format!("no labelled samples in the {what}")));
        }
        if let Some(row) = set.iter().position(|s| !s.score.is_finite()) {
            return Err(StatsError::NotFinite { what, row });
        }
    }
    let strata = strata(source, target);
    let mut inside = vec![false; target.len()];
    strata.iter().flat_map(|s| &s[1]).for_each(|&i| inside[i] = true);
    let alike: Vec<&Judged> =
        target.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(s, _)| s).collect();
    let n = alike.len() as f64;
    if alike.is_empty() {
        let unknown = f64::NAN;
        return Ok(Concept {
            overlap: 0.0,
            inside,
            source_error: unknown,
            target_error: unknown,
            own_error: unknown,
            excess_p: 1.0,
            own_p: 1.0,
            p_value: 1.0,
        });
    }
    let share =
        |wrong: &dyn Fn(&Judged) -> bool| alike.iter().filter(|s| wrong(s)).count() as f64 / n;
    let error_in = |[of_source, of_target]: &[Vec<usize>; 2]| {
        let wrong = of_source.iter().filter(|&&i| source[i].wrong).count() as f64;
        of_target.len() as f64 * wrong / of_source.len() as f64
    };
    let source_error = strata.iter().map(error_in).sum::<f64>() / n;
    let overlap = n / target.len() as f64;
    let excess_p = excess(source, target, &strata, permutations, seed);
    let own_p = mcnemar(
        alike.iter().filter(|s| s.wrong && !s.own_wrong).count(),
        alike.iter().filter(|s| !s.wrong && s.own_wrong).count(),
    );
    Ok(Concept {
        overlap,
        inside,
        source_error,
        target_error: share(&|s| s.wrong),
        own_error: share(&|s| s.own_wrong),
        excess_p,
        own_p,
        p_value: if overlap < LEAST_OVERLAP { 1.0 } else { excess_p.max(own_p) },
    })
}

/// Members of source and target of each stratum that has enough of both.
fn strata(source: &[Judged], target: &[Judged]) -> Vec<[Vec<usize>; 2]> {
    let of = |set: usize, samples: &[Judged]| {
        let each = samples.iter().enumerate();
        each.map(|(i, s)| (s.score, set, i)).collect::<Vec<_>>()
    };
    let mut pooled = [of(0, source), of(1, target)].concat();
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let size = pooled.len().div_ceil(STRATA);
    let sizes = [source.len() as f64, target.len() as f64];
    pooled
        .chunks(size.max(2 * FEWEST))
        .map(|members| {
            [0, 1].map(|set| members.iter().filter(|m| m.1 == set).map(|m| m.2).collect::<Vec<_>>())
        })
        .filter(|members| {
            let share = [0, 1].map(|set| members[set].len() as f64 / sizes[set]);
            let rarest = share[0].min(share[1]) / (share[0] + share[1]);
            members.iter().all(|set| set.len() >= FEWEST) && rarest >= RAREST
        })
        .collect()
}

/// Permutation test of `Σ` over strata of the target's excess errors, one-sided.
fn excess(
    source: &[Judged],
    target: &[Judged],
    strata: &[[Vec<usize>; 2]],
    permutations: usize,
    seed: u64,
) -> f64 {
    let errors: Vec<(usize, Vec<bool>)> = strata
        .iter()
        .map(|[of_source, of_target]| {
            let first = of_target.iter().map(|&i| target[i].wrong);
            let all = first.chain(of_source.iter().map(|&i| source[i].wrong));
            (of_target.len(), all.collect())
        })
        .collect();
    // Within a stratum totals are fixed, so that the target's number of errors says it all.
    let weight = |n: usize, all: usize| all as f64 / (all - n) as f64;
    let statistic = |(n, errors): &(usize, Vec<bool>)| {
        weight(*n, errors.len()) * errors[..*n].iter().filter(|&&wrong| wrong).count() as f64
    };
    let observed: f64 = errors.iter().map(statistic).sum();
    let as_large = (1..=permutations as u64)
        .into_par_iter()
        .filter(|&permutation| {
            let mut draws = generator(seed, "concept", 0, permutation);
            let mut sum = 0.0;
            for (n, errors) in &errors {
                let mut errors = errors.clone();
                for place in 0..*n {
                    let other = draws.random_range(place..errors.len());
                    errors.swap(place, other);
                }
                let count = errors[..*n].iter().filter(|&&wrong| wrong).count() as f64;
                sum += weight(*n, errors.len()) * count;
            }
            sum >= observed * (1.0 - 1e-12)
        })
        .count();
    (1 + as_large) as f64 / (permutations + 1) as f64
}

/// The chance of at least `wins` of `wins + losses` fair tosses (McNemar 1947, exact and one-sided).
pub fn mcnemar(wins: usize, losses: usize) -> f64 {
    let n = wins + losses;
    // In logarithms: 2⁻ⁿ vanishes beyond a thousand.
    let mut log_choose = 0.0;
    let mut total = 0.0;
    for lost in 0..=losses {
        if lost > 0 {
            log_choose += ((n - lost + 1) as f64 / lost as f64).ln();
        }
        total += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    total.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors of the source head at rate `wrong` and of the target's own at `own`, evenly spread scores.
    fn samples(n: usize, salt: u64, wrong: f64, own: f64, moved: f64) -> Vec<Judged> {
        (0..n as u64)
            .map(|i| {
                let mut draws = generator(salt, "samples", 0, i);
                Judged {
                    score: draws.random::<f64>() + moved,
                    wrong: draws.random::<f64>() < wrong,
                    own_wrong: draws.random::<f64>() < own,
                }
            })
            .collect()
    }

    #[test]
    fn the_exact_test_is_the_binomial_sum() {
        // scipy.stats.binomtest(w, w + l, 0.5, alternative="greater").pvalue
        for (wins, losses, p) in [
            (0, 0, 1.0),
            (5, 0, 0.03125),
            (8, 2, 0.0546875),
            (3, 7, 0.9453125),
            (60, 40, 0.028443966820490392),
        ] {
            assert!((mcnemar(wins, losses) - p).abs() < 1e-12, "{wins}, {losses}");
        }
        assert!(mcnemar(3000, 1000) < 1e-200);
    }

    #[test]
    fn other_labels_of_the_same_inputs_are_found() {
        let found = probe(&samples(400, 0, 0.1, 0.0, 0.0), &samples(300, 1, 0.4, 0.1, 0.0), 199, 0)
            .unwrap();
        assert!(found.p_value <= 0.01 && found.overlap == 1.0, "{found:?}");
        assert!((found.source_error - 0.1).abs() < 0.05 && (found.target_error - 0.4).abs() < 0.1);
    }

    #[test]
    fn a_head_that_errs_everywhere_is_no_other_concept() {
        // As wrong on source samples alike; or nothing better to be learnt.
        let found = probe(&samples(400, 0, 0.4, 0.0, 0.0), &samples(300, 1, 0.4, 0.1, 0.0), 199, 0)
            .unwrap();
        assert!(found.p_value > 0.05, "{found:?}");
        let found = probe(&samples(400, 0, 0.1, 0.0, 0.0), &samples(300, 1, 0.4, 0.4, 0.0), 199, 0)
            .unwrap();
        assert!(found.p_value > 0.05, "{found:?}");
    }

    #[test]
    fn inputs_that_are_not_alike_say_nothing() {
        let found =
            probe(&samples(400, 0, 0.1, 0.0, 0.0), &samples(300, 1, 0.9, 0.1, 5.0), 99, 0).unwrap();
        assert!(found.overlap < 0.1 && found.p_value == 1.0, "{found:?}");
    }

    #[test]
    fn the_probe_keeps_its_level() {
        let fired = (0..200)
            .filter(|&seed| {
                let source = samples(150, 2 * seed + 1, 0.2, 0.0, 0.0);
                let target = samples(120, 2 * seed + 1000, 0.2, 0.2, 0.1);
                probe(&source, &target, 99, seed).unwrap().p_value <= 0.05
            })
            .count();
        assert!(fired <= 18, "{fired} of 200 fired at 5 %");
    }

    #[test]
    fn unusable_samples_are_refused() {
        let good = samples(20, 0, 0.1, 0.1, 0.0);
        assert!(probe(&[], &good, 9, 0).is_err());
        let mut broken = good.clone();
        broken[3].score = f64::NAN;
        assert!(matches!(
            probe(&good, &broken, 9, 0),
            Err(StatsError::NotFinite { what: "target", row: 3 })
        ));
    }
}
