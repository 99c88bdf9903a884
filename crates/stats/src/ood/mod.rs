//! Which inputs are unlike anything that a classifier was trained on.
//!
//! [`all`] is the registry of detectors. Each says how far a row is from every class and what that means
//! together; [`Alarm`] is the threshold with its rate of false alarms, and [`leave_class_out`] tells how well
//! a detector would have known classes that it never saw, without any foreign data.

mod alarm;
mod diagonal;
mod energy;
mod mahalanobis;

pub use alarm::Alarm;
pub use diagonal::Diagonal;
pub use mahalanobis::Mahalanobis;

use rayon::prelude::*;

use crate::{Result, Rows, StatsError, check};

/// What a detector looks at.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Features, `[n, d]`.
    pub rows: Rows<'a>,
    /// Scores of a linear head on them, `[n, classes]`; absent for other heads.
    pub logits: Option<&'a [f64]>,
}

/// A detector of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word in documents.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    fit: fn(&Seen<'_>, &[u32], usize) -> Result<Option<Detector>>,
}

impl Entry {
    /// Fits the detector to labelled rows; `None` where it has nothing to work with (no linear head, no
    /// variance within classes).
    ///
    /// # Errors
    /// Lengths that do not fit, labels out of range, values that are not finite.
    pub fn fit(&self, seen: &Seen<'_>, labels: &[u32], classes: usize) -> Result<Option<Detector>> {
        check::labelled(seen.rows, labels, classes)?;
        seen.check(classes)?;
        (self.fit)(seen, labels, classes)
    }
}

impl Seen<'_> {
    fn check(&self, classes: usize) -> Result<()> {
        match self.logits {
            Some(logits) if logits.len() != self.rows.n() * classes => Err(StatsError::Shape {
                expected: format!("{} × {classes} logits", self.rows.n()),
                actual: logits.len().to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// All detectors in alphabetical order.
pub fn all() -> &'static [Entry] {
    &[diagonal::ENTRY, energy::ENTRY, mahalanobis::ENTRY]
}

/// The detector called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.name == name)
}

/// A fitted detector.
#[derive(Debug, Clone, PartialEq)]
pub enum Detector {
    /// Minus the log of the summed evidence; the head holds all that it needs.
    Energy,
    /// A covariance of the whole.
    Mahalanobis(Mahalanobis),
    /// A deviation a feature.
    Diagonal(Diagonal),
}

impl Detector {
    /// Its name in the registry.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Energy => energy::ENTRY.name,
            Self::Mahalanobis(_) => mahalanobis::ENTRY.name,
            Self::Diagonal(_) => diagonal::ENTRY.name,
        }
    }

    /// How far every row is from every class, `[n, classes]`: minus the logit, or a distance. Infinite for
    /// classes without training rows.
    ///
    /// # Errors
    /// Rows of another width, logits of another number, or none where they are needed.
    pub fn towards(&self, seen: &Seen<'_>, classes: usize) -> Result<Vec<f64>> {
        seen.check(classes)?;
        check::finite(seen.rows)?;
        let (known, width) = match self {
            Self::Energy => {
                let logits = seen.logits.ok_or_else(|| {
                    StatsError::Unusable("the energy of a head that is not linear".into())
                })?;
                return Ok(logits.iter().map(|logit| -logit).collect());
            }
            Self::Mahalanobis(m) => (&m.known, m.means.len() / m.known.len().max(1)),
            Self::Diagonal(m) => (&m.known, m.scale.len()),
        };
        check::width(seen.rows, width)?;
        let distances = match self {
            Self::Mahalanobis(m) => m.distances(seen.rows),
            Self::Diagonal(m) => m.distances(seen.rows),
            Self::Energy => Vec::new(),
        };
        let mut out = vec![f64::INFINITY; seen.rows.n() * classes];
        let lines = out.chunks_exact_mut(classes.max(1));
        for (out, distances) in lines.zip(distances.chunks_exact(known.len().max(1))) {
            for (&class, &distance) in known.iter().zip(distances) {
                if let Some(out) = out.get_mut(class as usize) {
                    *out = distance;
                }
            }
        }
        Ok(out)
    }

    /// How strange a row is, from its line of [`Self::towards`], as if the class `without` were not known.
    pub fn strangeness(&self, towards: &[f64], without: Option<usize>) -> f64 {
        let kept = towards.iter().enumerate().filter(|&(c, _)| Some(c) != without).map(|(_, &t)| t);
        match self {
            Self::Energy => energy::free_energy(kept),
            _ => kept.fold(f64::INFINITY, f64::min),
        }
    }
}

/// Classes that [`leave_class_out`] tries; of more, as many are taken evenly.
const TRIED: usize = 50;

/// How well `detector` would know classes that it never saw: for one class after the other, the AUROC
/// between its samples and all others, as if it were not known; the mean over classes. `towards`
/// `[n, classes]` of samples that the detector was not fitted on. `None` with fewer than two classes.
pub fn leave_class_out(
    detector: &Detector,
    towards: &[f64],
    labels: &[u32],
    classes: usize,
) -> Option<f64> {
    let present: Vec<usize> =
        (0..classes).filter(|&c| labels.iter().any(|&y| y as usize == c)).collect();
    if present.len() < 2 || towards.len() != labels.len() * classes {
        return None;
    }
    let step = present.len().div_ceil(TRIED);
    let tried: Vec<usize> = present.into_iter().step_by(step).collect();
    let one = |&class: &usize| {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (row, &label) in towards.chunks_exact(classes).zip(labels) {
            let strange = detector.strangeness(row, Some(class));
            if label as usize == class { unknown.push(strange) } else { known.push(strange) }
        }
        auroc(&known, &unknown)
    };
    let areas: Vec<f64> = tried.par_iter().map(one).collect();
    Some(areas.iter().sum::<f64>() / areas.len() as f64)
}

/// Probability that a score of `high` exceeds one of `low`, ties counting half (Mann & Whitney 1947); one
/// half where either is empty.
pub fn auroc(low: &[f64], high: &[f64]) -> f64 {
    let mut sorted = low.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = |x: &f64| {
        let less = sorted.partition_point(|l| l.total_cmp(x).is_lt());
        let not_more = sorted.partition_point(|l| l.total_cmp(x).is_le());
        0.5 * (less + not_more) as f64
    };
    match low.len() * high.len() {
        0 => 0.5,
        pairs => high.iter().map(below).sum::<f64>() / pairs as f64,
    }
}
