//! Files whose name promises another format than they have; they are read all the same.

use std::path::Path;

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "wrong_ending",
    kinds: &["wrong-ending"],
    about: "a PNG called `.jpg`, and the like; it is read by its content",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        let Some(format) = look.shown.as_ref().and_then(|s| s.facts.format) else {
            continue;
        };
        let name = Path::new(&view.dataset.samples[i].id);
        let Some(ending) = name.extension() else {
            continue;
        };
        let ending = ending.to_string_lossy().to_lowercase();
        if !format.endings().contains(&ending.as_str()) {
            let detail = format!("the content is {}, the name ends in .{ending}", format.name());
            problems.push(view.sample(i, "wrong-ending", Severity::Warning, detail));
        }
    }
    problems
}
