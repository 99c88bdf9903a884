//! The data doctor on texts: planted copies are found, different texts are not taken for copies.

use rand::RngExt;

use super::*;
use crate::{Input, Sample, Text};

/// A text of `words` words, different for each `seed`.
fn prose(seed: u64, words: usize) -> String {
    const SYLLABLES: [&str; 12] =
        ["ka", "lo", "mi", "ren", "tu", "sol", "ve", "nar", "pi", "dost", "um", "ez"];
    let mut rng = offshoot_random::generator(seed, "prose", 0, 0);
    let mut word = || -> String {
        (0..rng.random_range(1..4)).map(|_| SYLLABLES[rng.random_range(0..12)]).collect()
    };
    (0..words).map(|_| word()).collect::<Vec<_>>().join(" ")
}

fn sample(id: usize, text: &str, label: u32, split: Split) -> Sample {
    Sample {
        id: format!("t.csv:{id}"),
        input: Input::Text(text.into()),
        label: Some(label),
        split: Some(split),
        domain: None,
        group: None,
    }
}

fn dataset(texts: &[(String, Split)]) -> Dataset {
    let samples = texts.iter().enumerate();
    Dataset {
        name: "t".to_owned(),
        classes: vec!["a".to_owned(), "b".to_owned()],
        samples: samples.map(|(i, (t, split))| sample(i, t, i as u32 % 2, *split)).collect(),
        notes: Vec::new(),
    }
}

fn checked(dataset: &Dataset) -> CheckReport {
    check(dataset, &CheckOptions::default(), &|_, _| {})
}

fn clean(n: u64) -> Vec<(String, Split)> {
    let split = |i| [Split::Train, Split::Train, Split::Test][i as usize / 2 % 3];
    (0..n).map(|i| (prose(i, 8 + i as usize % 90), split(i))).collect()
}

#[test]
fn a_clean_set_of_texts_has_no_problems() {
    let report = checked(&dataset(&clean(400)));
    assert_eq!(report.problems, []);
    assert_eq!((report.summary.scripts["Latin"], report.duplicates.len()), (400, 0));
}

#[test]
fn copies_across_parts_are_found_whatever_their_case_and_layout() {
    let mut texts = clean(60);
    texts.push((texts[0].0.to_uppercase().replace(' ', "  \n"), Split::Test));
    let report = checked(&dataset(&texts));
    let found: Vec<_> =
        report.problems.iter().map(|p| (p.kind.as_str(), p.path.as_str())).collect();
    assert_eq!(found, [("leak", "t.csv:60")]);
    assert_eq!(report.duplicates, [[0, 60]]);
}

#[test]
fn copies_with_a_few_other_words_are_found() {
    let mut texts = clean(200);
    let originals: Vec<usize> =
        (0..200).filter(|&i| texts[i].1 == Split::Train && 8 + i % 90 >= 40).collect();
    for &i in &originals {
        let mut words: Vec<&str> = texts[i].0.split(' ').collect();
        // One word of forty changes four shingles of about forty: similarity 0.83 at least.
        words[17] = "changed";
        let copy = words.join(", ");
        texts.push((copy, Split::Test));
    }
    let report = checked(&dataset(&texts));
    let found = report.problems.iter().filter(|p| p.kind == "near-leak").count();
    println!("{found} of {} copies are found", originals.len());
    assert!(found * 100 >= 99 * originals.len() && originals.len() > 60);
    assert!(report.duplicates.iter().all(|set| set.len() == 2 && set[1] >= 200));
}

#[test]
fn the_second_text_of_a_pair_counts() {
    let mut data = dataset(&clean(8));
    let pair = |pair: &str| Text { text: "the same premise".into(), pair: Some(pair.into()) };
    data.samples[0].input = Input::Text(pair("one"));
    data.samples[1].input = Input::Text(pair("two"));
    assert!(checked(&data).duplicates.is_empty());
    data.samples[1].input = Input::Text(pair("One"));
    let report = checked(&data);
    assert_eq!(report.duplicates, [[0, 1]]);
    assert!(report.problems.iter().any(|p| p.kind == "conflicting-labels"));
}

#[test]
fn texts_without_words_are_no_copies_of_each_other() {
    let mut texts = clean(12);
    texts[0].0 = String::new();
    texts[3].0 = " ?!".to_owned();
    let report = checked(&dataset(&texts));
    let kinds: Vec<_> = report.problems.iter().map(|p| p.kind.as_str()).collect();
    assert_eq!(kinds, ["empty-text", "empty-text"]);
    assert!(report.unreadable.is_empty());
}
