//! What candidates said of samples that they were not fitted on.

/// Which held-out samples a candidate recognised.
///
/// A head is also cross-validated on the training split, which holds several times as many samples as
/// validation: its answers while they were held out count, too. A tuned network has only validation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Of each training sample, while it was held out; `None` where it was not. May be empty.
    pub train: Vec<Option<bool>>,
    /// Of each validation sample.
    pub val: Vec<bool>,
}

/// By how much one candidate is ahead of another on the samples that both answered.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lead {
    /// Difference of the shares of right answers.
    pub share: f64,
    /// Its standard error; infinite without samples.
    pub error: f64,
    /// Samples that both answered.
    pub n: usize,
}

impl Lead {
    /// Of paired differences, one a sample.
    pub fn of(differences: impl Iterator<Item = f64>) -> Self {
        let differences: Vec<f64> = differences.collect();
        let n = differences.len();
        if n < 2 {
            return Self { share: 0.0, error: f64::INFINITY, n };
        }
        let share = differences.iter().sum::<f64>() / n as f64;
        let squares: f64 = differences.iter().map(|d| (d - share).powi(2)).sum();
        Self { share, error: (squares / (n - 1) as f64 / n as f64).sqrt(), n }
    }
}

impl Evidence {
    /// How far `self` is ahead of `other`.
    pub fn lead(&self, other: &Self) -> Lead {
        let number = |right: bool| f64::from(u8::from(right));
        Lead::of(self.pairs(other).map(|(a, b)| number(a) - number(b)))
    }

    /// Both answers to every sample that both answered.
    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (bool, bool)> + 'a {
        let train = self.train.iter().zip(&other.train);
        let train = train.filter_map(|(a, b)| Some(((*a)?, (*b)?)));
        train.chain(self.val.iter().copied().zip(other.val.iter().copied()))
    }

    /// On how many of these samples only `self` is right, and on how many only `other`.
    pub fn disagreements(&self, other: &Self) -> (usize, usize) {
        self.pairs(other).fold((0, 0), |(won, lost), pair| match pair {
            (true, false) => (won + 1, lost),
            (false, true) => (won, lost + 1),
            _ => (won, lost),
        })
    }

    /// The same by way of a third candidate. A tuned network resembles the probe that it began with, so that
    /// few validation samples tell these two apart, and cross-validation tells the probe from others; the sum
    /// is often surer than the direct comparison. The surer of both is given.
    pub fn lead_by_way_of(&self, middle: &Self, other: &Self) -> Lead {
        let direct = self.lead(other);
        let (first, second) = (self.lead(middle), middle.lead(other));
        let error = first.error.hypot(second.error);
        if error < direct.error && first.n > 1 {
            return Lead { share: first.share + second.share, error, n: second.n };
        }
        direct
    }

    /// Share of all answers that are right, and their number.
    pub fn share(&self) -> Option<(f64, usize)> {
        let answers = self.train.iter().flatten().chain(&self.val);
        let (right, n) = answers.fold((0, 0), |(r, n), &a| (r + usize::from(a), n + 1));
        (n > 0).then(|| (right as f64 / n as f64, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_answered_counts() {
        let a = Evidence { train: vec![Some(true), None, Some(true)], val: vec![true, false] };
        let b = Evidence { train: vec![Some(false), Some(true), None], val: vec![true, false] };
        let lead = a.lead(&b);
        assert_eq!((lead.n, lead.share), (3, 1.0 / 3.0));
        assert_eq!(b.lead(&a).share, -lead.share);
        assert_eq!((a.disagreements(&b), b.disagreements(&a)), ((1, 0), (0, 1)));
        assert_eq!(a.lead(&Evidence::default()).error, f64::INFINITY);
        assert_eq!(a.share(), Some((0.75, 4)));
    }

    #[test]
    fn the_way_by_a_relative_is_surer() {
        // The tuned network equals the probe but for one sample; the third is right at random.
        let n = 400;
        let probe: Vec<bool> = (0..n).map(|i| i % 5 != 0).collect();
        let raw: Vec<bool> = (0..n).map(|i| (i * 7) % 10 < 6).collect();
        let train = |all: &[bool]| all[40..].iter().map(|&r| Some(r)).collect();
        let of = |all: &[bool]| Evidence { train: train(all), val: all[..40].to_vec() };
        let (probe, raw) = (of(&probe), of(&raw));
        let mut tuned = Evidence { train: Vec::new(), val: probe.val.clone() };
        tuned.val[0] = !tuned.val[0];
        let (direct, by_way) = (tuned.lead(&raw), tuned.lead_by_way_of(&probe, &raw));
        assert!(by_way.error < direct.error / 2.0, "{by_way:?} and {direct:?}");
        assert!((by_way.share - (0.025 + 0.2)).abs() < 0.01, "{by_way:?}");
    }
}
