//! Classes without a sample.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check =
    Check { name: "empty_class", kinds: &["empty-class"], about: "classes without a sample", run };

fn run(view: &View<'_>) -> Vec<Problem> {
    let empty = view.dataset.classes.iter().zip(view.class_sizes());
    empty
        .filter(|(_, size)| *size == 0)
        .map(|(class, _)| {
            let detail = format!("class `{class}` has no samples");
            problem(class, "empty-class", Severity::Warning, detail)
        })
        .collect()
}
