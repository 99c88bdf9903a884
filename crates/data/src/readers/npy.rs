//! One numpy array (NEP 1, `numpy.lib.format`), versions 1 to 3.

use std::io::Read;

use crate::{DataError, Result};

use super::gzip;

const MAX_HEADER: usize = 64 << 10;
/// Characters of a header that an error quotes.
const SHOWN_HEADER: usize = 120;
const MAX_DIMENSIONS: usize = 8;

/// What the elements of an array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    Unsigned,
    Signed,
    Float,
    /// UTF-32 code units.
    Text,
    /// Bytes, padded with zeros.
    Bytes,
}

/// An array in row-major order and little-endian bytes.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
    /// Bytes of one element.
    size: usize,
    pub(super) bytes: Vec<u8>,
}

/// Reads an array; `packed` is the number of bytes that it takes on disk.
pub(super) fn read(place: &str, reader: &mut dyn Read, packed: u64, cap: u64) -> Result<Array> {
    let bad = |detail: String| DataError::malformed(place, format!("npy array: {detail}"));
    let start = gzip::read_exactly(place, reader, 8)?;
    if start[..6] != *b"\x93NUMPY" {
        return Err(bad("does not begin with \\x93NUMPY".to_owned()));
    }
    let header_size = match start[6] {
        1 => {
            let b = gzip::read_exactly(place, reader, 2)?;
            usize::from(u16::from_le_bytes([b[0], b[1]]))
        }
        2 | 3 => {
            let b = gzip::read_exactly(place, reader, 4)?;
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize
        }
        other => return Err(bad(format!("format version {other}; expected 1 to 3"))),
    };
    if header_size > MAX_HEADER {
        return Err(bad(format!("a header of {header_size} bytes")));
    }
    let header = gzip::read_exactly(place, reader, header_size)?;
    let header = String::from_utf8_lossy(&header);
    let shown = || header.trim().chars().take(SHOWN_HEADER).collect::<String>();
    let header = parse_header(&header).map_err(|why| bad(format!("{why} in `{}`", shown())))?;
    let n = header.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
    let total = n
        .and_then(|n| n.checked_mul(header.size as u64))
        .ok_or_else(|| bad(format!("shape {:?} overflows", header.shape)))?;
    let total = gzip::checked_size(place, total, packed, cap)?;
    let mut bytes = gzip::read_exactly(place, reader, total)?;
    if header.big_endian {
        let unit = if header.element == Element::Text { 4 } else { header.size };
        bytes.chunks_exact_mut(unit.max(1)).for_each(<[u8]>::reverse);
    }
    if header.column_major && header.shape.len() > 1 {
        bytes = row_major(&header.shape, header.size, &bytes);
    }
    Ok(Array { shape: header.shape, element: header.element, size: header.size, bytes })
}

struct Header {
    element: Element,
    size: usize,
    big_endian: bool,
    column_major: bool,
    shape: Vec<usize>,
}

/// Reads the three entries of the Python dictionary that numpy writes.
fn parse_header(text: &str) -> std::result::Result<Header, String> {
    let value_of = |key: &str| {
        let at = [format!("'{key}'"), format!("\"{key}\"")]
            .iter()
            .find_map(|quoted| Some(text.find(quoted.as_str())? + quoted.len()));
        let rest = text.get(at?..)?.trim_start().strip_prefix(':')?;
        Some(rest.trim_start())
    };
    let descr = value_of("descr").ok_or("no `descr`")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let quote = quote.ok_or("records are not supported")?;
    let descr = descr[1..].split(quote).next().unwrap_or_default();
    let order = value_of("fortran_order").ok_or("no `fortran_order`")?;
    let shape = value_of("shape").ok_or("no `shape`")?;
    let shape = shape.strip_prefix('(').ok_or("`shape` is no tuple")?;
    let shape = shape.split_once(')').ok_or("`shape` is no tuple")?.0;
    let shape: Vec<usize> = shape
        .split(',')
        .map(|d| d.trim().trim_end_matches('L'))
        .filter(|d| !d.is_empty())
        .map(|d| d.parse().map_err(|_| format!("`{d}` is no size")))
        .collect::<std::result::Result<_, String>>()?;
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!("{} dimensions", shape.len()));
    }
    let (element, size) = parse_descr(descr).ok_or(format!("type `{descr}` is not supported"))?;
    Ok(Header {
        element,
        size,
        big_endian: descr.starts_with('>'),
        column_major: order.starts_with("True"),
        shape,
    })
}

