//! One p-value from several tests.

use super::{Measure, rounding};

/// The p-value of the smallest p-value (Westfall & Young 1993, min-p): each permutation gets the p-value
/// that each of its statistics would have had, and the observed minimum is compared with theirs. Needs
/// no allowance for the number of tests and keeps its level exactly, however tests depend on each other.
///
/// `None` where no measure is a test.
pub fn combined(measures: &[Measure]) -> Option<f64> {
    let tests: Vec<&[f64]> = measures
        .iter()
        .filter(|m| m.statistics.len() > 1)
        .map(|m| m.statistics.as_slice())
        .collect();
    let length = tests.first()?.len();
    let mut smallest = vec![f64::INFINITY; length];
    for statistics in tests.into_iter().filter(|s| s.len() == length) {
        let slack = rounding(statistics);
        let mut sorted = statistics.to_vec();
        sorted.sort_by(f64::total_cmp);
        for (smallest, &t) in smallest.iter_mut().zip(statistics) {
            let below = sorted.partition_point(|&other| other < t - slack);
            *smallest = smallest.min((length - below) as f64 / length as f64);
        }
    }
    let as_small = smallest.iter().filter(|&&p| p <= smallest[0] + 1e-12).count();
    Some(as_small as f64 / length as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(statistics: &[f64]) -> Measure {
        Measure {
            name: "t",
            value: statistics[0],
            interval: None,
            chance: None,
            p_value: None,
            statistics: statistics.to_vec(),
        }
    }

    #[test]
    fn one_test_keeps_its_p_value() {
        let t = test(&[3.0, 1.0, 4.0, 1.0, 5.0]);
        assert_eq!(combined(&[t]), Some(3.0 / 5.0));
    }

    #[test]
    fn equal_tests_are_one_test() {
        let t = test(&[4.0, 1.0, 5.0, 1.0, 2.0]);
        assert_eq!(combined(&[t.clone(), t]), Some(2.0 / 5.0));
    }

    #[test]
    fn two_tests_are_more_than_one() {
        // Both have p 1/4; a permutation is as extreme in one of them.
        let a = test(&[4.0, 1.0, 2.0, 3.0]);
        let b = test(&[1.0, 4.0, 2.0, 3.0]);
        assert_eq!(combined(&[a, b]), Some(2.0 / 4.0));
    }

    #[test]
    fn no_test_has_no_p_value() {
        assert_eq!(combined(&[test(&[1.0])]), None);
    }
}
