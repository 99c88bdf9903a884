//! Which candidate is shipped.

use super::evidence::{Evidence, Lead};

/// Standard deviations by which the belief that a source hurts must be above 0: odds of three to one. A source
/// is given that much credit, because it was asked for.
const CREDIT: f64 = 0.6745;
/// What is believed of a source before any sample was seen: how far what needs none is ahead of it, and give or
/// take what. One source in four hurts, then. Eight samples, of which two more are right without the source, are
/// no evidence against that; a hundred are on their own.
const BELIEVED: [f64; 2] = [-0.10, 0.15];

/// What might be shipped.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Whether it was transferred from the source.
    pub uses_source: bool,
    /// What it said of held-out samples.
    pub evidence: &'a Evidence,
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Place of the candidate that is shipped.
    pub shipped: usize,
    /// Place of the best candidate that needs no source, where there is one.
    pub without: Option<usize>,
    /// How far that one is ahead of what was asked for.
    pub lead: Lead,
}

/// Chooses among what was asked for, which comes first, and everything else. `frozen` is the place of the
/// source's frozen features, by way of which a tuned network is compared.
pub fn choose(contenders: &[Contender<'_>], frozen: Option<usize>) -> Choice {
    let asked = &contenders[0];
    let lead = |of: usize| match frozen.and_then(|at| contenders.get(at)) {
        Some(frozen) => {
            let lead = asked.evidence.lead_by_way_of(frozen.evidence, contenders[of].evidence);
            Lead { share: -lead.share, ..lead }
        }
        None => contenders[of].evidence.lead(asked.evidence),
    };
    let mut without: Option<usize> = None;
    for place in (1..contenders.len()).filter(|&i| !contenders[i].uses_source) {
        let better = without.is_none_or(|best| {
            contenders[place].evidence.lead(contenders[best].evidence).share > 0.0
        });
        if better {
            without = Some(place);
        }
    }
    let ahead = without.map_or(Lead { error: f64::INFINITY, ..Lead::default() }, lead);
    Choice { shipped: without.filter(|_| hurts(&ahead)).unwrap_or(0), without, lead: ahead }
}

/// Whether a candidate that is ahead by `lead` should be shipped in the source's place: the belief of before and
/// what samples say, both taken as normal and weighed by their precision.
fn hurts(lead: &Lead) -> bool {
    if lead.n == 0 || !lead.error.is_finite() {
        return false;
    }
    // Few answers can agree by chance; they are no surer than one sample more or less, and are read as if one more
    // sample had been right only with the source and one only without (Agresti & Min 2005, doi:10.1002/sim.1781).
    let n = lead.n as f64;
    let (share, error) = (lead.share * n / (n + 2.0), lead.error.max(1.0 / n));
    let [prior, seen] = [BELIEVED[1], error].map(|deviation| deviation.powi(-2));
    let mean = (prior * BELIEVED[0] + seen * share) / (prior + seen);
    mean > CREDIT / (prior + seen).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(share: f64, n: usize, shift: usize) -> Evidence {
        let one = |i: usize| ((i * 37 + shift) % 100) as f64 / 100.0 < share;
        Evidence { train: Vec::new(), val: (0..n).map(one).collect() }
    }

    fn chosen(all: &[(bool, &Evidence)]) -> Choice {
        let contenders: Vec<Contender<'_>> = all
            .iter()
            .map(|&(uses_source, evidence)| Contender { uses_source, evidence })
            .collect();
        choose(&contenders, None)
    }

    #[test]
    fn the_source_stays_unless_something_without_it_is_ahead() {
        let [good, poor, middle] = [0.9, 0.5, 0.7].map(|share| right(share, 200, 0));
        assert_eq!(chosen(&[(true, &good), (false, &poor), (false, &middle)]).shipped, 0);
        let choice = chosen(&[(true, &poor), (false, &middle), (false, &good)]);
        assert_eq!((choice.shipped, choice.without), (2, Some(2)));
        assert!((choice.lead.share - 0.4).abs() < 1e-9);
        // Another model of the same source is no way out.
        assert_eq!(chosen(&[(true, &poor), (true, &good)]).shipped, 0);
    }

    #[test]
    fn few_samples_are_no_evidence_against_a_source() {
        // Of `n` samples, `won` are right only without the source and `lost` only with it.
        let ships = |n: usize, won: usize, lost: usize| {
            let source = Evidence { train: Vec::new(), val: (0..n).map(|i| i >= won).collect() };
            let without = |i: usize| i < n - lost;
            let other = Evidence { train: Vec::new(), val: (0..n).map(without).collect() };
            chosen(&[(true, &source), (false, &other)]).shipped == 1
        };
        assert!(!ships(8, 2, 0) && !ships(8, 3, 0) && !ships(8, 3, 1) && !ships(16, 4, 2));
        assert!(ships(8, 5, 0) && ships(16, 7, 1));
        // Where samples are many, the belief of before adds next to nothing: one standard error is 1.4 points.
        assert!(ships(500, 30, 20) && !ships(500, 28, 24));
    }

    #[test]
    fn a_tie_or_no_evidence_keeps_the_source() {
        let a = right(0.8, 100, 0);
        assert_eq!(chosen(&[(true, &a), (false, &a)]).shipped, 0);
        let none = Evidence::default();
        assert_eq!(chosen(&[(true, &none), (false, &a)]).shipped, 0);
        assert_eq!(chosen(&[(true, &a)]).without, None);
    }
}
