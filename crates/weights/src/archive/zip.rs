//! Reads zip archives: stored and deflated members, zip64, no encryption.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::Source;
use crate::error::shown;
use crate::{Result, WeightsError};

/// The table of members may take this much; 40,000 members fit.
const MAX_DIRECTORY: u64 = 4 << 20;
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// One file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where its bytes start in the archive.
    pub(crate) offset: u64,
    /// Bytes in the archive.
    pub(crate) packed: u64,
    /// Bytes when unpacked, as declared.
    pub size: u64,
    pub(crate) deflated: bool,
    crc: u32,
}

/// An opened archive.
pub struct Zip<'a> {
    source: Source<'a>,
    members: BTreeMap<String, Member>,
}

impl<'a> Zip<'a> {
    /// Reads the table of members.
    ///
    /// # Errors
    /// On a damaged table, encryption, methods other than stored and deflate, two members of one
    /// name, and members whose bytes overlap or leave the file.
    pub fn open(mut source: Source<'a>) -> Result<Self> {
        let (offset, len, count) = directory(&mut source)?;
        if len > MAX_DIRECTORY {
            return Err(source.refuse(format!("zip table of {len} bytes, at most {MAX_DIRECTORY}")));
        }
        let table = source.bytes(offset, len)?;
        let mut members = BTreeMap::new();
        let mut rest = Fields(&table);
        for _ in 0..count {
            let (name, member) = rest
                .central()
                .ok_or_else(|| source.refuse("zip table is damaged"))?
                .map_err(|detail| source.refuse(detail))?;
            if members.insert(name.clone(), member).is_some() {
                return Err(source.refuse(format!("two zip members named `{}`", shown(&name))));
            }
        }
        locate(&mut source, &mut members, offset)?;
        Ok(Self { source, members })
    }

    /// Member names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// A member's bytes, with its checksum verified.
    ///
    /// # Errors
    /// When there is no such member, it unpacks to more than `limit` bytes, or it is damaged.
    pub fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let place = format!("{}:{}", self.source.place(), shown(name));
        let refuse = |detail: String| WeightsError::refused(place.clone(), detail);
        let Some(member) = self.members.get(name).cloned() else {
            return Err(refuse("no such zip member".into()));
        };
        if member.size > limit {
            return Err(refuse(format!("unpacks to {} bytes, at most {limit}", member.size)));
        }
        let bytes = if member.deflated {
            let packed = self.source.read_from(member.offset)?.take(member.packed);
            // Deflate shrinks at most 1032 times, so a larger declared size is not believed.
            let plausible = member.size.min(member.packed.saturating_mul(1040));
            let mut bytes = Vec::with_capacity(plausible as usize);
            DeflateDecoder::new(packed)
                .take(member.size + 1)
                .read_to_end(&mut bytes)
                .map_err(|e| refuse(format!("damaged deflate data: {e}")))?;
            bytes
        } else {
            self.source.bytes(member.offset, member.packed)?
        };
        if bytes.len() as u64 != member.size {
            return Err(refuse(format!("declares {} bytes and holds others", member.size)));
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() != member.crc {
            return Err(refuse("checksum does not match: the file is damaged".into()));
        }
        Ok(bytes)
    }

    /// The file below.
    pub(crate) fn into_source(self) -> Source<'a> {
        self.source
    }
}

/// Offset, length and number of entries of the central directory.
fn directory(source: &mut Source<'_>) -> Result<(u64, u64, u64)> {
    // The end record is 22 bytes and a comment of up to 65,535.
    let tail_len = source.len().min(22 + 65_535);
    let tail_start = source.len() - tail_len;
    let tail = source.bytes(tail_start, tail_len)?;
    let position = (0..tail.len().saturating_sub(21)).rev().find(|&i| tail[i..].starts_with(&END));
    let Some(position) = position else {
        return Err(source.refuse("zip archive without its end record: truncated"));
    };
    let mut end = Fields(&tail[position + 8..]);
    let damaged = "zip end record is damaged";
    let (Some(_here), Some(count), Some(len), Some(offset)) =
        (end.u16(), end.u16(), end.u32(), end.u32())
    else {
        return Err(source.refuse(damaged));
    };
    if count != u16::MAX && len != u32::MAX && offset != u32::MAX {
        return Ok((offset.into(), len.into(), count.into()));
    }
    // Zip64: a locator of 20 bytes lies before the end record and points at the long one.
    let locator_start = (tail_start + position as u64).checked_sub(20);
    let locator_start = locator_start.ok_or_else(|| source.refuse(damaged))?;
    let locator = source.bytes(locator_start, 20)?;
    let mut locator = Fields(&locator);
    let found = locator.take(4) == Some(&LOCATOR_64) && locator.u32().is_some();
    let long_start = locator.u64().filter(|_| found).ok_or_else(|| source.refuse(damaged))?;
    let long = source.bytes(long_start, 56)?;
    let mut long = Fields(&long);
    let found = long.take(4) == Some(&END_64) && long.take(28).is_some();
    match (long.u64(), long.u64(), long.u64()) {
        (Some(count), Some(len), Some(offset)) if found => Ok((offset, len, count)),
        _ => Err(source.refuse(damaged)),
    }
}

