//! Manifest rows whose picture is not below the manifest's folder.

use std::path::{Component, Path};

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "outside_folder",
    kinds: &["outside-folder"],
    about: "rows of a manifest that lead out of its folder; the data set cannot be moved as one",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    // Without labels this is a list of files, which may be anywhere.
    if view.dataset.classes.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (i, sample) in view.dataset.samples.iter().enumerate() {
        if leads_out(Path::new(&sample.id)) {
            let detail = "the path leads out of the data set's folder".to_owned();
            problems.push(view.sample(i, "outside-folder", Severity::Note, detail));
        }
    }
    problems
}

fn leads_out(path: &Path) -> bool {
    let mut depth = 0i64;
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return true,
            Component::CurDir => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
