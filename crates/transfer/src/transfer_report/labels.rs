//! Which labels a cell learns from: nested subsets, drawn class by class.

use std::collections::BTreeMap;

use offshoot_data::{Dataset, Sample, Split, SplitSpec};

use crate::digest::Sha;
use crate::prepare::{self, Prepared};
use crate::report::words::{counted, percent};
use crate::{Result, TransferError};

/// Samples that are drawn from together: a class, and whether the data itself names them for validation.
type Stratum = (u32, bool);

/// A number of labels to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Of all labels that are not kept for testing.
    pub share: f64,
    /// Labels, those that judge on the way included.
    pub labels: usize,
    counts: BTreeMap<Stratum, usize>,
}

/// The numbers of labels of one target, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// All labels that are not kept for testing.
    pub pool: usize,
    /// In ascending order.
    pub levels: Vec<Level>,
    /// What was merged, in words.
    pub notes: Vec<String>,
    strata: BTreeMap<Stratum, Vec<usize>>,
    named_val: bool,
}

/// A cell's samples: labelled and divided, with their places in the data.
pub struct Drawn {
    /// The labels of a level and the whole test split, in the order of the data.
    pub prepared: Prepared,
    /// Where each sample is in the data.
    pub places: Vec<usize>,
}

impl Ladder {
    /// The levels for these shares of the labels outside the test split. `named_val` says that the data
    /// itself names a validation split, which then stays one.
    ///
    /// A label a class is the least that a classifier can learn from. Shares that would be less are merged
    /// into one level of just that.
    pub fn new(dataset: &Dataset, shares: &[f64], named_val: bool) -> Self {
        let mut strata: BTreeMap<Stratum, Vec<usize>> = BTreeMap::new();
        for (i, sample) in dataset.samples.iter().enumerate() {
            let (Some(label), Some(Split::Train | Split::Val)) = (sample.label, sample.split)
            else {
                continue;
            };
            let val = named_val && sample.split == Some(Split::Val);
            strata.entry((label, val)).or_default().push(i);
        }
        let pool: usize = strata.values().map(Vec::len).sum();
        let classes = strata.keys().filter(|(_, val)| !val).count();
        let mut shares = shares.to_vec();
        shares.sort_by(f64::total_cmp);
        let (few, enough): (Vec<f64>, Vec<f64>) =
            shares.into_iter().partition(|share| share * (pool as f64) < classes as f64);
        let mut levels: Vec<Level> = Vec::new();
        let mut notes = Vec::new();
        let level = |share: f64| {
            let counts: BTreeMap<Stratum, usize> = strata
                .iter()
                .map(|(stratum, places)| {
                    let wanted = (share * places.len() as f64).round() as usize;
                    // Every class is learnt from; validation may have none of it.
                    (*stratum, wanted.max(usize::from(!stratum.1)).min(places.len()))
                })
                .collect();
            let labels = counts.values().sum();
            Level { share: labels as f64 / pool.max(1) as f64, labels, counts }
        };
        if let Some(&most) = few.last() {
            levels.push(level(0.0));
            let named: Vec<String> = few.iter().map(|share| percent(*share)).collect();
            notes.push(format!(
                "{} of {} {} fewer than one a class (at most {:.0}): {} learnt from instead",
                named.join(", "),
                counted(pool, "label", "labels"),
                if few.len() == 1 { "is" } else { "are" },
                (most * pool as f64).floor(),
                match levels[0].labels {
                    1 => "1 label is".into(),
                    n => format!("{n} labels, one a class, are"),
                },
            ));
        }
        levels.extend(enough.into_iter().map(level));
        levels.dedup_by_key(|level| level.labels);
        Self { pool, levels, notes, strata, named_val }
    }

    /// The samples of a cell. What a seed draws for fewer labels is among what it draws for more. The labels
    /// are divided into training and validation as `train` divides them: contents that are the same (`keys`)
    /// and groups stay together.
    pub fn draw(
        &self,
        prepared: &Prepared,
        keys: &[Option<Sha>],
        level: &Level,
        (seed, val): (u64, Option<f64>),
    ) -> Result<Drawn> {
        let all = &prepared.dataset;
        let mut chosen = vec![false; all.samples.len()];
        for (stratum, places) in &self.strata {
            let (class, named) = *stratum;
            let purpose = "labels of a class";
            let key = 2 * u64::from(class) + u64::from(named);
            let order = offshoot_random::permutation(places.len(), seed, purpose, key);
            let n = level.counts.get(stratum).copied().unwrap_or(0);
            order.iter().take(n).for_each(|&i| chosen[places[i]] = true);
        }
        let is_test = |i: &usize| all.samples[*i].split == Some(Split::Test);
        let places: Vec<usize> = (0..chosen.len()).filter(|i| chosen[*i] || is_test(i)).collect();
        let sample = |&i: &usize| {
            let sample = all.samples[i].clone();
            let split = sample.split.filter(|s| *s == Split::Test || self.named_val);
            Sample { split, ..sample }
        };
        let mut dataset = Dataset {
            name: all.name.clone(),
            classes: all.classes.clone(),
            samples: places.iter().map(sample).collect(),
            notes: Vec::new(),
        };
        let val = val.unwrap_or_else(|| prepare::tuning_val(&dataset, 0.0));
        let together = same(&places, keys);
        offshoot_data::split(&mut dataset, &SplitSpec { val, test: 0.0, seed, together })?;
        let drawn = Drawn { prepared: Prepared { dataset, problems: Vec::new() }, places };
        if drawn.prepared.of(Split::Train).is_empty() {
            return Err(TransferError::BadData(format!("{}: no labels to learn from", all.name)));
        }
        Ok(drawn)
    }
}

