//! Texts in another script than most, which a source may never have seen.

use std::collections::BTreeMap;

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "mixed_scripts",
    kinds: &["mixed-scripts"],
    about: "texts in several scripts (Latin, Cyrillic, Han, …), hence in several languages",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for script in view.looks.iter().filter_map(|l| l.written.as_ref()?.script) {
        *counts.entry(script).or_default() += 1;
    }
    if counts.len() < 2 {
        return Vec::new();
    }
    let mut counts: Vec<(usize, &str)> = counts.into_iter().map(|(s, n)| (n, s)).collect();
    counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let listed: Vec<String> = counts.iter().map(|(n, script)| format!("{n} {script}")).collect();
    let detail = format!("texts in several scripts: {}", listed.join(", "));
    vec![problem("", "mixed-scripts", Severity::Note, detail)]
}

/// The script that most letters of a text belong to, by Unicode block.
pub(super) fn of(text: &str) -> Option<&'static str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let script = match c {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => "Latin",
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => "Greek",
            '\u{400}'..='\u{52f}' => "Cyrillic",
            '\u{530}'..='\u{58f}' => "Armenian",
            '\u{590}'..='\u{5ff}' => "Hebrew",
            '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' => "Arabic",
            '\u{900}'..='\u{97f}' => "Devanagari",
            '\u{980}'..='\u{9ff}' => "Bengali",
            '\u{b80}'..='\u{bff}' => "Tamil",
            '\u{e00}'..='\u{e7f}' => "Thai",
            '\u{10a0}'..='\u{10ff}' => "Georgian",
            // Japanese is written with both.
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => "Han",
            '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => "Hangul",
            _ => "other",
        };
        *counts.entry(script).or_default() += 1;
    }
    // The first in alphabetical order where two have as many.
    counts.into_iter().rev().max_by_key(|(_, n)| *n).map(|(script, _)| script)
}
