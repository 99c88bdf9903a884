//! Dividing samples into train, val and test: stratified, seeded, groups kept whole.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_random::generator;
use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::{DataError, Dataset, Result, Sample, Split};

/// What [`split`] shall make.
#[derive(Debug, Clone)]
pub struct SplitSpec {
    /// Fraction of the training part that becomes the validation part, if none is given.
    pub val: f64,
    /// Fraction of all samples that becomes the test part, if none is given.
    pub test: f64,
    /// Another seed, another division.
    pub seed: u64,
    /// Sets of sample indices that must not be separated (duplicates), besides named groups.
    pub together: Vec<Vec<usize>>,
}

impl Default for SplitSpec {
    fn default() -> Self {
        SplitSpec { val: 0.1, test: 0.2, seed: 0, together: Vec::new() }
    }
}

/// Gives every sample a part; parts that the data gives stay as they are.
///
/// A test part is made if there is none, and a validation part is taken from the training part if
/// there is none. Classes keep their proportions and at least one training sample; samples of one
/// group, or of one set in [`SplitSpec::together`], go to the same part. The result depends on the
/// samples' ids and the seed, not on their order. Unlabelled samples go to the training part.
///
/// # Errors
/// [`DataError::Unusable`] if a fraction is not in 0..1 or both leave nothing to train on.
pub fn split(dataset: &mut Dataset, spec: &SplitSpec) -> Result<()> {
    for (name, fraction) in [("val", spec.val), ("test", spec.test)] {
        if !(0.0..1.0).contains(&fraction) {
            return Err(DataError::Unusable(format!(
                "the {name} fraction is {fraction}; expected a number from 0 to below 1"
            )));
        }
    }
    let given: BTreeSet<Split> = dataset.samples.iter().filter_map(|s| s.split).collect();
    let units = units(&dataset.samples, spec);
    for unit in &units {
        // What has no part follows the rest of its group, and else waits in the training part.
        let part = unit.iter().find_map(|&i| dataset.samples[i].split);
        for &i in unit {
            let sample = &mut dataset.samples[i];
            sample.split = sample.split.or(part).or(Some(Split::Train));
        }
    }
    for (part, fraction) in [(Split::Test, spec.test), (Split::Val, spec.val)] {
        if !given.contains(&part) && fraction > 0.0 {
            carve(dataset, &units, part, fraction, spec.seed);
        }
    }
    Ok(())
}

/// Samples that stay together, each set in the order of ids; sets in a seeded order.
fn units(samples: &[Sample], spec: &SplitSpec) -> Vec<Vec<usize>> {
    let mut links = Links::new(samples.len());
    let mut first_with: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        // Rows of one id are one picture.
        let keys =
            [Some(("id", sample.id.as_str())), sample.group.as_deref().map(|g| ("group", g))];
        for key in keys.into_iter().flatten() {
            let first = *first_with.entry(key).or_insert(i);
            links.join(first, i);
        }
    }
    for set in &spec.together {
        for pair in set.windows(2) {
            if pair.iter().all(|&i| i < samples.len()) {
                links.join(pair[0], pair[1]);
            }
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..samples.len() {
        members.entry(links.root(i)).or_default().push(i);
    }
    let id = |i: &usize| samples[*i].id.as_str();
    let mut units: Vec<(u64, Vec<usize>)> = members
        .into_values()
        .map(|mut unit| {
            unit.sort_by(|a, b| id(a).cmp(id(b)));
            (draw(spec.seed, id(&unit[0])), unit)
        })
        .collect();
    units.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| id(&left[0]).cmp(id(&right[0]))));
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// A number for this name alone, so that other samples do not change it.
fn draw(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let index = digest.iter().take(8).fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    generator(seed, "split", 0, index).random()
}

/// Moves about `fraction` of each class from the training part to `part`.
fn carve(dataset: &mut Dataset, units: &[Vec<usize>], part: Split, fraction: f64, seed: u64) {
    let samples = &dataset.samples;
    let label = |i: usize| samples[i].label.filter(|_| samples[i].split == Some(Split::Train));
    // Only sets that lie in the training part as a whole can move.
    let movable: Vec<&Vec<usize>> = units
        .iter()
        .filter(|unit| unit.iter().all(|&i| samples[i].split == Some(Split::Train)))
        .filter(|unit| unit.iter().any(|&i| samples[i].label.is_some()))
        .collect();
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    for i in 0..samples.len() {
        if let Some(class) = label(i) {
            *left.entry(class).or_default() += 1;
        }
    }
    let mut wanted = quotas(&left, fraction, &dataset.classes, seed);
    let mut moved = Vec::new();
    for unit in movable {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for class in unit.iter().filter_map(|&i| samples[i].label) {
            *counts.entry(class).or_default() += 1;
        }
        let keeps_one = counts.iter().all(|(class, n)| left[class] > *n);
        // Moving the set must bring the part closer to its quotas.
        let gain: i64 = counts
            .iter()
            .map(|(class, &n)| {
                let wanted = wanted[class];
                wanted.abs() - (wanted - n as i64).abs()
            })
            .sum();
        if keeps_one && gain > 0 {
            for (class, n) in counts {
                *left.entry(class).or_default() -= n;
                *wanted.entry(class).or_default() -= n as i64;
            }
            moved.extend_from_slice(unit);
        }
    }
    for i in moved {
        dataset.samples[i].split = Some(part);
    }
}

/// How many samples of each class to move: in proportion, by largest remainder, so that the total
/// is right even if every class is too small for one of its own.
fn quotas(
    sizes: &BTreeMap<u32, usize>,
    fraction: f64,
    classes: &[String],
    seed: u64,
) -> BTreeMap<u32, i64> {
    let exact = |n: usize| n as f64 * fraction;
    let total = sizes.values().map(|&n| exact(n)).sum::<f64>().round() as i64;
    let mut quotas: BTreeMap<u32, i64> =
        sizes.iter().map(|(&class, &n)| (class, exact(n).floor() as i64)).collect();
    let mut order: Vec<(f64, u64, u32)> = sizes
        .iter()
        .map(|(&class, &n)| {
            let name = classes.get(class as usize).map_or("", String::as_str);
            (exact(n).fract(), draw(seed, name), class)
        })
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let missing = total - quotas.values().sum::<i64>();
    // A class of one sample has none to give, and would waste its share.
    let able = order.iter().filter(|(_, _, class)| sizes[class] > 1);
    for (_, _, class) in able.take(usize::try_from(missing).unwrap_or(0)) {
        *quotas.entry(*class).or_default() += 1;
    }
    quotas
}

/// Sets that merge (union–find with path halving).
pub(crate) struct Links(Vec<usize>);

impl Links {
    pub(crate) fn new(n: usize) -> Links {
        Links((0..n).collect())
    }

    pub(crate) fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    pub(crate) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller index is the root, so the outcome does not depend on the order of joins.
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests;
