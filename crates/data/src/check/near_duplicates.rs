//! Re-encoded and resized copies across parts.
//!
//! Three looks, each stricter and on fewer pairs: 4 × 4 means in a window of similar total
//! brightness, thumbnails of 16 × 16, and details of 24 × 24 decoded anew.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::{Dataset, Input, Limits, decode};

use super::look::Look;
use super::thumbnail::{Thumbnail, detail, same_detail};
use super::{Check, Problem, Severity, View, part_name};

pub(super) const CHECK: Check = Check {
    name: "near_duplicates",
    kinds: &["near-leak"],
    about: "a re-encoded or resized copy of a picture in another part, or a text that differs from \
            one there in a few words",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for &(a, b) in view.alike {
        let (first, copy) =
            if (view.split_of(a), a) <= (view.split_of(b), b) { (a, b) } else { (b, a) };
        let (there, here) = (view.split_of(first), view.split_of(copy));
        // One original is enough to name.
        if here != there && named.insert(copy) {
            let original = &view.dataset.samples[first].id;
            let (here, there) = (part_name(here), part_name(there));
            let like = match &view.dataset.samples[copy].input {
                Input::Text(_) | Input::TextFile(_) => "reads almost as",
                _ => "looks like a copy of",
            };
            let detail = format!("in {here}; {like} {original} in {there}");
            problems.push(view.sample(copy, "near-leak", Severity::Error, detail));
        }
    }
    problems
}

/// Pairs (a, b), a < b, of pictures that look alike and are not equal; sorted.
pub(super) fn pairs(dataset: &Dataset, looks: &[Look], limits: &Limits) -> Vec<(usize, usize)> {
    let mut by_total: Vec<(u32, usize, &Thumbnail)> = looks
        .iter()
        .enumerate()
        .filter_map(|(i, look)| Some((i, &look.shown.as_ref()?.thumbnail)))
        .filter(|(_, thumbnail)| thumbnail.has_contrast())
        .map(|(i, thumbnail)| (thumbnail.total(), i, thumbnail))
        .collect();
    by_total.sort_by_key(|&(total, i, _)| (total, i));
    let mut candidates: Vec<(usize, usize)> = (0..by_total.len())
        .into_par_iter()
        .flat_map_iter(|at| {
            let (total, i, thumbnail) = by_total[at];
            let window = by_total[at + 1..]
                .iter()
                .take_while(move |other| other.0 - total <= Thumbnail::MAX_TOTAL);
            window
                .filter(move |other| thumbnail.may_resemble(other.2))
                .filter(move |other| thumbnail.resembles(other.2) && other.2.resembles(thumbnail))
                .map(move |other| (i.min(other.1), i.max(other.1)))
        })
        .filter(|&(a, b)| looks[a].content != looks[b].content)
        .collect();
    candidates.sort_unstable();

    let involved: BTreeSet<usize> = candidates.iter().flat_map(|&(a, b)| [a, b]).collect();
    let involved: Vec<usize> = involved.into_iter().collect();
    let details: BTreeMap<usize, Vec<u8>> = involved
        .par_iter()
        .filter_map(|&i| {
            let picture = decode(&dataset.samples[i].input, limits).ok()?;
            Some((i, detail(&picture)))
        })
        .collect();
    candidates.retain(|(a, b)| match (details.get(a), details.get(b)) {
        (Some(a), Some(b)) => same_detail(a, b),
        _ => false,
    });
    candidates
}
