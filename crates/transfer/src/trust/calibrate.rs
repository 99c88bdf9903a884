//! Calibration on samples that the head did not see.
//!
//! A head that was fitted once more on train and validation has seen all of them. Where validation samples
//! are many, what the head before it said to them is kept; where they are few, heads of folds speak for all
//! of train and validation, each to the fold that it was not fitted on. Neither of them is the head that is
//! shipped, which has seen more and is a little surer: what is promised is then kept in practice rather than
//! by proof (the proof needs the folds' heads at every prediction: Barber et al. 2021, arXiv:1905.02928), and
//! coverage is measured on the test split each time.

use std::collections::BTreeMap;

use offshoot_stats::conformal::{self, Sets};
use offshoot_stats::cv::stratified_folds;
use offshoot_stats::heads::Head;
use offshoot_stats::ood::{self, Alarm, Detector, Seen};
use offshoot_stats::{Matrix, Probabilities, Rows};

use super::{EACH_CLASS, FALSE_ALARMS, Familiarity, HeldOut, SCORE, Trust, logits};
use crate::{Result, TransferError};

/// So many validation samples calibrate by themselves.
pub const MANY: usize = 500;
/// So many validation samples choose a temperature by themselves, and tell how strange unseen samples look to a
/// network that was tuned once more with them.
pub const ENOUGH: usize = 50;
/// Folds, and those of fewer than [`FEW`] samples, whose heads miss more with each fold.
const FOLDS: usize = 5;
const FOLDS_OF_FEW: usize = 10;
const FEW: usize = 200;

/// Feature rows and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// `[n, d]`.
    pub rows: Matrix,
    /// `[n]`.
    pub labels: Vec<u32>,
}

/// What held-out samples told.
pub struct Evidence {
    held_out: HeldOut,
    labels: Vec<u32>,
    classes: usize,
    /// Before the temperature.
    probabilities: Vec<f64>,
    /// `[n, classes]` of each detector, by its name.
    towards: BTreeMap<&'static str, Vec<f64>>,
    /// Whether thresholds are set for what is unfamiliar.
    alarm: bool,
}

/// Heads that were each fitted on all folds but one, and which fold each sample is in.
#[derive(Debug)]
pub struct FoldHeads {
    fold_of: Vec<usize>,
    /// None where a fold is empty, or all there is.
    heads: Vec<Option<Head>>,
}

impl FoldHeads {
    /// Every head is made by `fit` from the samples of all folds but its own; `groups` stay together.
    pub fn fit(
        all: &Labelled,
        groups: &[Option<&str>],
        seed: u64,
        mut fit: impl FnMut(&Labelled) -> Result<Head>,
    ) -> Result<Self> {
        let n = all.labels.len();
        let folds = if n < FEW { FOLDS_OF_FEW } else { FOLDS }.min(n);
        let mut fold_of = stratified_folds(&all.labels, folds, seed);
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (fold, group) in fold_of.iter_mut().zip(groups) {
            if let Some(group) = group {
                *fold = *first.entry(group).or_insert(*fold);
            }
        }
        let mut found = Self { fold_of, heads: Vec::with_capacity(folds) };
        for fold in 0..folds {
            let fitted = found.part(all, |of| of != fold);
            let whole = fitted.labels.len() == n;
            let head = (!whole && !fitted.labels.is_empty()).then(|| fit(&fitted)).transpose()?;
            found.heads.push(head);
        }
        Ok(found)
    }

    /// The samples of `all` whose fold is `wanted`.
    fn part(&self, all: &Labelled, wanted: impl Fn(usize) -> bool) -> Labelled {
        let places: Vec<usize> =
            (0..self.fold_of.len()).filter(|&i| wanted(self.fold_of[i])).collect();
        Labelled {
            rows: Matrix::gather(all.rows.rows(), &places),
            labels: places.iter().map(|&i| all.labels[i]).collect(),
        }
    }

