//! Class names that are probably meant to be one.

use std::collections::BTreeMap;

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "similar_names",
    kinds: &["similar-class-names"],
    about: "class names that differ only by case or whitespace",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut by_letters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for class in &view.dataset.classes {
        let letters = class.chars().filter(|c| !c.is_whitespace());
        let letters = letters.flat_map(char::to_lowercase).collect();
        by_letters.entry(letters).or_default().push(class);
    }
    let mut problems = Vec::new();
    for names in by_letters.values() {
        for other in &names[1..] {
            let detail = format!("`{other}` and `{}` differ only by case or whitespace", names[0]);
            problems.push(problem(other, "similar-class-names", Severity::Warning, detail));
        }
    }
    problems
}
