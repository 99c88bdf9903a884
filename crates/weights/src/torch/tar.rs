//! The tar form: members `storages`, `tensors` and `pickle`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{Place, Places, state_dict, tensor};
use crate::Result;
use crate::archive::{Source, tar};
use crate::checkpoint::Collected;
use crate::error::shown;
use crate::pickle::{self, Arena, Handle, Input, Node, Storage, Tensor};

const MAX_RANK: u32 = 16;

pub(crate) fn read(source: &mut Source<'_>, collected: &mut Collected) -> Result<()> {
    let members = index(source)?;
    let start = |name: &str| {
        members.get(name).copied().ok_or_else(|| format!("a tar archive without `{name}`"))
    };
    let (storages_at, tensors_at, pickle_at) =
        match (start("storages"), start("tensors"), start("pickle")) {
            (Ok(storages), Ok(tensors), Ok(pickle)) => (storages, tensors, pickle),
            (Err(detail), ..) | (_, Err(detail), _) | (.., Err(detail)) => {
                return Err(source.refuse(format!("{detail}: not a PyTorch file")));
            }
        };
    let (kinds, places) = storages(source, storages_at)?;
    let views = tensors(source, tensors_at, &kinds)?;
    let mut arena = Arena::default();
    let place = format!("{}:pickle", source.place());
    let mut input = Input::new(place, source.read_from(pickle_at)?);
    let root = pickle::load(&mut input, &mut arena)?;
    let found = state_dict::find(&arena, root, &|id| views.get(id).cloned());
    let (found, notes) = found.map_err(|detail| source.refuse(detail))?;
    collected.notes.extend(notes);
    for (key, view) in found {
        tensor::collect(key, &view, &places, source, collected)?;
    }
    Ok(())
}

/// Offsets of the members by name.
fn index(source: &mut Source<'_>) -> Result<BTreeMap<String, u64>> {
    let mut members = BTreeMap::new();
    let walked = tar::members::<()>(source.read_from(0)?, |name, offset, _, _| {
        let name = name.strip_prefix("./").unwrap_or(name);
        match members.insert(name.to_owned(), offset) {
            Some(_) => Err(format!("two tar members named `{}`", shown(name))),
            None => Ok(ControlFlow::Continue(())),
        }
    });
    walked.map_err(|detail| source.refuse(detail))?;
    Ok(members)
}

/// Number of storages; for each `(key, device, type)`, its number of values and the values; then
/// views of storages, which this reader refuses as no known file has them.
fn storages(source: &mut Source<'_>, offset: u64) -> Result<(BTreeMap<String, Storage>, Places)> {
    let room = source.len() - offset;
    let place = format!("{}:storages", source.place());
    let mut input = Input::new(place, source.read_from(offset)?);
    let mut arena = Arena::default();
    let (mut kinds, mut places) = (BTreeMap::new(), Places::new());
    for _ in 0..count(&mut input, &mut arena)? {
        let entry = pickle::load(&mut input, &mut arena)?;
        let (key, dtype) = match arena.sequence(entry) {
            Some(&[key, _, kind]) => (identity(&arena, key), arena.storage_dtype(kind)),
            _ => (None, None),
        };
        let (Some(key), Some(dtype)) = (key, dtype) else {
            return Err(input.refuse("a storage without key and type"));
        };
        let numel = input.raw_u64()?;
        let len = numel.checked_mul(dtype.size() as u64);
        let len = len.filter(|len| input.position().checked_add(*len).is_some_and(|e| e <= room));
        let Some(len) = len else {
            return Err(input.refuse(format!("storage of {numel} values leaves the file")));
        };
        places.insert(key.clone(), Place::File(offset + input.position(), len));
        kinds.insert(key.clone(), Storage { key, dtype, numel, view: None });
        input.skip(len)?;
    }
    let views = pickle::load(&mut input, &mut arena)?;
    match arena.sequence(views) {
        Some([]) => Ok((kinds, places)),
        _ => Err(input.refuse("views of storages are not supported in tar files")),
    }
}

/// Number of tensors; for each `(key, storage, type)`, rank, sizes, strides and offset.
fn tensors(
    source: &mut Source<'_>,
    offset: u64,
    storages: &BTreeMap<String, Storage>,
) -> Result<BTreeMap<String, Tensor>> {
    let place = format!("{}:tensors", source.place());
    let mut input = Input::new(place, source.read_from(offset)?);
    let mut arena = Arena::default();
    let mut tensors = BTreeMap::new();
    for _ in 0..count(&mut input, &mut arena)? {
        let entry = pickle::load(&mut input, &mut arena)?;
        let (key, storage) = match arena.sequence(entry) {
            Some(&[key, storage, _]) => (identity(&arena, key), identity(&arena, storage)),
            _ => (None, None),
        };
        let storage = storage.and_then(|key| storages.get(&key)).cloned();
        let (Some(key), Some(storage)) = (key, storage) else {
            return Err(input.refuse("a tensor without key and storage"));
        };
        // The rank takes eight bytes, of which four count.
        let rank = (input.raw_u64()? & u64::from(u32::MAX)) as u32;
        if rank > MAX_RANK {
            return Err(input.refuse(format!("tensor of {rank} dimensions, at most {MAX_RANK}")));
        }
        let mut sizes = || (0..rank).map(|_| input.raw_u64()).collect::<Result<Vec<_>>>();
        let (shape, strides) = (sizes()?, sizes()?);
        let offset = input.raw_u64()?;
        tensors.insert(key, Tensor { storage, offset, shape, strides });
    }
    Ok(tensors)
}

fn count(input: &mut Input<'_>, arena: &mut Arena) -> Result<u64> {
    let count = pickle::load(input, arena)?;
    arena.size(count).ok_or_else(|| input.refuse("a number of entries expected"))
}

fn identity(arena: &Arena, handle: Handle) -> Option<String> {
    match arena.get(handle) {
        Node::Int(number) => Some(number.to_string()),
        Node::Text(text) => Some(text.to_string()),
        _ => None,
    }
}
