//! The data doctor: what is wrong with a data set, by name of the file.
//!
//! Each picture or text is looked at once, in parallel ([`look`]); then every check of [`CHECKS`] reads
//! what was seen. Files are never changed, and the result does not depend on the number of threads.

mod blank;
mod clipped_grey;
mod conflicting_labels;
mod empty_class;
mod empty_text;
mod exact_duplicates;
mod group_straddles;
mod imbalance;
mod long_texts;
mod look;
mod missing_labels;
mod mixed_languages;
mod mixed_scripts;
mod near_duplicates;
mod not_finite;
mod odd_encoding;
mod one_class;
mod one_sample_class;
mod outside_folder;
mod rotated;
mod similar_names;
mod sketch;
mod summary;
mod thumbnail;
mod tiny;
mod unreadable;
mod unseen_class;
mod wrong_ending;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Limits, Split};
use look::Look;

pub use summary::Summary;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Results would be wrong or a sample is lost.
    Error,
    /// Results may be worse than they look.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// A sample's id, or a class's name for problems of classes; empty for the whole data set.
    pub path: String,
    /// One of the words in [`Check::kinds`].
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was expected and what was found.
    pub detail: String,
}

/// What [`check`] looks for.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// What one picture may cost.
    pub limits: Limits,
    /// Pictures whose shorter side is below this are reported as tiny.
    pub tiny: usize,
    /// The largest class over the smallest, from which on imbalance is reported.
    pub imbalance: f64,
    /// Whether to compare samples with each other for copies with small changes: re-encoded and
    /// resized pictures, texts with other punctuation or a few other words. For pictures it takes
    /// time in proportion to the square of the number of samples, about a second for 70,000.
    pub near_duplicates: bool,
    /// Texts of more words are reported as long. 380 English words are about 512 tokens.
    pub long_words: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        CheckOptions {
            limits: Limits::default(),
            tiny: 8,
            imbalance: 10.0,
            near_duplicates: true,
            long_words: 380,
        }
    }
}

/// What the data doctor found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Worst first, then by kind and path.
    pub problems: Vec<Problem>,
    /// Indices of samples that cannot be read, ascending.
    pub unreadable: Vec<usize>,
    /// Sets of samples with the same picture or text, exactly or nearly, whatever their parts; for
    /// [`crate::SplitSpec::together`].
    pub duplicates: Vec<Vec<usize>>,
    /// What the data set holds.
    pub summary: Summary,
}

impl CheckReport {
    /// Unreadable samples over all samples.
    pub fn bad_fraction(&self) -> f64 {
        if self.summary.samples == 0 {
            return 0.0;
        }
        self.unreadable.len() as f64 / self.summary.samples as f64
    }

    /// How many problems of this severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|p| p.severity == severity).count()
    }
}

/// One thing that the data doctor looks for.
pub struct Check {
    /// The name of its file.
    pub name: &'static str,
    /// The words that its problems carry.
    pub kinds: &'static [&'static str],
    /// What it finds, in one sentence.
    pub about: &'static str,
    run: fn(&View<'_>) -> Vec<Problem>,
}

/// All checks.
pub const CHECKS: &[Check] = &[
    unreadable::CHECK,
    wrong_ending::CHECK,
    rotated::CHECK,
    clipped_grey::CHECK,
    blank::CHECK,
    tiny::CHECK,
    not_finite::CHECK,
    empty_text::CHECK,
    odd_encoding::CHECK,
    long_texts::CHECK,
    mixed_scripts::CHECK,
    mixed_languages::CHECK,
    exact_duplicates::CHECK,
    near_duplicates::CHECK,
    conflicting_labels::CHECK,
    missing_labels::CHECK,
    empty_class::CHECK,
    one_class::CHECK,
    one_sample_class::CHECK,
    similar_names::CHECK,
    unseen_class::CHECK,
    imbalance::CHECK,
    group_straddles::CHECK,
    outside_folder::CHECK,
];

/// What the checks see.
struct View<'a> {
    dataset: &'a Dataset,
    options: &'a CheckOptions,
    /// One a sample.
    looks: &'a [Look],
    /// Sets of samples with equal content, each ascending.
    equal: &'a [Vec<usize>],
    /// Pairs of samples that look alike without being equal.
    alike: &'a [(usize, usize)],
}

impl View<'_> {
    /// A problem of sample `i`.
    fn sample(&self, i: usize, kind: &str, severity: Severity, detail: String) -> Problem {
        problem(&self.dataset.samples[i].id, kind, severity, detail)
    }

    fn class_of(&self, i: usize) -> Option<&str> {
        let label = self.dataset.samples[i].label? as usize;
        self.dataset.classes.get(label).map(String::as_str)
    }

    fn split_of(&self, i: usize) -> Option<Split> {
        self.dataset.samples[i].split
    }

    /// Labelled samples of each class.
    fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.dataset.classes.len()];
        for sample in &self.dataset.samples {
            if let Some(size) = sample.label.and_then(|l| sizes.get_mut(l as usize)) {
                *size += 1;
            }
        }
        sizes
    }
}

fn problem(path: &str, kind: &str, severity: Severity, detail: String) -> Problem {
    Problem { path: path.to_owned(), kind: kind.to_owned(), severity, detail }
}

/// What a part is called in messages.
fn part_name(part: Option<Split>) -> &'static str {
    match part {
        Some(Split::Train) => "train",
        Some(Split::Val) => "val",
        Some(Split::Test) => "test",
        None => "no part",
    }
}

/// Looks at every sample and reports what is wrong.
///
/// `progress(done, all)` is called from several threads while pictures are read.
pub fn check(
    dataset: &Dataset,
    options: &CheckOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> CheckReport {
    let looks = look::at_all(dataset, &options.limits, progress);
    let equal = equal_sets(&looks);
    let alike = if options.near_duplicates {
        let mut pairs = near_duplicates::pairs(dataset, &looks, &options.limits);
        pairs.extend(sketch::pairs(dataset, &looks));
        pairs
    } else {
        Vec::new()
    };
    let view = View { dataset, options, looks: &looks, equal: &equal, alike: &alike };
    let mut problems: Vec<Problem> = CHECKS.iter().flat_map(|c| (c.run)(&view)).collect();
    problems.sort_by(|a, b| {
        let key = |p: &Problem| (p.severity, p.kind.clone(), p.path.clone(), p.detail.clone());
        key(a).cmp(&key(b))
    });
    let unreadable = (0..looks.len()).filter(|&i| looks[i].fault.is_some()).collect();
    CheckReport {
        problems,
        unreadable,
        duplicates: joined(looks.len(), &equal, &alike),
        summary: Summary::of(dataset, &looks),
    }
}

/// Samples with the same decoded content.
fn equal_sets(looks: &[Look]) -> Vec<Vec<usize>> {
    let mut by_content: BTreeMap<&look::Hash, Vec<usize>> = BTreeMap::new();
    for (i, look) in looks.iter().enumerate() {
        if let Some(hash) = &look.content {
            by_content.entry(hash).or_default().push(i);
        }
    }
    let mut sets: Vec<Vec<usize>> = by_content.into_values().filter(|s| s.len() > 1).collect();
    sets.sort();
    sets
}

fn joined(n: usize, equal: &[Vec<usize>], alike: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut links = crate::split::Links::new(n);
    for set in equal {
        set.windows(2).for_each(|pair| links.join(pair[0], pair[1]));
    }
    alike.iter().for_each(|&(a, b)| links.join(a, b));
    let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..n {
        sets.entry(links.root(i)).or_default().push(i);
    }
    sets.into_values().filter(|s| s.len() > 1).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
