//! Pictures too small to show anything.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check =
    Check { name: "tiny", kinds: &["tiny"], about: "pictures of very few pixels", run };

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        let Some(shown) = &look.shown else { continue };
        if shown.width.min(shown.height) < view.options.tiny {
            let detail = format!("{} × {} pixels", shown.width, shown.height);
            problems.push(view.sample(i, "tiny", Severity::Warning, detail));
        }
    }
    problems
}
