//! Classes that are tested but never trained.

use crate::Split;

use super::{Check, Problem, Severity, View, part_name, problem};

pub(super) const CHECK: Check = Check {
    name: "unseen_class",
    kinds: &["unseen-class"],
    about: "classes of the val or test part that the training part does not have",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let samples = &view.dataset.samples;
    let holds = |class: u32, part: Option<Split>| {
        let of = |s: &&crate::Sample| s.label == Some(class) && s.split == part;
        samples.iter().find(of).is_some()
    };
    let mut problems = Vec::new();
    for (class, name) in (0u32..).zip(&view.dataset.classes) {
        // Samples without a part can still become training samples.
        if holds(class, Some(Split::Train)) || holds(class, None) {
            continue;
        }
        for part in [Split::Val, Split::Test].map(Some) {
            if holds(class, part) {
                let part = part_name(part);
                let detail = format!("class `{name}` is in {part} but not in train");
                problems.push(problem(name, "unseen-class", Severity::Error, detail));
            }
        }
    }
    problems
}
