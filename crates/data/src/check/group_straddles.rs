//! Groups (patients, videos) that lie in two parts.

use std::collections::{BTreeMap, BTreeSet};

use crate::Split;

use super::{Check, Problem, Severity, View, part_name, problem};

pub(super) const CHECK: Check = Check {
    name: "group_straddles",
    kinds: &["group-straddles"],
    about: "groups of which some samples are in one part and some in another",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut parts: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for sample in &view.dataset.samples {
        if let (Some(group), Some(split)) = (&sample.group, sample.split) {
            parts.entry(group).or_default().insert(split);
        }
    }
    parts
        .into_iter()
        .filter(|(_, parts)| parts.len() > 1)
        .map(|(group, parts)| {
            let parts: Vec<_> = parts.into_iter().map(|p| part_name(Some(p))).collect();
            let detail = format!("group `{group}` is in {}", parts.join(" and "));
            problem(group, "group-straddles", Severity::Error, detail)
        })
        .collect()
}