    /// Every head with its fold's number.
    fn each(&self) -> impl Iterator<Item = (usize, &Head)> {
        self.heads.iter().enumerate().filter_map(|(fold, head)| Some((fold, head.as_ref()?)))
    }

    /// The temperature at which these heads mean what they say about the fold that they were not fitted on; 1 where
    /// there are too few samples for folds.
    pub fn temperature(&self, all: &Labelled, classes: usize) -> Result<f64> {
        let (mut said, mut labels) = (Vec::new(), Vec::new());
        for (fold, head) in self.each() {
            let unseen = self.part(all, |of| of == fold);
            said.extend(head.predict(unseen.rows.rows())?.rows().flatten());
            labels.extend(unseen.labels);
        }
        match Probabilities::new(classes, said) {
            Some(said) if !labels.is_empty() => crate::head::believed_temperature(&said, &labels),
            _ => Ok(1.0),
        }
    }
}

impl Evidence {
    fn empty(held_out: HeldOut, classes: usize) -> Self {
        let (labels, probabilities, towards) = Default::default();
        Self { held_out, labels, classes, probabilities, towards, alarm: true }
    }

    /// `head` was fitted on `fitted` and not on `unseen`.
    pub fn of_split(
        held_out: HeldOut,
        head: &Head,
        fitted: &Labelled,
        unseen: &Labelled,
    ) -> Result<Self> {
        let mut evidence = Self::empty(held_out, head.n_classes());
        evidence.add(head, fitted, unseen)?;
        Ok(evidence)
    }

    /// Each head is asked about the fold that it was not fitted on. The evidence is in the order of folds.
    pub fn of_folds(all: &Labelled, classes: usize, folds: &FoldHeads) -> Result<Self> {
        let mut evidence = Self::empty(HeldOut::Folds, classes);
        for (fold, head) in folds.each() {
            let (fitted, unseen) =
                (folds.part(all, |of| of != fold), folds.part(all, |of| of == fold));
            evidence.add(head, &fitted, &unseen)?;
        }
        Ok(evidence)
    }

    /// Leaves prediction sets and takes the alarm away. The more a network was tuned, the nearer together are the
    /// samples that it learnt from, and the stranger all others look: a few samples that it has not seen say too
    /// little about how strange.
    pub fn without_alarm(self) -> Self {
        Self { alarm: false, ..self }
    }

    fn add(&mut self, head: &Head, fitted: &Labelled, unseen: &Labelled) -> Result<()> {
        let said = head.predict(unseen.rows.rows())?;
        let before = self.labels.len();
        self.probabilities.extend(said.rows().flatten());
        self.labels.extend(&unseen.labels);
        let (of_fitted, of_unseen) =
            (logits(head, fitted.rows.rows()), logits(head, unseen.rows.rows()));
        let seen = Seen { rows: unseen.rows.rows(), logits: of_unseen.as_deref() };
        for entry in ood::all() {
            let detector = detector(entry, fitted, of_fitted.as_deref(), self.classes)?;
            let Some(detector) = detector else { continue };
            // A detector that one fold could not fit has gaps and is not taken.
            let towards = self.towards.entry(entry.name).or_default();
            if towards.len() == before * self.classes {
                towards.extend(detector.towards(&seen, self.classes)?);
            }
        }
        Ok(())
    }

