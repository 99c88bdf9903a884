//! Which files of a folder are pictures, in a reproducible order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::decode::Format;
use crate::{DataError, Result};

use super::extension;

/// Endings of picture files. Those that cannot be decoded are listed too, so that the data doctor
/// can name them instead of passing over them in silence.
const PICTURE_ENDINGS: &[&str] = &[
    "avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl", "pbm",
    "pgm", "png", "pnm", "ppm", "psd", "svg", "tga", "tif", "tiff", "webp",
];

/// Endings that are looked into no further: not pictures.
const OTHER_ENDINGS: &[&str] = &[
    "csv", "db", "htm", "html", "ini", "ipynb", "json", "jsonl", "log", "mat", "md", "npy", "npz",
    "pdf", "pkl", "py", "toml", "tsv", "txt", "xml", "yaml", "yml", "zip", "gz", "tar",
];

/// Folders deeper than this are not entered.
const MAX_DEPTH: usize = 32;

/// True for files that operating systems and archivers leave behind.
pub(super) fn is_litter(name: &str) -> bool {
    name.starts_with('.')
        || name.eq_ignore_ascii_case("thumbs.db")
        || name.eq_ignore_ascii_case("desktop.ini")
        || name == "__MACOSX"
}

/// A folder's entries that are not litter: (folders, files), each sorted by name.
pub(super) fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        if is_litter(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        // Most entries are no links, and the type that the listing gives is enough for them.
        let kind = entry.file_type().map_err(DataError::io(&path))?;
        let is_folder = kind.is_dir() || kind.is_symlink() && path.is_dir();
        let is_file = kind.is_file() || kind.is_symlink() && !is_folder;
        if is_folder {
            folders.push(path);
        } else if is_file {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

/// All pictures below a folder, as [`files_below`].
pub(super) fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>> {
    files_below(folder, is_picture)
}

/// All files below a folder for which `wanted` is true, sorted; symbolic links are followed, but
/// never in a circle.
pub(super) fn files_below(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut ancestors = BTreeSet::new();
    // A link back to the folder above would bring in the other classes.
    if let Some(above) = folder.parent().and_then(|p| p.canonicalize().ok()) {
        ancestors.insert(above);
    }
    visit(folder, 0, &wanted, &mut ancestors, &mut found)?;
    Ok(found)
}

fn visit(
    folder: &Path,
    depth: usize,
    wanted: &dyn Fn(&Path) -> bool,
    ancestors: &mut BTreeSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> Result<()> {
    let real = folder.canonicalize().map_err(DataError::io(folder))?;
    if depth > MAX_DEPTH || !ancestors.insert(real.clone()) {
        return Ok(());
    }
    let (folders, files) = entries(folder)?;
    found.extend(files.into_iter().filter(|f| wanted(f)));
    for inner in folders {
        visit(&inner, depth + 1, wanted, ancestors, found)?;
    }
    ancestors.remove(&real);
    Ok(())
}

/// Judged by the name's ending, or by the first bytes if the ending says nothing.
pub(super) fn is_picture(file: &Path) -> bool {
    let ending = extension(file);
    if PICTURE_ENDINGS.contains(&ending.as_str()) {
        return true;
    }
    !OTHER_ENDINGS.contains(&ending.as_str()) && Format::of_file(file).is_some()
}

/// Judged by the name's ending.
pub(super) fn is_text(file: &Path) -> bool {
    extension(file) == "txt"
}

/// `file` relative to `root`, with `/` between the parts on every system.
pub(super) fn relative_id(root: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = relative.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
