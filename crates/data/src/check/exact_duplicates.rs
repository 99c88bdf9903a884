//! The same picture or text more than once, by SHA-256 of file and of decoded pixels, or of the
//! text without case and layout.

use super::{Check, Problem, Severity, View, part_name};

pub(super) const CHECK: Check = Check {
    name: "exact_duplicates",
    kinds: &["duplicate", "leak"],
    about: "the same picture or text twice; in two parts, it makes test figures look better than they are",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for set in view.equal {
        // The training part comes first, so that the copy in the test part is the one named.
        let mut set = set.clone();
        set.sort_by_key(|&i| (view.split_of(i), i));
        let first = set[0];
        for &copy in &set[1..] {
            let same_file = view.looks[copy].bytes.is_some()
                && view.looks[copy].bytes == view.looks[first].bytes;
            let what = if same_file { "file" } else { "content" };
            let original = &view.dataset.samples[first].id;
            let (here, there) = (view.split_of(copy), view.split_of(first));
            problems.push(if here == there {
                let detail = format!("same {what} as {original}");
                view.sample(copy, "duplicate", Severity::Warning, detail)
            } else {
                let (here, there) = (part_name(here), part_name(there));
                let detail = format!("in {here}; same {what} as {original} in {there}");
                view.sample(copy, "leak", Severity::Error, detail)
            });
        }
    }
    problems
}