    /// Sets and alarm for a head that was fitted on `shipped`.
    pub fn trust(self, head: &Head, shipped: &Labelled) -> Result<Trust> {
        let score = conformal::find(SCORE)
            .ok_or_else(|| TransferError::Internal(format!("there is no score `{SCORE}`")))?;
        let probabilities = Probabilities::new(self.classes, self.probabilities)
            .ok_or_else(|| TransferError::Internal("calibration without classes".into()))?;
        let sets = match self.labels.is_empty() {
            true => None,
            false => {
                let exact = score.of_labels(&probabilities, &self.labels)?;
                // Rounded up to what is written, so that what is measured is what is shipped.
                let rounded: Vec<f64> = exact.iter().map(|&s| f64::from(rounded_up(s))).collect();
                let mut counts = vec![0; self.classes];
                self.labels.iter().for_each(|&y| counts[y as usize] += 1);
                let by_class = counts.iter().all(|&n| n >= EACH_CLASS);
                Some(Sets::from_scores(score, &rounded, &self.labels, self.classes, by_class))
            }
        };
        let n = self.labels.len();
        let logits = logits(head, shipped.rows.rows());
        let mut fitted: Vec<(f64, Detector, &[f64])> = Vec::new();
        let mut leave_class_out = BTreeMap::new();
        for entry in ood::all() {
            let towards = match self.towards.get(entry.name) {
                _ if !self.alarm => &[],
                Some(towards) if towards.len() == n * self.classes => towards.as_slice(),
                _ if n == 0 => &[],
                _ => continue,
            };
            let detector = detector(entry, shipped, logits.as_deref(), self.classes)?;
            let Some(detector) = detector else { continue };
            let labels = if towards.is_empty() { &[] } else { self.labels.as_slice() };
            let area = ood::leave_class_out(&detector, towards, labels, self.classes);
            if let Some(area) = area {
                leave_class_out.insert(entry.name.to_string(), area);
            }
            fitted.push((area.unwrap_or(0.0), detector, towards));
        }
        // The first of equals, in the order of the registry.
        let best = |a: &(f64, Detector, &[f64]), b: &(f64, Detector, &[f64])| b.0.total_cmp(&a.0);
        fitted.sort_by(best);
        let mut watchers = fitted.split_off(fitted.len().min(1));
        std::mem::swap(&mut watchers, &mut fitted);
        // Foreign inputs, too: at a distance from all that was seen, whatever the head makes of them.
        if watchers.iter().all(|(_, detector, _)| *detector == Detector::Energy) {
            let distance =
                fitted.iter().position(|(_, d, _)| matches!(d, Detector::Mahalanobis(_)));
            if let Some(distance) = distance.or(if fitted.is_empty() { None } else { Some(0) }) {
                watchers.push(fitted.swap_remove(distance));
            }
        }
        let rate = FALSE_ALARMS / watchers.len().max(1) as f64;
        let watcher = |(_, detector, towards): (f64, Detector, &[f64])| {
            let rows = towards.chunks_exact(self.classes);
            let strange = rows.map(|row| detector.strangeness(row, None)).collect();
            (detector, Alarm::calibrate(strange, rate))
        };
        let watchers = watchers.into_iter().map(watcher).collect();
        let familiarity = Familiarity { watchers, leave_class_out };
        Ok(Trust { held_out: self.held_out, sets, familiarity })
    }
}

fn detector(
    entry: &ood::Entry,
    fitted: &Labelled,
    logits: Option<&[f64]>,
    classes: usize,
) -> Result<Option<Detector>> {
    let rows: Rows<'_> = fitted.rows.rows();
    Ok(entry.fit(&Seen { rows, logits }, &fitted.labels, classes)?)
}

