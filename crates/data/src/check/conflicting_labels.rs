//! The same picture under two labels.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "conflicting_labels",
    kinds: &["conflicting-labels"],
    about: "the same picture or text with different labels",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for set in view.equal {
        let mut labelled = set.iter().filter_map(|&i| Some((i, view.class_of(i)?)));
        let Some((first, class)) = labelled.next() else {
            continue;
        };
        for (copy, other) in labelled.filter(|(_, other)| *other != class) {
            let original = &view.dataset.samples[first].id;
            let detail = format!("labelled `{other}`; {original} is equal and labelled `{class}`");
            problems.push(view.sample(copy, "conflicting-labels", Severity::Error, detail));
        }
    }
    problems
}
