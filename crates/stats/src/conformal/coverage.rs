//! How often sets held the right class, and how large they were.

use crate::{Proportion, Result, StatsError};

/// What sets did on labelled samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Number of samples.
    pub n: usize,
    /// Sets that held the right class.
    pub covered: usize,
    /// Sets by their number of classes: `[0]` counts empty ones, `[classes]` those that hold every class.
    pub sizes: Vec<usize>,
    /// Of sets with one class: how many there were of them that held the right one.
    pub single_right: usize,
    /// Samples of each class, and how many of their sets held it.
    pub by_class: Vec<(usize, usize)>,
}

impl Coverage {
    /// Of these sets and right classes.
    ///
    /// # Errors
    /// Another number of labels than of sets, or classes that are not below `classes`.
    pub fn of(sets: &[Vec<u32>], labels: &[u32], classes: usize) -> Result<Self> {
        let shape = |expected: String, actual: usize| StatsError::Shape {
            expected,
            actual: actual.to_string(),
        };
        if sets.len() != labels.len() {
            return Err(shape(format!("{} labels", sets.len()), labels.len()));
        }
        let mut coverage = Self {
            n: labels.len(),
            covered: 0,
            sizes: vec![0; classes + 1],
            single_right: 0,
            by_class: vec![(0, 0); classes],
        };
        for (set, &label) in sets.iter().zip(labels) {
            let held = set.contains(&label);
            let sizes = coverage.sizes.get_mut(set.len());
            *sizes.ok_or_else(|| shape(format!("sets of up to {classes}"), set.len()))? += 1;
            let class = coverage.by_class.get_mut(label as usize);
            let class =
                class.ok_or_else(|| shape(format!("labels below {classes}"), label as usize))?;
            class.0 += 1;
            class.1 += usize::from(held);
            coverage.covered += usize::from(held);
            coverage.single_right += usize::from(held && set.len() == 1);
        }
        Ok(coverage)
    }

    /// Share of sets that held the right class, with its interval.
    pub fn share(&self) -> Proportion {
        Proportion::of(self.covered, self.n)
    }

    /// Mean number of classes and its standard error.
    pub fn mean_size(&self) -> (f64, f64) {
        let n = self.n.max(1) as f64;
        let moment = |power: i32| -> f64 {
            let terms = self.sizes.iter().enumerate();
            terms.map(|(size, &count)| (size as f64).powi(power) * count as f64).sum::<f64>() / n
        };
        let mean = moment(1);
        (mean, ((moment(2) - mean * mean).max(0.0) / n).sqrt())
    }

    /// The class with the lowest share of sets that held it, among those with at least `least` samples;
    /// the first of equals.
    pub fn worst_class(&self, least: usize) -> Option<usize> {
        let share = |c: usize| self.by_class[c].1 as f64 / self.by_class[c].0 as f64;
        (0..self.by_class.len())
            .filter(|&c| self.by_class[c].0 >= least.max(1))
            .min_by(|&a, &b| share(a).total_cmp(&share(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted() {
        let sets = [vec![0], vec![1, 0], vec![0, 1, 2], vec![2]];
        let coverage = Coverage::of(&sets, &[0, 0, 2, 1], 3).unwrap();
        assert_eq!((coverage.covered, coverage.single_right), (3, 1));
        assert_eq!(coverage.sizes, [0, 2, 1, 1]);
        assert_eq!(coverage.by_class, [(2, 2), (1, 0), (1, 1)]);
        let (mean, error) = coverage.mean_size();
        assert_eq!(mean, 1.75);
        assert!((error - (0.6875f64 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(coverage.worst_class(1), Some(1));
        assert_eq!(coverage.worst_class(2), Some(0));
        assert!(Coverage::of(&sets, &[0], 3).is_err());
        assert!(Coverage::of(&sets, &[0, 0, 2, 3], 3).is_err());
    }
}