/// The nearest `f32` that is not below.
fn rounded_up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_stats::heads::{self, FitOptions};

    /// Two overlapping clouds on a line, and a second feature that is noise.
    fn clouds(n: usize, shift: f32) -> Labelled {
        let value = |i: usize, k: usize| ((i * 7919 + k * 104_729 + 13) % 1009) as f32 / 1009.0;
        let labels: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let data = (0..n).flat_map(|i| [value(i, 0) + 0.5 * labels[i] as f32 + shift, value(i, 1)]);
        Labelled { rows: Matrix::new(n, 2, data.collect()).unwrap(), labels }
    }

    fn head(data: &Labelled) -> Head {
        let entry = heads::find("logistic").unwrap();
        let options = FitOptions { lambda: Some(1e-3), ..FitOptions::default() };
        entry.fit(data.rows.rows(), &data.labels, 2, &options).unwrap().head
    }

    #[test]
    fn every_sample_is_asked_about_once_and_groups_stay_together() {
        let all = clouds(60, 0.0);
        let names: Vec<String> = (0..60).map(|i| (i / 3).to_string()).collect();
        let groups: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        let mut parts = Vec::new();
        let folds = FoldHeads::fit(&all, &groups, 0, |fitted| {
            parts.push(fitted.labels.len());
            Ok(head(fitted))
        })
        .unwrap();
        let evidence = Evidence::of_folds(&all, 2, &folds).unwrap();
        assert_eq!(parts.iter().map(|n| 60 - n).sum::<usize>(), 60);
        assert!(parts.iter().all(|n| n % 3 == 0), "a group was torn apart: {parts:?}");
        assert_eq!(evidence.labels.len(), 60);
        let trust = evidence.trust(&head(&all), &all).unwrap();
        assert_eq!(trust.sets.as_ref().map(Sets::n), Some(60));
        assert_eq!(trust.familiarity.n(), 60);
        assert!(trust.familiarity.leave_class_out.len() >= 2);
    }

    #[test]
    fn thresholds_of_folds_are_a_standard_error_higher() {
        // 101 places: 1 − 0.9 − √(0.09/100) = 0.07, so 7 samples lie beyond the threshold instead of 10.
        assert!((HeldOut::Folds.alpha(0.9, 100) - 0.07).abs() < 1e-12);
        assert!((HeldOut::Validation.alpha(0.9, 100) - 0.1).abs() < 1e-12);
        assert_eq!(HeldOut::Validation.least(0.9), 9);
        let least = HeldOut::Folds.least(0.9);
        let scores: Vec<f64> = (0..least).map(|i| i as f64).collect();
        let at = |n: usize| conformal::quantile(&scores[..n], HeldOut::Folds.alpha(0.9, n));
        assert!(at(least).is_finite() && at(least - 1).is_infinite(), "{least}");
    }

    #[test]
    fn what_is_measured_is_what_is_written() {
        for value in [0.1, 1.0 / 3.0, 0.5, 0.999_999_999] {
            let up = f64::from(rounded_up(value));
            assert!(up >= value && up - value < 1e-7, "{value}: {up}");
        }
    }

    #[test]
    fn far_inputs_are_unfamiliar_and_near_ones_are_not() {
        let (fitted, unseen) = (clouds(200, 0.0), clouds(120, 0.001));
        let head = head(&fitted);
        let evidence = Evidence::of_split(HeldOut::Validation, &head, &fitted, &unseen).unwrap();
        let familiarity = evidence.trust(&head, &fitted).unwrap().familiarity;
        let distances = |data: &[f32]| {
            let rows = Rows::new(data.len() / 2, 2, data).unwrap();
            familiarity.distances(rows, &head).unwrap()
        };
        assert!(distances(&[0.5, 0.5, 1.0, 0.5]).iter().all(|&d| d < 1.0));
        // Also where the head is very sure: far along its own direction.
        assert!(distances(&[30.0, -20.0, -5.0, 9.0]).iter().all(|&d| d > 1.0));
        let watchers = familiarity.watchers.len() as f64;
        assert!(familiarity.rate() <= watchers / 121.0 + 1e-12 && familiarity.n() == 120);
    }

    #[test]
    fn without_held_out_samples_nothing_is_promised() {
        let all = clouds(40, 0.0);
        let none = Labelled { rows: Matrix::new(0, 2, Vec::new()).unwrap(), labels: Vec::new() };
        let head = head(&all);
        let evidence = Evidence::of_split(HeldOut::Validation, &head, &all, &none).unwrap();
        let trust = evidence.trust(&head, &all).unwrap();
        assert_eq!(trust.sets, None);
        let rows = Rows::new(1, 2, &[1e6, 0.0]).unwrap();
        assert_eq!(trust.familiarity.distances(rows, &head).unwrap(), [0.0]);
    }
}
