//! Reads safetensors: eight bytes of length, a JSON header, then the values.

mod header;
pub(crate) mod write;

use std::collections::BTreeMap;

use crate::Result;
use crate::archive::Source;
use crate::checkpoint::{Collected, Fact};

/// Reads every tensor into `collected` and returns the header's metadata.
pub(crate) fn read(
    source: &mut Source<'_>,
    collected: &mut Collected,
) -> Result<BTreeMap<String, String>> {
    let header = header::read(source)?;
    for (key, entry) in header.tensors {
        let fact = Fact { dtype: entry.dtype, shape: entry.shape, contiguous: true };
        collected.add(key, fact, |_, values| {
            let mut inexact = 0;
            source.blocks(entry.start, entry.len, |block| {
                inexact += entry.dtype.append(block, values);
            })?;
            Ok(inexact)
        })?;
    }
    Ok(header.metadata)
}
