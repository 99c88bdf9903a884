//! Markers and the tables that they carry.

use super::{Attempt, corrupt, exif, huffman::Table, truncated, unsupported};

/// Zigzag position to row-major position (T.81, figure 5).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A marker that the decoder acts on; the others are handled here.
pub(super) enum Marker<'a> {
    Frame { progressive: bool, body: &'a [u8] },
    Scan(&'a [u8]),
    End,
}

/// A position in the file and all that was read before it.
pub(super) struct Header<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
    quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// MCUs between restart markers; 0 for none.
    pub(super) restart_interval: usize,
    pub(super) is_jfif: bool,
    /// The transform that an Adobe marker names.
    pub(super) adobe: Option<u8>,
    pub(super) orientation: u8,
}

impl<'a> Header<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Header<'a> {
        Header {
            bytes,
            // Behind the start-of-image marker, by which the format was recognised.
            position: 2,
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart_interval: 0,
            is_jfif: false,
            adobe: None,
            orientation: 1,
        }
    }

    /// A quantisation table in row-major order.
    pub(super) fn quantisation(&self, number: usize) -> Attempt<&[u16; 64]> {
        self.quantisation
            .get(number)
            .and_then(Option::as_ref)
            .ok_or_else(|| corrupt("a quantisation table is missing"))
    }

    /// Reads on to the next frame header, scan or end.
    pub(super) fn next(&mut self) -> Attempt<Marker<'a>> {
        loop {
            let marker = self.marker()?;
            match marker {
                0xd9 => return Ok(Marker::End),
                // Markers without a body.
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let body = self.body()?;
            match marker {
                0xc0 | 0xc1 => {
                    return Ok(Marker::Frame { progressive: false, body });
                }
                0xc2 => {
                    return Ok(Marker::Frame { progressive: true, body });
                }
                0xc4 => self.huffman_tables(body)?,
                0xc3 | 0xc5..=0xc7 | 0xcb => return Err(unsupported("lossless or hierarchical")),
                0xc9..=0xcf => return Err(unsupported("arithmetic coding")),
                0xda => return Ok(Marker::Scan(body)),
                0xdb => self.quantisation_tables(body)?,
                0xdd => {
                    let value = body.first_chunk::<2>();
                    let value = value.ok_or_else(|| corrupt("a short restart interval"))?;
                    self.restart_interval = usize::from(u16::from_be_bytes(*value));
                }
                0xe0 => self.is_jfif |= body.starts_with(b"JFIF\0"),
                0xe1 => {
                    if let Some(orientation) = exif::orientation(body) {
                        self.orientation = orientation;
                    }
                }
                0xee if body.starts_with(b"Adobe") => self.adobe = body.get(11).copied(),
                _ => {}
            }
        }
    }

    /// The next marker's code; bytes before it are skipped, as libjpeg does.
    fn marker(&mut self) -> Attempt<u8> {
        loop {
            let rest = self.bytes.get(self.position..).unwrap_or_default();
            let at = rest.iter().position(|&b| b == 0xff).ok_or_else(truncated)?;
            let code = rest[at..].iter().position(|&b| b != 0xff).ok_or_else(truncated)?;
            self.position += at + code + 1;
            let code = rest[at + code];
            if code != 0 {
                return Ok(code);
            }
        }
    }

    fn body(&mut self) -> Attempt<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.first_chunk::<2>().ok_or_else(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(corrupt("a marker with a length below two"));
        }
        let body = rest.get(2..length).ok_or_else(truncated)?;
        self.position += length;
        Ok(body)
    }

    fn quantisation_tables(&mut self, mut body: &[u8]) -> Attempt<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let (wide, number) = (kind >> 4 != 0, usize::from(kind & 15));
            let size = if wide { 128 } else { 64 };
            let values = rest.get(..size);
            let values = values.ok_or_else(|| corrupt("a short quantisation table"))?;
            let mut table = [0u16; 64];
            for (i, &place) in ZIGZAG.iter().enumerate() {
                table[usize::from(place)] = if wide {
                    u16::from_be_bytes([values[2 * i], values[2 * i + 1]])
                } else {
                    u16::from(values[i])
                };
            }
            let slot = self.quantisation.get_mut(number);
            *slot.ok_or_else(|| corrupt("a quantisation table above 3"))? = Some(table);
            body = &rest[size..];
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut body: &[u8]) -> Attempt<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let short = || corrupt("a short Huffman table");
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let n = counts.iter().map(|&c| usize::from(c)).sum();
            let symbols = rest.get(..n).ok_or_else(short)?;
            let table = Table::new(counts, symbols)?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(corrupt("a Huffman table of unknown class")),
            };
            let slot = tables.get_mut(usize::from(kind & 15));
            *slot.ok_or_else(|| corrupt("a Huffman table above 3"))? = Some(table);
            body = &rest[n..];
        }
        Ok(())
    }
}
