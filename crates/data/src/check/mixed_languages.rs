//! Texts in another language than most, where both are written in Latin letters.
//!
//! A language is known by its most frequent words, which make up a third of any running text. Short or
//! unclear texts are of no language, so what is told is a lower bound; scripts are another check's.

use std::collections::BTreeMap;

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "mixed_languages",
    kinds: &["mixed-languages"],
    about: "texts in several languages of Latin letters, told by their most frequent words",
    run,
};

/// Texts with fewer words are of no language.
const LEAST: usize = 6;
/// Share of a text's words that must be frequent ones of its language.
const SHARE: f64 = 0.2;
/// Another language is told from so many texts on: quotations and names are none.
const TEXTS: usize = 3;
/// And from this share of the texts of a known language on.
const OF_ALL: f64 = 0.005;

/// None but English has words that are English ones, too (`do`, `to`, `is`): a few of them make up a
/// fifth of a short sentence.
const FREQUENT: [(&str, &[&str]); 9] = [
    ("Dutch", &["de", "het", "een", "van", "niet", "en", "dat", "zijn", "met", "voor", "op", "te"]),
    (
        "English",
        &["the", "and", "of", "to", "is", "was", "that", "with", "this", "for", "it", "in", "a"],
    ),
    (
        "French",
        &["le", "les", "des", "est", "une", "pas", "dans", "pour", "qui", "et", "de", "la", "un"],
    ),
    (
        "German",
        &["der", "und", "das", "ist", "nicht", "ein", "eine", "mit", "den", "zu", "von", "sich"],
    ),
    ("Italian", &["il", "che", "di", "non", "della", "una", "per", "sono", "è", "gli", "la", "un"]),
    ("Polish", &["nie", "się", "jest", "że", "na", "w", "z", "jak", "ale", "dla", "od", "który"]),
    (
        "Portuguese",
        &["os", "uma", "não", "que", "para", "da", "em", "um", "é", "dos", "mais", "ao"],
    ),
    (
        "Spanish",
        &["el", "los", "las", "que", "una", "del", "con", "por", "es", "y", "la", "de", "un"],
    ),
    ("Swedish", &["och", "att", "det", "som", "är", "en", "på", "av", "för", "inte", "ett", "jag"]),
];

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for language in view.looks.iter().filter_map(|l| l.written.as_ref()?.language) {
        *counts.entry(language).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let mut counts: Vec<(usize, &str)> = counts.into_iter().map(|(l, n)| (n, l)).collect();
    counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    counts.retain(|(n, _)| *n >= TEXTS && *n as f64 >= OF_ALL * all as f64);
    if counts.len() < 2 {
        return Vec::new();
    }
    let listed: Vec<String> = counts.iter().map(|(n, l)| format!("{n} {l}")).collect();
    let detail = format!(
        "texts in several languages: {}; an encoder of one language reads the others badly",
        listed.join(", ")
    );
    vec![problem("", "mixed-languages", Severity::Note, detail)]
}

/// The language of a text, where its frequent words are clearly those of one.
pub(super) fn of(text: &str) -> Option<&'static str> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        // The beginning tells, however long a text is.
        .take(400)
        .map(str::to_lowercase)
        .collect();
    if words.len() < LEAST {
        return None;
    }
    let count = |frequent: &[&str]| words.iter().filter(|w| frequent.contains(&w.as_str())).count();
    let mut found: Vec<(usize, &'static str)> =
        FREQUENT.iter().map(|(language, frequent)| (count(frequent), *language)).collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let clear =
        found[0].0 as f64 >= SHARE * words.len() as f64 && found[0].0 > found[1].0 + found[1].0 / 3;
    clear.then_some(found[0].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_frequent_words() {
        for (text, language) in [
            ("This is a film that the critics of the world have not seen for years.", "English"),
            ("Das ist ein Film, den die Kritiker nicht mit der Kneifzange anfassen.", "German"),
            ("C'est une histoire qui ne tient pas dans le monde, et pour cause.", "French"),
            ("Es una de las películas que los críticos no quieren ver en el cine.", "Spanish"),
            ("Il film non è di quelli che si vedono per una sera, sono sicuro.", "Italian"),
            ("Dit is een film van een man die niet op het einde te kijken is.", "Dutch"),
            ("Não gostei do filme, que é uma história para crianças em casa.", "Portuguese"),
            ("Det är en film som inte är för barn och jag tror att det är sant.", "Swedish"),
            ("To jest film, w którym nie ma nic do śmiechu, ale się podoba.", "Polish"),
        ] {
            assert_eq!(of(text), Some(language), "{text}");
        }
        for text in
            ["", "the film", "zq vk pw mx lo tu ve mi ka sol", "GPU RAM CPU SSD HDD USB LCD"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
