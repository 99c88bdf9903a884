//! Samples whose picture or text cannot be read.

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
        "not-text",
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
            problems.push(view.sample(i, fault.name(), Severity::Error, detail));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use crate::Fault;

    #[test]
    fn every_kind_is_a_fault_under_its_only_name() {
        for kind in super::CHECK.kinds {
            let fault: Fault = serde_json::from_value((*kind).into()).unwrap();
            assert_eq!(fault.name(), *kind);
        }
    }
}
