//! Classes of very different sizes.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "imbalance",
    kinds: &["imbalance"],
    about: "one class much larger than another, so that accuracy misleads",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let sizes = view.class_sizes();
    let filled = || (0..sizes.len()).filter(|&c| sizes[c] > 0);
    let (Some(least), Some(most)) =
        (filled().min_by_key(|&c| sizes[c]), filled().max_by_key(|&c| sizes[c]))
    else {
        return Vec::new();
    };
    if (sizes[most] as f64) < view.options.imbalance * sizes[least] as f64 {
        return Vec::new();
    }
    let classes = &view.dataset.classes;
    let detail = format!(
        "class `{}` has {} samples and class `{}` has {}",
        classes[most], sizes[most], classes[least], sizes[least]
    );
    vec![problem(&classes[least], "imbalance", Severity::Warning, detail)]
}