/// Places of the samples with the same content, where there are several.
fn same(places: &[usize], keys: &[Option<Sha>]) -> Vec<Vec<usize>> {
    let mut by_key: BTreeMap<Sha, Vec<usize>> = BTreeMap::new();
    for (at, &place) in places.iter().enumerate() {
        if let Some(key) = keys.get(place).copied().flatten() {
            by_key.entry(key).or_default().push(at);
        }
    }
    by_key.into_values().filter(|places| places.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use offshoot_data::Input;

    use super::*;

    /// `sizes[c]` samples of class c outside the test split, and two of each class in it.
    fn prepared(sizes: &[usize], named_val: bool) -> Prepared {
        let mut samples = Vec::new();
        for (class, &n) in sizes.iter().enumerate() {
            for i in 0..n + 2 {
                let split = match i {
                    i if i >= n => Split::Test,
                    i if named_val && i % 4 == 0 => Split::Val,
                    _ => Split::Train,
                };
                samples.push(Sample {
                    id: format!("{class}-{i}"),
                    input: Input::Vector(vec![0.0].into()),
                    label: Some(class as u32),
                    split: Some(split),
                    domain: None,
                    group: None,
                });
            }
        }
        let classes = (0..sizes.len()).map(|c| c.to_string()).collect();
        let dataset = Dataset { name: "d".into(), classes, samples, notes: Vec::new() };
        Prepared { dataset, problems: Vec::new() }
    }

    const SHARES: [f64; 7] = [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

    fn ids(drawn: &Drawn, wanted: fn(Split) -> bool) -> BTreeSet<String> {
        let samples = drawn.prepared.dataset.samples.iter();
        samples.filter(|s| s.split.is_some_and(wanted)).map(|s| s.id.clone()).collect()
    }

    #[test]
    fn subsets_are_nested_stratified_and_leave_the_test_split_alone() {
        let data = prepared(&[100, 60, 40], false);
        let ladder = Ladder::new(&data.dataset, &SHARES, false);
        assert_eq!(ladder.pool, 200);
        let labels: Vec<usize> = ladder.levels.iter().map(|l| l.labels).collect();
        // One label of a hundred is fewer than one a class: three are learnt from.
        assert_eq!(labels, [3, 4, 10, 20, 50, 100, 200]);
        for seed in 0..3 {
            let mut before = BTreeSet::new();
            for level in &ladder.levels {
                let drawn = ladder.draw(&data, &[], level, (seed, None)).unwrap();
                let labelled = ids(&drawn, |s| s != Split::Test);
                assert_eq!(labelled.len(), level.labels);
                assert!(before.is_subset(&labelled));
                assert_eq!(ids(&drawn, |s| s == Split::Test).len(), 6);
                for class in ["0-", "1-", "2-"] {
                    let train = ids(&drawn, |s| s == Split::Train);
                    assert!(train.iter().any(|id| id.starts_with(class)), "{class}");
                }
                before = labelled;
            }
        }
        let level = &ladder.levels[1];
        let of = |seed| {
            ids(&ladder.draw(&data, &[], level, (seed, None)).unwrap(), |s| s != Split::Test)
        };
        assert_ne!(of(0), of(1));
        assert_eq!(of(0), of(0));
    }

    #[test]
    fn shares_of_less_than_a_label_a_class_are_merged_and_said_so() {
        let data = prepared(&[10, 10, 10, 10], false);
        let ladder = Ladder::new(&data.dataset, &SHARES, false);
        let labels: Vec<usize> = ladder.levels.iter().map(|l| l.labels).collect();
        // 1, 2 and 5 % of 40 are fewer than four labels; 10 % are just one a class.
        assert_eq!(labels, [4, 12, 20, 40]);
        assert_eq!(ladder.notes.len(), 1);
        assert!(ladder.notes[0].contains("one a class"), "{:?}", ladder.notes);
        let drawn = ladder.draw(&data, &[], &ladder.levels[0], (0, None)).unwrap();
        assert_eq!(drawn.prepared.of(Split::Train).len(), 4);
        assert!(drawn.prepared.of(Split::Val).is_empty());
    }

    #[test]
    fn a_validation_split_that_the_data_names_stays_one() {
        let data = prepared(&[40, 40], true);
        let ladder = Ladder::new(&data.dataset, &[0.5, 1.0], true);
        let drawn = ladder.draw(&data, &[], &ladder.levels[0], (0, None)).unwrap();
        assert_eq!(
            (drawn.prepared.of(Split::Train).len(), drawn.prepared.of(Split::Val).len()),
            (30, 10)
        );
        for (sample, &place) in drawn.prepared.dataset.samples.iter().zip(&drawn.places) {
            assert_eq!(sample.split, data.dataset.samples[place].split);
            assert_eq!(sample.id, data.dataset.samples[place].id);
        }
    }

    #[test]
    fn the_same_content_is_never_on_both_sides_of_validation() {
        let data = prepared(&[20, 20], false);
        let keys: Vec<Option<Sha>> = (0..44u8).map(|i| Some(Sha::of(&[&[i / 2]]))).collect();
        let ladder = Ladder::new(&data.dataset, &[1.0], false);
        for seed in 0..5 {
            let drawn = ladder.draw(&data, &keys, &ladder.levels[0], (seed, Some(0.3))).unwrap();
            let split = |at: usize| drawn.prepared.dataset.samples[at].split;
            assert!((0..20).step_by(2).all(|i| split(i) == split(i + 1)));
            assert!(!drawn.prepared.of(Split::Val).is_empty());
        }
    }
}
