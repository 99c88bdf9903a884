//! A file of known length, read at any place.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Result, WeightsError};

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A regular file, or bytes in memory. Errors name the place.
pub struct Source<'a> {
    path: PathBuf,
    len: u64,
    reader: Box<dyn ReadSeek + 'a>,
}

impl Source<'static> {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When the file cannot be opened, or is a folder, pipe or device.
    pub fn open(path: &Path) -> Result<Self> {
        // A pipe would block on opening, so its kind is asked first.
        let kind = std::fs::metadata(path).map_err(|e| WeightsError::io(path, e))?;
        if !kind.is_file() {
            return Err(WeightsError::refused(path.display().to_string(), "not a regular file"));
        }
        let file = File::open(path).map_err(|e| WeightsError::io(path, e))?;
        Ok(Self { path: path.to_path_buf(), len: kind.len(), reader: Box::new(file) })
    }
}

impl<'a> Source<'a> {
    /// Bytes in memory; `name` stands for the path in errors.
    pub fn from_bytes(name: &str, bytes: &'a [u8]) -> Self {
        let reader = Box::new(Cursor::new(bytes));
        Self { path: PathBuf::from(name), len: bytes.len() as u64, reader }
    }

    /// Length in bytes when opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name for messages.
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// An error that names this file.
    pub(crate) fn refuse(&self, detail: impl Into<String>) -> WeightsError {
        WeightsError::refused(self.place(), detail)
    }

    /// `len` bytes from `offset`; nothing is allocated when they lie outside the file.
    pub(crate) fn bytes(&mut self, offset: u64, len: u64) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        let mut bytes = vec![0; len as usize];
        self.seek(offset)?;
        self.reader.read_exact(&mut bytes).map_err(|e| WeightsError::io(&self.path, e))?;
        Ok(bytes)
    }

    /// Calls `each` on `len` bytes from `offset` in blocks of at most 256 KiB, a multiple of 8.
    pub(crate) fn blocks(
        &mut self,
        offset: u64,
        len: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<()> {
        const BLOCK: u64 = 1 << 18;
        self.check(offset, len)?;
        self.seek(offset)?;
        let mut block = vec![0; BLOCK.min(len) as usize];
        let mut left = len;
        while left > 0 {
            let part = &mut block[..BLOCK.min(left) as usize];
            self.reader.read_exact(part).map_err(|e| WeightsError::io(&self.path, e))?;
            each(part);
            left -= part.len() as u64;
        }
        Ok(())
    }

    /// The bytes from `offset` to the end, in order.
    pub(crate) fn read_from(&mut self, offset: u64) -> Result<&mut (dyn Read + 'a)> {
        self.seek(offset)?;
        Ok(&mut self.reader)
    }

    /// SHA-256 of the whole file, in lower-case hexadecimal.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn sha256(&mut self) -> Result<String> {
        let mut hash = Sha256::new();
        self.blocks(0, self.len, |block| hash.update(block))?;
        Ok(hexadecimal(&hash.finalize()))
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(self.refuse(format!(
                "bytes {offset}+{len} lie outside the file of {} bytes",
                self.len
            ))),
        }
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        let path = &self.path;
        self.reader.seek(SeekFrom::Start(offset)).map_err(|e| WeightsError::io(path, e))?;
        Ok(())
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
