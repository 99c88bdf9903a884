//! Pictures of a single colour.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check =
    Check { name: "blank", kinds: &["blank"], about: "pictures whose pixels are all equal", run };

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if look.shown.as_ref().is_some_and(|s| s.is_blank) {
            let detail = "all pixels are equal".to_owned();
            problems.push(view.sample(i, "blank", Severity::Warning, detail));
        }
    }
    problems
}
