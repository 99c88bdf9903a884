//! Unpacking with a cap, so that a small file cannot fill the memory.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{DataError, Result};

/// Up to this size, unpacked data is read whatever the ratio.
const FREE: u64 = 64 << 20;
/// Beyond [`FREE`], data that unpacks to more than this many times its size is refused. Deflate
/// reaches 1032 on zeros; MNIST stays below 6 and drawings below 100.
const MAX_RATIO: u64 = 250;

/// The size of what is unpacked, refused before anything is allocated.
///
/// # Errors
/// Names the limit that `size` bytes out of `packed` would break.
pub(super) fn checked_size(place: &str, size: u64, packed: u64, cap: u64) -> Result<usize> {
    if size > cap {
        let detail = format!("an array of {size} bytes is above the limit of {cap}");
        return Err(DataError::malformed(place, detail));
    }
    if size > FREE && size / MAX_RATIO > packed {
        let detail = format!(
            "{packed} bytes claim to hold {size}: more than {MAX_RATIO} times as many is refused"
        );
        return Err(DataError::malformed(place, detail));
    }
    usize::try_from(size)
        .map_err(|_| DataError::malformed(place, format!("{size} bytes cannot be addressed")))
}

/// Exactly `size` bytes from `reader`; memory grows with what arrives, not with what is claimed.
pub(super) fn read_exactly(place: &str, reader: &mut dyn Read, size: usize) -> Result<Vec<u8>> {
    // A first allocation of up to 64 MiB is cheap; a claim beyond that must be earned.
    let mut bytes = Vec::with_capacity(size.min(64 << 20));
    reader
        .take(size as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| DataError::malformed(place, format!("cannot be unpacked: {e}")))?;
    if bytes.len() < size {
        let detail = format!("truncated: {size} bytes expected, {} found", bytes.len());
        return Err(DataError::malformed(place, detail));
    }
    Ok(bytes)
}

/// A file's bytes, unpacked if they begin like gzip.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let mut magic = [0u8; 2];
    let mut file = std::fs::File::open(path).map_err(DataError::io(path))?;
    let is_gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = std::fs::File::open(path).map_err(DataError::io(path))?;
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}
