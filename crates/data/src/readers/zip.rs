//! The members of a zip archive, enough of it for npz: stored and deflated, sizes below 4 GiB and
//! zip64 (APPNOTE.TXT 6.3.10).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;

use crate::{DataError, Result};

const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// The end record with the longest comment.
const LONGEST_END: u64 = 22 + 65_535;
const MAX_DIRECTORY: u64 = 16 << 20;

/// One file inside an archive.
pub(super) struct Member {
    pub(super) name: String,
    method: u16,
    pub(super) packed: u64,
    offset: u64,
}

/// Lists the members of the archive at `path`.
pub(super) fn members(path: &Path) -> Result<Vec<Member>> {
    let place = path.display().to_string();
    let bad = |detail: &str| DataError::malformed(&place, format!("zip archive: {detail}"));
    let mut file = File::open(path).map_err(DataError::io(path))?;
    let length = file.metadata().map_err(DataError::io(path))?.len();
    let tail_length = length.min(LONGEST_END);
    let tail = read_at(&mut file, length - tail_length, tail_length as usize)
        .map_err(DataError::io(path))?;
    let end = (0..tail.len().saturating_sub(21))
        .rev()
        .find(|&i| tail[i..i + 4] == END)
        .ok_or_else(|| bad("no end record; the file is truncated or of another kind"))?;
    let end = &tail[end..];
    let directory_size = u64::from(u32_at(end, 12));
    let directory_offset = u64::from(u32_at(end, 16));
    if directory_size > MAX_DIRECTORY || directory_offset + directory_size > length {
        return Err(bad("the directory lies outside the file"));
    }
    let directory = read_at(&mut file, directory_offset, directory_size as usize)
        .map_err(DataError::io(path))?;

    let mut members = Vec::new();
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        if rest.len() < 46 || rest[..4] != ENTRY {
            return Err(bad("a directory entry is malformed"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(rest, at)));
        let total = 46 + name + extra + comment;
        if rest.len() < total {
            return Err(bad("a directory entry is truncated"));
        }
        let mut member = Member {
            name: String::from_utf8_lossy(&rest[46..46 + name]).into_owned(),
            method: u16_at(rest, 10),
            packed: u64::from(u32_at(rest, 20)),
            offset: u64::from(u32_at(rest, 42)),
        };
        let unpacked = u32_at(rest, 24);
        zip64(&mut member, unpacked, &rest[46 + name..46 + name + extra]);
        if member.packed > length || member.offset > length {
            return Err(bad("a member lies outside the file"));
        }
        members.push(member);
        rest = &rest[total..];
    }
    Ok(members)
}

/// Replaces the fields that are all ones by those of the zip64 extra field, in its fixed order.
fn zip64(member: &mut Member, unpacked: u32, mut extra: &[u8]) {
    while extra.len() >= 4 {
        let (id, size) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(mut body) = extra.get(4..4 + size) else {
            return;
        };
        if id == 1 {
            let mut next = || {
                let (value, rest) = body.split_first_chunk::<8>()?;
                body = rest;
                Some(u64::from_le_bytes(*value))
            };
            if unpacked == u32::MAX {
                next();
            }
            if member.packed == u64::from(u32::MAX) {
                member.packed = next().unwrap_or(member.packed);
            }
            if member.offset == u64::from(u32::MAX) {
                member.offset = next().unwrap_or(member.offset);
            }
        }
        extra = &extra[4 + size..];
    }
}

/// A stream of a member's unpacked bytes.
pub(super) fn open(path: &Path, member: &Member) -> Result<Box<dyn Read>> {
    let place = format!("{}:{}", path.display(), member.name);
    let mut file = File::open(path).map_err(DataError::io(path))?;
    let local = read_at(&mut file, member.offset, 30).map_err(DataError::io(path))?;
    if local[..4] != LOCAL {
        return Err(DataError::malformed(place, "zip member without a header"));
    }
    let skip = u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
    file.seek(SeekFrom::Start(member.offset + 30 + skip)).map_err(DataError::io(path))?;
    let bytes = BufReader::new(file).take(member.packed);
    match member.method {
        0 => Ok(Box::new(bytes)),
        8 => Ok(Box::new(DeflateDecoder::new(bytes))),
        other => Err(DataError::malformed(
            place,
            format!("zip method {other} is not supported; expected stored or deflated"),
        )),
    }
}

fn read_at(file: &mut File, offset: u64, size: usize) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