/// Turns offsets of local headers into offsets of data, and checks that no two members share bytes.
fn locate(
    source: &mut Source<'_>,
    members: &mut BTreeMap<String, Member>,
    directory: u64,
) -> Result<()> {
    let mut spans = Vec::with_capacity(members.len());
    for (name, member) in members.iter_mut() {
        let start = member.offset;
        let header = source.bytes(start, 30)?;
        let mut fields = Fields(&header);
        if fields.take(4) != Some(&LOCAL) {
            return Err(source.refuse(format!("zip member `{}` has no header", shown(name))));
        }
        let name_len = u16::from_le_bytes([header[26], header[27]]);
        let extra_len = u16::from_le_bytes([header[28], header[29]]);
        member.offset = start + 30 + u64::from(name_len) + u64::from(extra_len);
        match member.offset.checked_add(member.packed) {
            Some(end) if end <= directory => spans.push((start, end, name)),
            _ => {
                let detail = format!("zip member `{}` leaves the archive", shown(name));
                return Err(source.refuse(detail));
            }
        }
    }
    spans.sort_unstable();
    for pair in spans.windows(2) {
        if pair[1].0 < pair[0].1 {
            let (a, b) = (shown(pair[0].2), shown(pair[1].2));
            return Err(source.refuse(format!("zip members `{a}` and `{b}` overlap")));
        }
    }
    Ok(())
}

/// Little-endian fields, taken from the front.
struct Fields<'t>(&'t [u8]);

impl<'t> Fields<'t> {
    fn take(&mut self, n: usize) -> Option<&'t [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// One entry of the central directory; `offset` is still that of the local header.
    fn central(&mut self) -> Option<std::result::Result<(String, Member), String>> {
        if self.take(4)? != CENTRAL {
            return None;
        }
        self.take(4)?;
        let flags = self.u16()?;
        let method = self.u16()?;
        self.take(4)?;
        let crc = self.u32()?;
        let (packed, size) = (self.u32()?, self.u32()?);
        let (name_len, extra_len, comment_len) = (self.u16()?, self.u16()?, self.u16()?);
        self.take(8)?;
        let offset = self.u32()?;
        let name = String::from_utf8_lossy(self.take(name_len.into())?).into_owned();
        let extra = self.take(extra_len.into())?;
        self.take(comment_len.into())?;
        if flags & 1 != 0 {
            return Some(Err(format!("zip member `{}` is encrypted", shown(&name))));
        }
        if method != 0 && method != 8 {
            let name = shown(&name);
            return Some(Err(format!("zip member `{name}` uses method {method}, not deflate")));
        }
        let (size, packed, offset) = wide(extra, size, packed, offset)?;
        let deflated = method == 8;
        if !deflated && size != packed {
            return Some(Err(format!("stored zip member `{}` has two sizes", shown(&name))));
        }
        Some(Ok((name, Member { offset, packed, size, deflated, crc })))
    }
}

/// Sizes and offset, taken from the zip64 field where the 32-bit ones are full.
fn wide(extra: &[u8], size: u32, packed: u32, offset: u32) -> Option<(u64, u64, u64)> {
    let mut extra = Fields(extra);
    let mut long = Fields(&[]);
    while let (Some(id), Some(len)) = (extra.u16(), extra.u16()) {
        let data = extra.take(len.into())?;
        if id == 1 {
            long = Fields(data);
        }
    }
    let mut widen = |short: u32| match short {
        u32::MAX => long.u64(),
        _ => Some(short.into()),
    };
    Some((widen(size)?, widen(packed)?, widen(offset)?))
}
