//! Pictures that EXIF turns; no fault, but other programs may show them otherwise.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "rotated",
    kinds: &["exif-rotation"],
    about: "pictures that are turned upright by their EXIF orientation",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        let orientation = look.shown.as_ref().map_or(1, |s| s.facts.orientation);
        if orientation > 1 {
            let detail = format!("turned upright by EXIF orientation {orientation}");
            problems.push(view.sample(i, "exif-rotation", Severity::Note, detail));
        }
    }
    problems
}
