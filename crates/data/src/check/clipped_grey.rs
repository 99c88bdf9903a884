//! 16-bit grey pictures: values above 255 become white, as in Pillow.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "clipped_grey",
    kinds: &["clipped-grey"],
    about: "16-bit grey pictures, whose values above 255 are clipped as Pillow clips them",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if look.shown.as_ref().is_some_and(|s| s.facts.mode == "grey 16-bit") {
            let detail = "16-bit grey: values above 255 become white; scale the picture to 8 bits";
            problems.push(view.sample(i, "clipped-grey", Severity::Warning, detail.to_owned()));
        }
    }
    problems
}
