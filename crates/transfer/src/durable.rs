//! Files that are either whole or absent, whatever happens while they are written.
//!
//! Every file is written under a temporary name in its own folder, synced, renamed, and the folder
//! is synced, so that a crash or a full disk leaves the previous content under the final name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::{Result, TransferError};

/// Beginning of the names of unfinished files; [`crate::runs::gc`] removes those left by a crash.
pub const TEMPORARY_PREFIX: &str = ".offshoot-tmp-";

/// Makes a folder and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| TransferError::io(path, e))
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

/// Replaces `path` by what `fill` writes. `expected` is the number of bytes that will come, named
/// in the error when the disk is full.
pub fn write_with(
    path: &Path,
    expected: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let attempt = || -> io::Result<()> {
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent)?;
        let mut writer = io::BufWriter::with_capacity(1 << 16, temporary);
        fill(&mut writer)?;
        let temporary = writer.into_inner().map_err(|e| e.into_error())?;
        temporary.as_file().sync_all()?;
        readable_by_all(temporary.as_file())?;
        temporary.persist(path).map_err(|e| e.error)?;
        sync_dir(parent)
    };
    attempt().map_err(|e| TransferError::io_writing(path, e, expected))
}

/// Gives a folder whose files are synced its final name.
pub fn rename_dir(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        sync_dir(from)?;
        fs::rename(from, to)?;
        sync_dir(parent)
    };
    attempt().map_err(|e| TransferError::io(to, e))
}

/// Temporary files are private by default; a finished file follows the usual 0644.
fn readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere the rename itself must do.
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
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
        let error = write_with(&path, 99, |w| {
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
