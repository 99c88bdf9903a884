//! Reads tar archives as a stream: ustar, GNU long names and pax paths.

use std::io::Read;
use std::ops::ControlFlow;

/// A long name may take this much.
const MAX_NAME: u64 = 4096;
/// A tar archive may hold this many members.
const MAX_MEMBERS: usize = 200_000;

/// Calls `each` with name, offset in the stream, length and contents of every regular member, until
/// it breaks. Contents that `each` leaves are skipped.
///
/// # Errors
/// What is wrong with the archive, in words; `each` may stop with words of its own.
pub fn members<B>(
    reader: &mut dyn Read,
    mut each: impl FnMut(&str, u64, u64, &mut dyn Read) -> Result<ControlFlow<B>, String>,
) -> Result<Option<B>, String> {
    let mut position = 0u64;
    let mut long_name = None;
    for _ in 0..MAX_MEMBERS {
        let mut header = [0u8; 512];
        match reader.read_exact(&mut header) {
            // Some writers leave the two closing blocks out.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| format!("cannot read tar header: {e}"))?,
        }
        position += 512;
        if header.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        verify(&header)?;
        let len = number(&header[124..136])?;
        let padded = len.checked_next_multiple_of(512).ok_or("tar member is too long")?;
        let mut contents = (&mut *reader).take(len);
        match header[156] {
            b'L' | b'x' => {
                let text = name_record(&mut contents, len)?;
                let name = match header[156] {
                    b'L' => Some(text.trim_end_matches('\0').to_owned()),
                    _ => pax_path(&text),
                };
                long_name = name.or(long_name);
            }
            b'0' | 0 => {
                let name = long_name.take().unwrap_or_else(|| ustar_name(&header));
                if let ControlFlow::Break(found) = each(&name, position, len, &mut contents)? {
                    return Ok(Some(found));
                }
            }
            // Links and folders have no contents that matter here.
            _ => long_name = None,
        }
        let rest = contents.limit() + (padded - len);
        let skipped = std::io::copy(&mut (&mut *reader).take(rest), &mut std::io::sink());
        match skipped {
            Ok(n) if n == rest => position += padded,
            Ok(_) => return Err("tar archive ends inside a member".into()),
            Err(e) => return Err(format!("cannot read tar member: {e}")),
        }
    }
    Err(format!("tar archive of more than {MAX_MEMBERS} members"))
}

/// Bytes of the member called `name`, or `None` when there is none.
///
/// # Errors
/// When the archive is damaged or the member is longer than `limit` bytes.
pub fn member(reader: &mut dyn Read, name: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    members(reader, |found, _, len, contents| {
        if found.strip_prefix("./").unwrap_or(found) != name {
            return Ok(ControlFlow::Continue(()));
        }
        if len > limit {
            return Err(format!("tar member of {len} bytes, at most {limit}"));
        }
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes).map_err(|e| format!("cannot read tar member: {e}"))?;
        if bytes.len() as u64 != len {
            return Err("tar archive ends inside a member".into());
        }
        Ok(ControlFlow::Break(bytes))
    })
}

/// Whether a file starts with a tar header.
pub(crate) fn looks_like_tar(start: &[u8]) -> bool {
    start.first_chunk::<512>().is_some_and(|header| verify(header).is_ok())
}

/// The header's checksum counts its own field as eight spaces.
fn verify(header: &[u8; 512]) -> Result<(), String> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(i, &b)| u64::from(if (148..156).contains(&i) { b' ' } else { b }))
        .sum();
    match number(&header[148..156]) {
        Ok(declared) if declared == sum => Ok(()),
        _ => Err("tar header with a wrong checksum".into()),
    }
}

/// Octal digits, or big-endian binary when the first bit is set.
fn number(field: &[u8]) -> Result<u64, String> {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().try_fold(u64::from(field[0] & 0x7f), |n, &b| {
            n.checked_mul(256)
                .map(|n| n + u64::from(b))
                .ok_or_else(|| "tar number is too large".into())
        });
    }
    let digits = field.iter().copied().skip_while(|b| *b == b' ');
    let mut value = 0u64;
    for b in digits.take_while(|b| !matches!(b, 0 | b' ')) {
        if !(b'0'..=b'7').contains(&b) {
            return Err("tar number is not octal".into());
        }
        value = value * 8 + u64::from(b - b'0');
    }
    Ok(value)
}

fn ustar_name(header: &[u8; 512]) -> String {
    let text = |field: &[u8]| {
        let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let name = text(&header[..100]);
    let prefix =
        if &header[257..262] == b"ustar" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn name_record(contents: &mut dyn Read, len: u64) -> Result<String, String> {
    if len > MAX_NAME {
        return Err(format!("tar name of {len} bytes, at most {MAX_NAME}"));
    }
    let mut bytes = Vec::new();
    contents.read_to_end(&mut bytes).map_err(|e| format!("cannot read tar name: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Records are `LEN KEY=VALUE\n`.
fn pax_path(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}
