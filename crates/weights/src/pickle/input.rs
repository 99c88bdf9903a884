//! The bytes of a pickle, with bounded reads.

use std::io::{BufReader, ErrorKind, Read};

use crate::{Result, WeightsError};

/// One pickle may be this long; ten thousand tensors take about 2 MB.
const MAX_PICKLE: u64 = 8 << 20;
/// A line of the text protocol 0 may be this long.
const MAX_LINE: usize = 1 << 16;

/// A stream that may hold several pickles and raw data one after the other.
pub(crate) struct Input<'r> {
    place: String,
    reader: BufReader<&'r mut dyn Read>,
    position: u64,
    left: u64,
}

impl<'r> Input<'r> {
    pub(crate) fn new(place: String, reader: &'r mut dyn Read) -> Self {
        Self { place, reader: BufReader::new(reader), position: 0, left: MAX_PICKLE }
    }

    /// Bytes taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Allows another pickle of full length.
    pub(super) fn start(&mut self) {
        self.left = MAX_PICKLE;
    }

    pub(crate) fn refuse(&self, detail: impl std::fmt::Display) -> WeightsError {
        let place = self.place.clone();
        WeightsError::refused(place, format!("pickle, byte {}: {detail}", self.position))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) => Err(self.broken(e)),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Exactly `len` bytes; memory follows the bytes that arrive.
    pub(super) fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.claim(len)?;
        let mut bytes = Vec::new();
        match (&mut self.reader).take(len).read_to_end(&mut bytes) {
            Ok(n) if n as u64 == len => Ok(bytes),
            Ok(_) => Err(self.broken(ErrorKind::UnexpectedEof.into())),
            Err(e) => Err(self.broken(e)),
        }
    }

    /// A line without its newline, for the text opcodes of protocol 0.
    pub(super) fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                _ if line.len() == MAX_LINE => return Err(self.refuse("line is too long")),
                byte => line.push(byte),
            }
        }
    }

    /// Eight raw bytes between pickles, little-endian.
    pub(crate) fn raw_u64(&mut self) -> Result<u64> {
        self.start();
        self.array().map(u64::from_le_bytes)
    }

    /// Passes over raw data between pickles.
    pub(crate) fn skip(&mut self, len: u64) -> Result<()> {
        match std::io::copy(&mut (&mut self.reader).take(len), &mut std::io::sink()) {
            Ok(n) if n == len => {
                self.position += len;
                Ok(())
            }
            Ok(_) => Err(self.broken(ErrorKind::UnexpectedEof.into())),
            Err(e) => Err(self.broken(e)),
        }
    }

    fn claim(&mut self, len: u64) -> Result<()> {
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                self.position += len;
                Ok(())
            }
            None => Err(self.refuse(format!("pickle of more than {MAX_PICKLE} bytes"))),
        }
    }

    fn broken(&self, error: std::io::Error) -> WeightsError {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.refuse("the file ends here: truncated"),
            _ => self.refuse(error),
        }
    }
}
