//! Texts without a word.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "empty_text",
    kinds: &["empty-text"],
    about: "texts without a single letter or digit, from which nothing can be learnt",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if look.written.as_ref().is_some_and(|w| w.is_empty) {
            let detail = "the text has no letter or digit".to_owned();
            problems.push(view.sample(i, "empty-text", Severity::Warning, detail));
        }
    }
    problems
}
