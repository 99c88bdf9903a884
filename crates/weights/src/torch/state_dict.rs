//! Finds the state dictionary in what people save.

use std::collections::BTreeMap;

use crate::error::shown;
use crate::pickle::{Arena, Handle, Node, Tensor};

/// Names under which training scripts nest the weights, the likelier first.
const NESTS: [&str; 6] = ["state_dict", "model_state_dict", "model", "net", "network", "weights"];
/// Checkpoint, task, model.
const MAX_DEPTH: usize = 3;

/// Tensors by key, and what a person should know about how they were found.
///
/// `resolve` turns a numbered reference into its tensor.
pub(super) fn find(
    arena: &Arena,
    root: Handle,
    resolve: &dyn Fn(&str) -> Option<Tensor>,
) -> Result<(BTreeMap<String, Tensor>, Vec<String>), String> {
    let mut notes = Vec::new();
    let mut here = root;
    for _ in 0..MAX_DEPTH {
        let Node::Dict(_) = arena.get(here) else {
            let kind = arena.get(here).kind();
            return Err(format!("expected a state dictionary, found {kind}"));
        };
        let entries = named(arena, here);
        let tensors: BTreeMap<String, Tensor> = entries
            .iter()
            .filter_map(|(&key, &value)| Some((key.to_owned(), tensor(arena, value, resolve)?)))
            .collect();
        if !tensors.is_empty() {
            let others: Vec<_> =
                entries.keys().filter(|key| !tensors.contains_key(**key)).collect();
            if let Some(first) = others.first() {
                let (n, first) = (others.len(), shown(first));
                notes.push(format!("skipped {n} entries that are not tensors (`{first}`, …)"));
            }
            return Ok((tensors, notes));
        }
        let (name, inner) = nest(arena, &entries, resolve)?;
        notes.push(format!("weights taken from the entry `{}`", shown(name)));
        here = inner;
    }
    Err("no tensors within three levels of dictionaries".into())
}

/// Entries under text keys; the last of equal keys counts.
fn named(arena: &Arena, dict: Handle) -> BTreeMap<&str, Handle> {
    match arena.get(dict) {
        Node::Dict(pairs) => pairs.iter().filter_map(|&(k, v)| Some((arena.text(k)?, v))).collect(),
        _ => BTreeMap::new(),
    }
}

fn tensor(
    arena: &Arena,
    handle: Handle,
    resolve: &dyn Fn(&str) -> Option<Tensor>,
) -> Option<Tensor> {
    match arena.get(handle) {
        Node::Tensor(tensor) => Some((**tensor).clone()),
        Node::Reference(id) => resolve(id),
        _ => None,
    }
}

/// The entry that holds the weights: a usual name, or the only dictionary with tensors in it.
fn nest<'a>(
    arena: &'a Arena,
    entries: &BTreeMap<&'a str, Handle>,
    resolve: &dyn Fn(&str) -> Option<Tensor>,
) -> Result<(&'a str, Handle), String> {
    let holds_tensors = |dict: Handle| match arena.get(dict) {
        Node::Dict(pairs) => {
            pairs.iter().any(|&(_, value)| tensor(arena, value, resolve).is_some())
        }
        _ => false,
    };
    let dicts: Vec<(&str, Handle)> = entries
        .iter()
        .map(|(&key, &value)| (key, value))
        .filter(|&(_, value)| matches!(arena.get(value), Node::Dict(_)))
        .collect();
    let filled: Vec<_> = dicts.iter().copied().filter(|&(_, dict)| holds_tensors(dict)).collect();
    let usual = |among: &[(&'a str, Handle)]| {
        NESTS.iter().find_map(|name| among.iter().copied().find(|(key, _)| key == name))
    };
    match &filled[..] {
        &[only] => Ok(only),
        [] => match (usual(&dicts), &dicts[..]) {
            (Some(entry), _) | (None, &[entry]) => Ok(entry),
            _ => Err("holds no tensors".into()),
        },
        _ => usual(&filled).ok_or_else(|| {
            let names: Vec<_> =
                filled.iter().take(8).map(|(key, _)| format!("`{}`", shown(key))).collect();
            format!("several entries could be the weights: {}", names.join(", "))
        }),
    }
}
