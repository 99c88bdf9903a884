//! The negative-transfer gap, measured on the test split once everything has been chosen.

use offshoot_stats::metrics::{self, PairedOptions, holm, paired, paired_by_class, sign_test};
use offshoot_stats::{Probabilities, StatsError};

use super::document::{ClassGap, Gap};
use crate::{Result, figures};

/// Level of verdicts.
pub const LEVEL: f64 = 0.05;

/// Error with the source minus error without it (Wang et al. 2019, equation 2): above 0 the source hurts.
/// The interval is that of the paired bootstrap, `p` that of the exact sign test on the samples on which
/// both disagree, which holds for few samples, too.
pub fn gap(
    with: &Probabilities,
    without: &Probabilities,
    labels: &[u32],
    seed: u64,
) -> Result<Gap> {
    let difference = paired(accuracy()?, without, with, labels, options(labels.len(), seed))?;
    let all: Vec<usize> = (0..labels.len()).collect();
    let p = disagreement(with, without, labels, &all);
    let ci = [difference.low, difference.high];
    Ok(Gap { value: difference.value, ci, p, n: labels.len() })
}

/// The same within each class that has test samples. `adjusted_p` of all of them may be held against one
/// level (Holm 1979): of twenty classes, one differs by chance.
pub fn by_class(
    with: &Probabilities,
    without: &Probabilities,
    labels: &[u32],
    classes: &[String],
    seed: u64,
) -> Result<Vec<ClassGap>> {
    let differences =
        paired_by_class(accuracy()?, &[without], &[with], labels, options(labels.len(), seed))?;
    let mut gaps = Vec::new();
    for (class, (own, name)) in differences.iter().zip(classes).enumerate() {
        let Some(difference) = own.difference else { continue };
        let members: Vec<usize> =
            (0..labels.len()).filter(|&i| labels[i] as usize == class).collect();
        let p = disagreement(with, without, labels, &members);
        let ci = [difference.low, difference.high];
        let gap = Gap { value: difference.value, ci, p, n: own.support };
        gaps.push(ClassGap { class: name.clone(), gap, adjusted_p: 1.0 });
    }
    let adjusted = holm(&gaps.iter().map(|g| g.gap.p).collect::<Vec<_>>());
    gaps.iter_mut().zip(adjusted).for_each(|(gap, p)| gap.adjusted_p = p);
    Ok(gaps)
}

impl Gap {
    /// Whether the source hurts, beyond chance.
    pub fn hurts(&self) -> bool {
        self.ci[0] > 0.0 && self.p < LEVEL
    }

    /// Whether the source helps, beyond chance.
    pub fn helps(&self) -> bool {
        self.ci[1] < 0.0 && self.p < LEVEL
    }

    /// `helps`, `hurts` or `unclear`.
    pub fn verdict(&self) -> &'static str {
        match (self.helps(), self.hurts()) {
            (true, _) => "helps",
            (_, true) => "hurts",
            _ => "unclear",
        }
    }
}

fn options(n: usize, seed: u64) -> PairedOptions {
    PairedOptions { resamples: figures::resamples(n), seed }
}

fn accuracy() -> Result<&'static metrics::Metric> {
    let metric = metrics::find("accuracy");
    Ok(metric.ok_or_else(|| StatsError::Unusable("there is no metric `accuracy`".into()))?)
}

/// Two-sided exact p-value of the samples on which both disagree.
fn disagreement(
    with: &Probabilities,
    without: &Probabilities,
    labels: &[u32],
    samples: &[usize],
) -> f64 {
    let (mut losses, mut wins) = (0, 0);
    for &i in samples {
        match (with.predicted(i) == labels[i], without.predicted(i) == labels[i]) {
            (true, false) => wins += 1,
            (false, true) => losses += 1,
            _ => {}
        }
    }
    (2.0 * sign_test(losses, wins).min(sign_test(wins, losses))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(right: &[bool]) -> Probabilities {
        let rows = right.iter().flat_map(|&r| if r { [0.9, 0.1] } else { [0.2, 0.8] });
        Probabilities::new(2, rows.collect()).unwrap()
    }

    #[test]
    fn more_errors_with_the_source_are_a_gap_above_zero() {
        let with = answers(&(0..100).map(|i| i % 2 == 0).collect::<Vec<_>>());
        let without = answers(&(0..100).map(|i| i % 4 != 1).collect::<Vec<_>>());
        let found = gap(&with, &without, &[0; 100], 0).unwrap();
        assert!((found.value - 0.25).abs() < 1e-12 && found.verdict() == "hurts", "{found:?}");
        let turned = gap(&without, &with, &[0; 100], 0).unwrap();
        assert!(turned.value == -found.value && turned.verdict() == "helps");
        assert_eq!(gap(&with, &with, &[0; 100], 0).unwrap().verdict(), "unclear");
    }

    #[test]
    fn three_samples_are_no_proof() {
        // A bootstrap interval of three differences that agree leaves 0 out far too often.
        let with = answers(&(0..40).map(|i| i > 3).collect::<Vec<_>>());
        let without = answers(&[true; 40]);
        let found = gap(&with, &without, &[0; 40], 0).unwrap();
        assert!(found.p > LEVEL && found.verdict() == "unclear", "{found:?}");
    }

    #[test]
    fn classes_share_one_level() {
        let labels: Vec<u32> = (0..60).map(|i| i % 3).collect();
        let row = |right: bool, label: u32| {
            (0..3).map(move |c| match (c == label) == right {
                true => 0.6,
                false => 0.2,
            })
        };
        let answers = |wrong: &dyn Fn(usize) -> bool| {
            let rows = labels.iter().enumerate().flat_map(|(i, &y)| row(!wrong(i), y));
            Probabilities::new(3, rows.collect()).unwrap()
        };
        let with = answers(&|i| i % 3 == 1 && i % 2 == 0);
        let names = ["a", "b", "c"].map(String::from);
        let gaps = by_class(&with, &answers(&|_| false), &labels, &names, 0).unwrap();
        assert_eq!(gaps.iter().map(|g| g.gap.value).collect::<Vec<_>>(), [0.0, 0.5, 0.0]);
        assert!(gaps[1].adjusted_p <= 3.0 * gaps[1].gap.p && gaps[1].adjusted_p < LEVEL);
        assert!(gaps[0].adjusted_p == 1.0);
    }
}
