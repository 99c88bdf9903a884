//! Feature vectors with NaN or infinite values.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "not_finite",
    kinds: &["not-finite"],
    about: "vectors with NaN or infinite values",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if look.not_finite > 0 {
            let detail = format!("{} values are NaN or infinite", look.not_finite);
            problems.push(view.sample(i, "not-finite", Severity::Error, detail));
        }
    }
    problems
}
