//! Files that grow while others read them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::{Called, call, sync};
use crate::{Result, TransferError};

/// A file that grows by whole records while others read it. Each record is one write; a process that is
/// killed leaves at most a part of one, and the next [`Growing::open`] cuts that off.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
}

impl Growing {
    /// Opens `path` to hold exactly `records`. What it begins with already stays where it is, so that whoever
    /// follows the file need not begin again; what differs is cut off, what is missing appended. `same` asks
    /// whether bytes of the file, as many as the record has, tell what the record does.
    pub fn open(
        path: &Path,
        records: &[Vec<u8>],
        same: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Self> {
        let attempt = || -> io::Result<File> {
            call()?;
            let mut options = File::options();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(path)?;
            let mut there = Vec::new();
            file.read_to_end(&mut there)?;
            let mut kept = 0;
            let mut told = 0;
            for record in records {
                let end = kept + record.len();
                if !there.get(kept..end).is_some_and(|bytes| same(bytes, record)) {
                    break;
                }
                kept = end;
                told += 1;
            }
            if kept < there.len() {
                call()?;
                file.set_len(kept as u64)?;
            }
            file.seek(io::SeekFrom::Start(kept as u64))?;
            let rest = records[told..].concat();
            if !rest.is_empty() {
                Called(&mut file).write_all(&rest)?;
            }
            Ok(file)
        };
        let bytes = records.iter().map(|record| record.len() as u64).sum();
        let file = attempt().map_err(|e| TransferError::io_writing(path, e, bytes))?;
        Ok(Self { path: path.into(), file })
    }

    /// Opens a file of lines, which must not hold line breaks.
    pub fn lines(path: &Path, lines: &[String]) -> Result<Self> {
        let records: Vec<Vec<u8>> = lines.iter().map(|line| ended(line)).collect();
        Self::open(path, &records, |a, b| a == b)
    }

    /// Appends a record.
    pub fn append(&mut self, record: &[u8]) -> Result<()> {
        Called(&mut self.file)
            .write_all(record)
            .map_err(|e| TransferError::io_writing(&self.path, e, record.len() as u64))
    }

    /// Appends a line, which must not hold a line break.
    pub fn append_line(&mut self, line: &str) -> Result<()> {
        self.append(&ended(line))
    }

    /// Waits until everything is on disk.
    pub fn sync(&mut self) -> Result<()> {
        sync(&self.file).map_err(|e| TransferError::io(&self.path, e))
    }
}

fn ended(line: &str) -> Vec<u8> {
    [line.as_bytes(), b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_that_are_there_stay_and_the_rest_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let lines = |n: usize| (0..n).map(|i| format!("line {i}")).collect::<Vec<_>>();
        let text = |n: usize| lines(n).iter().map(|l| format!("{l}\n")).collect::<String>();
        let read = || fs::read_to_string(&path).unwrap();
        let mut file = Growing::lines(&path, &lines(2)).unwrap();
        file.append_line("line 2").unwrap();
        assert_eq!(read(), text(3));
        // As after a kill: half a line, and lines that are told again.
        for before in ["", "li", "line 0\nline 1", "line 0\nline 10\n", &text(9)] {
            fs::write(&path, before).unwrap();
            Growing::lines(&path, &lines(2)).unwrap().append_line("line 2").unwrap();
            assert_eq!(read(), text(3), "{before:?}");
        }
        // Who follows the file sees the same file.
        use std::os::unix::fs::MetadataExt;
        let inode = || fs::metadata(&path).unwrap().ino();
        let before = inode();
        Growing::lines(&path, &lines(1)).unwrap();
        assert_eq!((inode(), read()), (before, text(1)));
    }
}
