//! The zip form: `NAME/data.pkl` and one member a storage, `NAME/data/KEY`.

use super::{Place, Places, state_dict, tensor};
use crate::Result;
use crate::archive::{Source, Zip};
use crate::checkpoint::Collected;
use crate::pickle::{self, Arena, Input};

/// A pickle of this many bytes is refused by the interpreter in any case.
const MAX_PICKLE: u64 = 8 << 20;

/// Reads every tensor into `collected` and gives the file back.
pub(crate) fn read<'a>(source: Source<'a>, collected: &mut Collected) -> Result<Source<'a>> {
    let place = source.place();
    let mut zip = Zip::open(source)?;
    let prefix = match prefix(&zip) {
        Ok(prefix) => prefix,
        Err(detail) => return Err(zip.into_source().refuse(detail)),
    };
    if let Some(order) = optional(&mut zip, &format!("{prefix}byteorder"))?
        && order.trim_ascii() != b"little"
    {
        return Err(zip.into_source().refuse("values are big-endian, which is not supported"));
    }
    let pickle = zip.read(&format!("{prefix}data.pkl"), MAX_PICKLE)?;
    let mut arena = Arena::default();
    let mut bytes = &pickle[..];
    let mut input = Input::new(format!("{place}:data.pkl"), &mut bytes);
    let root = pickle::load(&mut input, &mut arena)?;
    drop(pickle);
    let (tensors, notes) = match state_dict::find(&arena, root, &|_| None) {
        Ok(found) => found,
        Err(detail) => return Err(zip.into_source().refuse(detail)),
    };
    collected.notes.extend(notes);
    let mut places = Places::new();
    for found in tensors.values() {
        let key = &found.storage.key;
        if places.contains_key(key) {
            continue;
        }
        let name = format!("{prefix}data/{key}");
        if let Some(member) = zip.member(&name).cloned() {
            let place = if member.deflated {
                collected.claim(&name, member.size)?;
                Place::Memory(zip.read(&name, member.size)?)
            } else {
                Place::File(member.offset, member.size)
            };
            places.insert(key.clone(), place);
        }
    }
    let mut source = zip.into_source();
    for (key, found) in tensors {
        tensor::collect(key, &found, &places, &mut source, collected)?;
    }
    Ok(source)
}

/// The folder inside the archive, with its slash.
fn prefix(zip: &Zip<'_>) -> std::result::Result<String, String> {
    if zip.names().any(|name| name.ends_with("/constants.pkl") || name == "constants.pkl") {
        return Err("a TorchScript program; save its `state_dict()` instead".into());
    }
    let mut pickles = zip.names().filter_map(|name| name.strip_suffix("data.pkl"));
    let mut pickles = pickles.by_ref().filter(|folder| folder.is_empty() || folder.ends_with('/'));
    match (pickles.next(), pickles.next()) {
        (Some(folder), None) => Ok(folder.to_owned()),
        (None, _) => Err("a zip archive without `data.pkl`: not a PyTorch file".into()),
        (Some(_), Some(_)) => Err("a zip archive with two `data.pkl`".into()),
    }
}

fn optional(zip: &mut Zip<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    match zip.member(name) {
        Some(_) => zip.read(name, 64).map(Some),
        None => Ok(None),
    }
}
