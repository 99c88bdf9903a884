//! Read-only memory maps behind a safe face.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A whole file mapped for reading.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps `path`. The files mapped here are written once, renamed into place and never changed,
    /// which is what makes the map's bytes stable.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the caller's files are immutable once they have their final name (see above); a
        // foreign process that truncates one all the same ends this process by a signal, which
        // loses no data, for whatever is written goes through temporary files.
        unsafe { memmap2::Mmap::map(&file) }.map(Self)
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

// Miri maps no files.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_map_holds_the_files_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"offshoot").unwrap();
        assert_eq!(&*Mapped::open(&path).unwrap(), b"offshoot");
        assert!(Mapped::open(&dir.path().join("absent")).is_err());
    }
}
