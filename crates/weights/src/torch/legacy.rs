//! The legacy stream: magic number, protocol, system, objects, storage keys, then raw storages.

use super::{Place, Places, state_dict, tensor};
use crate::Result;
use crate::archive::Source;
use crate::checkpoint::Collected;
use crate::error::shown;
use crate::pickle::{self, Arena, Handle, Input, Node};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

pub(crate) fn read(source: &mut Source<'_>, collected: &mut Collected) -> Result<()> {
    let mut arena = Arena::default();
    let (root, places) = {
        let place = source.place();
        let file_len = source.len();
        let mut input = Input::new(place, source.read_from(0)?);
        let first = pickle::load(&mut input, &mut arena)?;
        if !matches!(arena.get(first), Node::Long(bytes) if **bytes == MAGIC) {
            return plain(&arena, first, source);
        }
        let protocol = pickle::load(&mut input, &mut arena)?;
        if !matches!(arena.get(protocol), Node::Int(1001)) {
            return Err(input.refuse("legacy protocol 1001 expected"));
        }
        let system = pickle::load(&mut input, &mut arena)?;
        check_order(&arena, system, &input)?;
        let root = pickle::load(&mut input, &mut arena)?;
        let keys = pickle::load(&mut input, &mut arena)?;
        let places = storages(&arena, keys, &mut input, file_len)?;
        (root, places)
    };
    let found = state_dict::find(&arena, root, &|_| None);
    let (tensors, notes) = found.map_err(|detail| source.refuse(detail))?;
    collected.notes.extend(notes);
    for (key, found) in tensors {
        tensor::collect(key, &found, &places, source, collected)?;
    }
    Ok(())
}

/// A pickle without PyTorch's frame has no storages.
fn plain(arena: &Arena, root: Handle, source: &Source<'_>) -> Result<()> {
    let kind = arena.get(root).kind();
    Err(source.refuse(format!("a plain pickle of {kind} without PyTorch's storages")))
}

/// `sys_info` tells the byte order of the machine that wrote.
fn check_order(arena: &Arena, system: Handle, input: &Input<'_>) -> Result<()> {
    let Node::Dict(pairs) = arena.get(system) else {
        return Err(input.refuse("system information expected"));
    };
    let little = pairs.iter().rev().find(|(key, _)| arena.text(*key) == Some("little_endian"));
    match little.map(|(_, value)| arena.get(*value)) {
        Some(Node::Bool(false)) => {
            Err(input.refuse("values are big-endian, which is not supported"))
        }
        _ => Ok(()),
    }
}

/// Each storage is its number of values in eight bytes, then the values, in the order of `keys`.
fn storages(arena: &Arena, keys: Handle, input: &mut Input<'_>, file_len: u64) -> Result<Places> {
    let mut declared = std::collections::BTreeMap::new();
    for storage in arena.storages() {
        let known = *declared.entry(&*storage.key).or_insert(storage.dtype);
        if known != storage.dtype {
            let key = shown(&storage.key);
            return Err(input.refuse(format!("storage `{key}` has two number formats")));
        }
    }
    let keys = arena.sequence(keys).ok_or_else(|| input.refuse("list of storages expected"))?;
    let mut places = Places::new();
    for &key in keys {
        let text = match arena.get(key) {
            Node::Text(text) => text.to_string(),
            Node::Int(number) => number.to_string(),
            _ => return Err(input.refuse("a storage without a key")),
        };
        let Some(dtype) = declared.get(&*text) else {
            return Err(input.refuse(format!("storage `{}` belongs to no tensor", shown(&text))));
        };
        let numel = input.raw_u64()?;
        let len = numel.checked_mul(dtype.size() as u64);
        let len =
            len.filter(|len| input.position().checked_add(*len).is_some_and(|e| e <= file_len));
        let Some(len) = len else {
            return Err(input.refuse(format!(
                "storage `{}` of {numel} values leaves the file: truncated",
                shown(&text)
            )));
        };
        let place = Place::File(input.position(), len);
        if places.insert(text.clone(), place).is_some() {
            return Err(input.refuse(format!("storage `{}` comes twice", shown(&text))));
        }
        input.skip(len)?;
    }
    Ok(places)
}
