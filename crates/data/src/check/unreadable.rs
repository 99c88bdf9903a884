//! Samples whose picture cannot be read.

use crate::Fault;

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "unreadable",
    kinds: &[
        "missing",
        "refused",
        "empty",
        "truncated",
        "corrupt",
        "not-a-picture",
        "unsupported",
        "too-large",
    ],
    about: "files that are missing, empty, cut off, damaged, of another kind or too large",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if let Some((fault, detail)) = &look.fault {
            let detail = detail.clone();
            problems.push(view.sample(i, kind(*fault), Severity::Error, detail));
        }
    }
    problems
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "missing",
        Fault::Refused => "refused",
        Fault::Empty => "empty",
        Fault::Truncated => "truncated",
        Fault::Corrupt => "corrupt",
        Fault::NotAPicture => "not-a-picture",
        Fault::Unsupported => "unsupported",
        Fault::TooLarge => "too-large",
    }
}