fn parse_descr(descr: &str) -> Option<(Element, usize)> {
    let descr = descr.trim_start_matches(['<', '>', '|', '=']);
    let kind = descr.chars().next()?;
    let size: usize = descr.get(kind.len_utf8()..)?.parse().ok()?;
    let (element, size) = match (kind, size) {
        ('b' | '?', 1) => (Element::Bool, 1),
        ('u', 1 | 2 | 4 | 8) => (Element::Unsigned, size),
        ('i', 1 | 2 | 4 | 8) => (Element::Signed, size),
        ('f', 4 | 8) => (Element::Float, size),
        ('U', 1..=65_536) => (Element::Text, 4 * size),
        ('S', 1..=65_536) => (Element::Bytes, size),
        _ => return None,
    };
    Some((element, size))
}

/// Column-major to row-major order.
fn row_major(shape: &[usize], size: usize, bytes: &[u8]) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    let mut index = vec![0usize; shape.len()];
    for _ in 0..bytes.len() / size.max(1) {
        let mut at = 0;
        for (&i, &d) in index.iter().zip(shape).rev() {
            at = at * d + i;
        }
        ordered.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for (i, &d) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < d {
                break;
            }
            *i = 0;
        }
    }
    ordered
}

impl Array {
    /// Number of elements along the first dimension.
    pub(super) fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The elements as bytes if they are whole numbers of 0..=255.
    pub(super) fn into_bytes(self) -> std::result::Result<Vec<u8>, String> {
        if self.element == Element::Unsigned && self.size == 1 {
            return Ok(self.bytes);
        }
        if self.element == Element::Float {
            return Err("images of floats; expected uint8 pixels 0..=255".to_owned());
        }
        self.integers()
            .map(|v| {
                let v = v.ok_or("expected uint8 pixels, found text")?;
                u8::try_from(v).map_err(|_| format!("a pixel of {v}; expected 0..=255"))
            })
            .collect()
    }

    /// The elements as floats if they are numbers.
    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        match self.element {
            Element::Text | Element::Bytes => None,
            Element::Float => Some(self.elements().map(|b| float(b) as f32).collect()),
            _ => self.integers().map(|v| Some(v? as f32)).collect(),
        }
    }

    /// The elements as labels; NaN and empty text are no label.
    pub(super) fn labels(&self) -> std::result::Result<Vec<Option<String>>, String> {
        match self.element {
            Element::Float => self
                .elements()
                .map(|b| match float(b) {
                    v if v.is_nan() => Ok(None),
                    v if v.fract() == 0.0 && v.abs() < 1e15 => Ok(Some(format!("{v:.0}"))),
                    v => Err(format!("a label of {v}; expected whole numbers or names")),
                })
                .collect(),
            Element::Text => Ok(self.elements().map(|b| named(utf32(b))).collect()),
            Element::Bytes => Ok(self
                .elements()
                .map(|b| {
                    let text = String::from_utf8_lossy(b);
                    named(text.trim_end_matches('\0').to_owned())
                })
                .collect()),
            _ => Ok(self.integers().map(|v| v.map(|v| v.to_string())).collect()),
        }
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.size.max(1))
    }

    fn integers(&self) -> impl Iterator<Item = Option<i128>> {
        self.elements().map(|b| {
            let mut wide = [0u8; 16];
            let signed = self.element == Element::Signed;
            let negative = signed && b.last().is_some_and(|&top| top >= 0x80);
            if negative {
                wide = [0xff; 16];
            }
            wide.get_mut(..b.len())?.copy_from_slice(b);
            let numeric = !matches!(self.element, Element::Text | Element::Bytes | Element::Float);
            numeric.then(|| i128::from_le_bytes(wide))
        })
    }
}

fn named(text: String) -> Option<String> {
    (!super::labels::is_missing(&text)).then_some(text)
}

fn float(bytes: &[u8]) -> f64 {
    match *bytes {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    }
}

fn utf32(bytes: &[u8]) -> String {
    bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .take_while(|&unit| unit != 0)
        .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
