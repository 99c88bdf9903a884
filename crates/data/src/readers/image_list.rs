//! Pictures named one by one, without labels: what `predict` takes.

use std::path::{Path, PathBuf};

use crate::{DataError, Dataset, Input, Result, Sample};

use super::walk::pictures_below;

/// An unlabelled data set of the files in `paths` and of all pictures below the folders in it.
///
/// The order is that of `paths`, sorted inside a folder. A file's id is its path as given. Files
/// are not opened, so an unreadable one shows when it is decoded.
///
/// # Errors
/// [`DataError::Io`] if a path does not exist or a folder cannot be listed.
pub fn images<P: AsRef<Path>>(paths: &[P]) -> Result<Dataset> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if std::fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
            files.extend(pictures_below(path)?);
        } else {
            files.push(path.to_path_buf());
        }
    }
    let samples = files
        .into_iter()
        .map(|file| Sample {
            id: file.to_string_lossy().into_owned(),
            input: Input::File(file),
            label: None,
            split: None,
            domain: None,
            group: None,
        })
        .collect();
    Ok(Dataset { name: "images".to_owned(), classes: Vec::new(), samples, notes: Vec::new() })
}
