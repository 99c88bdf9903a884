//! Classes that cannot be both trained and tested.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "one_sample_class",
    kinds: &["one-sample-class"],
    about: "classes of a single sample",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let classes = view.dataset.classes.iter().zip(view.class_sizes());
    classes
        .filter(|(_, size)| *size == 1)
        .map(|(class, _)| {
            let detail = format!("class `{class}` has one sample; it cannot be tested");
            problem(class, "one-sample-class", Severity::Warning, detail)
        })
        .collect()
}
