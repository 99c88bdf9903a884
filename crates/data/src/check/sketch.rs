//! Sketches of texts that copies with small changes share: MinHash of word shingles (Broder 1997),
//! in bands (locality-sensitive hashing), so that no text is compared with all others.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::Dataset;
use crate::text::read_text;

use super::look::Look;

/// Words of a shingle.
const SHINGLE: usize = 4;
/// Shorter texts resemble each other by chance.
const MIN_WORDS: usize = 10;
const BANDS: usize = 16;
/// Two texts of Jaccard similarity J share a band with probability 1 − (1 − J⁴)¹⁶: 0.9998 at 0.8,
/// 0.02 at 0.2.
const ROWS: usize = 4;
/// Share of common shingles from which texts are copies.
const JACCARD: f64 = 0.8;
/// A text is compared with so many of a band's first ones.
const COMPARED: usize = 4;

/// A hash of each band.
pub(super) type Sketch = [u64; BANDS];

/// The sketch of a text, unless it is too short for one.
pub(super) fn of(text: &str) -> Option<Sketch> {
    let shingles = shingles(text);
    if shingles.is_empty() {
        return None;
    }
    let least = |k: usize| {
        let seed = mix(k as u64 + 1);
        shingles.iter().map(|s| mix(s ^ seed)).min().unwrap_or(0)
    };
    Some(std::array::from_fn(|band| {
        (0..ROWS).fold(band as u64, |hash, row| mix(hash ^ least(band * ROWS + row)))
    }))
}

/// Pairs (a, b), a < b, of texts that are nearly the same and not equal; sorted.
pub(super) fn pairs(dataset: &Dataset, looks: &[Look]) -> Vec<(usize, usize)> {
    let sketches: Vec<(usize, &Sketch)> = looks
        .iter()
        .enumerate()
        .filter_map(|(i, look)| Some((i, look.written.as_ref()?.sketch.as_ref()?)))
        .collect();
    let mut candidates = BTreeSet::new();
    for band in 0..BANDS {
        let mut keyed: Vec<(u64, usize)> = sketches.iter().map(|(i, s)| (s[band], *i)).collect();
        keyed.sort_unstable();
        for group in keyed.chunk_by(|a, b| a.0 == b.0) {
            for (at, &(_, i)) in group.iter().enumerate() {
                let first = group[..at.min(COMPARED)].iter().map(|&(_, j)| (j, i));
                candidates.extend(first.filter(|&(j, i)| looks[j].content != looks[i].content));
            }
        }
    }
    let involved: BTreeSet<usize> = candidates.iter().flat_map(|&(a, b)| [a, b]).collect();
    let involved: Vec<usize> = involved.into_iter().collect();
    let sets: BTreeMap<usize, Vec<u64>> = involved
        .par_iter()
        .filter_map(|&i| {
            let text = read_text(&dataset.samples[i].input).ok()?;
            Some((i, shingles(&joined(&text))))
        })
        .collect();
    let alike = |a: &usize, b: &usize| match (sets.get(a), sets.get(b)) {
        (Some(a), Some(b)) => similarity(a, b) >= JACCARD,
        _ => false,
    };
    candidates.into_iter().filter(|(a, b)| alike(a, b)).collect()
}

/// A pair of texts is judged as one.
pub(super) fn joined(text: &crate::Text) -> String {
    match &text.pair {
        Some(pair) => format!("{}\n{pair}", text.text),
        None => text.text.to_string(),
    }
}

/// Hashes of every four words in a row, ascending, each once.
fn shingles(text: &str) -> Vec<u64> {
    let words = words(text);
    if words.len() < MIN_WORDS {
        return Vec::new();
    }
    let shingle = |words: &[u64]| words.iter().fold(0, |hash, word| mix(hash ^ word));
    let mut shingles: Vec<u64> = words.windows(SHINGLE).map(shingle).collect();
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

/// Hashes of letters and digits in a row, in lower case; of single signs in scripts that put no
/// spaces between words.
fn words(text: &str) -> Vec<u64> {
    const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;
    let mut words = Vec::new();
    let mut word = EMPTY;
    for c in text.chars() {
        let alone = matches!(c, '\u{e00}'..='\u{eff}' | '\u{2e80}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
        if (alone || !c.is_alphanumeric()) && word != EMPTY {
            words.push(mix(word));
            word = EMPTY;
        }
        if c.is_alphanumeric() {
            for lower in c.to_lowercase() {
                // FNV-1a over characters.
                word = (word ^ u64::from(lower)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        if alone && word != EMPTY {
            words.push(mix(word));
            word = EMPTY;
        }
    }
    if word != EMPTY {
        words.push(mix(word));
    }
    words
}

/// |a ∩ b| / |a ∪ b| of two ascending lists.
fn similarity(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, common) = (i + 1, j + 1, common + 1),
        }
    }
    let all = a.len() + b.len() - common;
    if all == 0 { 0.0 } else { common as f64 / all as f64 }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_like_itself_and_unlike_another() {
        let a = shingles("one two three four five six seven eight nine ten eleven");
        let b = shingles("a b c d e f g h i j k l m n");
        assert_eq!((a.len(), similarity(&a, &a), similarity(&a, &b)), (8, 1.0, 0.0));
        assert_eq!(shingles("One, two: three-four  five six seven. eight nine ten ELEVEN!"), a);
    }

    #[test]
    fn scripts_without_spaces_have_a_word_a_sign() {
        assert_eq!(words("我很喜欢this电影").len(), 7);
        assert_eq!(words("").len(), 0);
    }
}
