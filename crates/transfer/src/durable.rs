//! Files that are either whole or absent, whatever happens while they are written.
//!
//! Every file is written under a temporary name in its own folder, synced, renamed, and the folder
//! is synced, so that a crash or a full disk leaves the previous content under the final name.

#[cfg(test)]
pub mod faults;
mod growing;

pub use growing::Growing;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use offshoot_nn::Params;
use offshoot_weights::{Precision, Safetensors};

use crate::{Result, TransferError};

/// Beginning of the names of unfinished files; [`crate::runs::gc`] removes those left by a crash.
pub const TEMPORARY_PREFIX: &str = ".offshoot-tmp-";

/// Stands before every call to the operating system that changes something. Tests let the n-th fail.
#[cfg(not(test))]
fn call() -> io::Result<()> {
    Ok(())
}
#[cfg(test)]
use faults::call;

fn sync(file: &File) -> io::Result<()> {
    call()?;
    // Tests of failing disks write much and lose no power.
    #[cfg(test)]
    if faults::are_tested() {
        return Ok(());
    }
    file.sync_all()
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    let attempt = || call().and_then(|()| fs::create_dir_all(path));
    attempt().map_err(|e| TransferError::io(path, e))
}

/// Makes a folder that must be new; whether it was.
pub fn reserve_dir(path: &Path) -> Result<bool> {
    match call().and_then(|()| fs::create_dir(path)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(TransferError::io(path, e)),
    }
}

/// A new folder in `parent` with a temporary name; it goes with the value unless it is kept.
pub fn temporary_dir(parent: &Path) -> Result<tempfile::TempDir> {
    let attempt = || {
        call()?;
        tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(parent)
    };
    attempt().map_err(|e| TransferError::io(parent, e))
}

/// Removes a folder with everything in it.
pub fn remove_dir(path: &Path) -> Result<()> {
    let attempt = || call().and_then(|()| fs::remove_dir_all(path));
    attempt().map_err(|e| TransferError::io(path, e))
}

/// Replaces `path` by `bytes`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, bytes.len() as u64, |w| w.write_all(bytes))
}

/// Replaces `path` by pretty-printed JSON with a final newline.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|e| TransferError::Internal(format!("{}: {e}", path.display())))?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Replaces `path` by a safetensors file; returns its SHA-256.
pub fn write_params(
    path: &Path,
    params: &Params,
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<String> {
    let file = Safetensors::new(path, params, metadata, precision)?;
    write_with(path, file.bytes(), |w| file.write(w))
}

/// Replaces `path` by what `fill` writes. `expected` is the number of bytes that will come, named
/// in the error when the disk is full.
pub fn write_with<T>(
    path: &Path,
    expected: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> Result<T> {
    let parent = parent(path);
    let attempt = || -> io::Result<T> {
        call()?;
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent)?;
        let mut writer = io::BufWriter::with_capacity(1 << 16, Called(temporary));
        let filled = fill(&mut writer)?;
        let Called(temporary) = writer.into_inner().map_err(|e| e.into_error())?;
        sync(temporary.as_file())?;
        readable_by_all(temporary.as_file())?;
        call()?;
        temporary.persist(path).map_err(|e| e.error)?;
        sync_dir(parent)?;
        Ok(filled)
    };
    attempt().map_err(|e| TransferError::io_writing(path, e, expected))
}

/// Gives a folder whose files are synced its final name.
pub fn rename_dir(from: &Path, to: &Path) -> Result<()> {
    let parent = parent(to);
    let attempt = || -> io::Result<()> {
        sync_dir(from)?;
        call()?;
        fs::rename(from, to)?;
        sync_dir(parent)
    };
    attempt().map_err(|e| TransferError::io(to, e))
}

/// A file whose writes are announced.
struct Called<W>(W);

impl<W: Write> Write for Called<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(refused) = call() {
            // As on a disk that fills up: a part of it is there.
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            return Err(refused);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Temporary files are private by default; a finished file follows the usual 0644.
fn readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        call()?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere the rename itself must do.
    #[cfg(unix)]
    sync(&File::open(dir)?)?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write(&path, b"old").unwrap();
        let error = write_with(&path, 99, |w| -> io::Result<()> {
            w.write_all(b"half of the new")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains("99 bytes needed"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_into_a_missing_folder_names_the_file() {
        let error = write(Path::new("/nonexistent/offshoot/x"), b"1").unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/offshoot/x:"), "{error}");
    }
}
