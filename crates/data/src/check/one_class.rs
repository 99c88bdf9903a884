//! Data sets in which there is nothing to tell apart.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "one_class",
    kinds: &["one-class"],
    about: "data sets whose samples are all of one class",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let sizes = view.class_sizes();
    let mut filled = (0..sizes.len()).filter(|&c| sizes[c] > 0);
    match (filled.next(), filled.next()) {
        (Some(only), None) => {
            let class = &view.dataset.classes[only];
            let detail = format!("all labelled samples are of class `{class}`");
            vec![problem(class, "one-class", Severity::Error, detail)]
        }
        _ => Vec::new(),
    }
}
