//! From files to a [`Dataset`]: one reader a form, chosen by looking at what is there.

mod gzip;
mod idx;
mod image_folder;
mod image_list;
mod labels;
mod manifest;
mod npy;
mod numpy;
mod text_folder;
mod text_stream;
mod text_table;
mod text_tables;
mod walk;
mod zip;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset, Result};

pub use image_list::images;
pub use text_stream::TextStream;

/// How [`open`] reads.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The most bytes that one array of an IDX, npy or npz file may unpack to.
    pub max_array_bytes: u64,
    /// Which columns of a table of texts hold what; those that are not named are guessed.
    pub columns: ColumnNames,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { max_array_bytes: 8 << 30, columns: ColumnNames::default() }
    }
}

/// Names of the columns of a table of texts, as its header spells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnNames {
    /// The text. Where it is named, a table is one of texts, whatever other columns it has.
    pub text: Option<String>,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The class.
    pub label: Option<String>,
    /// `train`, `val` or `test`.
    pub split: Option<String>,
    /// Where the text was found.
    pub domain: Option<String>,
    /// Who wrote it, or whatever else must not straddle two splits.
    pub group: Option<String>,
}

/// One form that data comes in.
pub struct Reader {
    /// The name that messages and documentation use.
    pub name: &'static str,
    /// What it looks like on disk.
    pub form: &'static str,
    recognises: fn(&Path, &ReadOptions) -> bool,
    read: fn(&Path, &ReadOptions) -> Result<Dataset>,
}

/// All readers; the first that recognises a path reads it.
pub const READERS: &[Reader] = &[
    Reader {
        name: "idx",
        form: "a folder or file of the MNIST family: `train-images-idx3-ubyte[.gz]` and its labels",
        recognises: |path, _| idx::recognises(path),
        read: idx::read,
    },
    Reader {
        name: "npy",
        form: "`.npz` with `x`/`y`, `images`/`labels` or `x_train`/`y_train`/`x_test`/`y_test`, or one `.npy`",
        recognises: |path, _| numpy::recognises(path),
        read: numpy::read,
    },
    Reader {
        name: "manifest",
        form: "a CSV file `path,label[,split,domain,group]`",
        recognises: manifest::recognises,
        read: manifest::read,
    },
    Reader {
        name: "text-table",
        form: "a CSV, TSV, JSON lines or Parquet file `text,label`",
        recognises: text_table::recognises,
        read: text_table::read,
    },
    Reader {
        name: "text-tables",
        form: "a folder of such: `train.csv`, `test.csv`",
        recognises: text_tables::recognises,
        read: text_tables::read,
    },
    Reader {
        name: "text-folder",
        form: "`root/class/*.txt`",
        recognises: |path, _| text_folder::recognises(path),
        read: text_folder::read,
    },
    Reader {
        name: "image-folder",
        form: "`root/class/*` or `root/{train,val,test}/class/*`",
        recognises: |path, _| image_folder::recognises(path),
        read: image_folder::read,
    },
];

/// Reads the data set at `path`, whatever its form.
///
/// Samples come in a reproducible order and class names in the order of [`Dataset::classes`].
///
/// # Errors
/// [`DataError::Io`] if there is nothing to read, [`DataError::Malformed`] if a file breaks its
/// form's rules, [`DataError::Unusable`] if no reader knows the form or no sample is found.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    std::fs::metadata(path).map_err(DataError::io(path))?;
    let Some(reader) = READERS.iter().find(|r| (r.recognises)(path, options)) else {
        let forms: Vec<&str> = READERS.iter().map(|r| r.form).collect();
        return Err(DataError::Unusable(format!(
            "{}: not a form of data that can be read; expected one of: {}",
            path.display(),
            forms.join("; ")
        )));
    };
    let dataset = (reader.read)(path, options)?;
    if dataset.samples.is_empty() {
        return Err(DataError::Unusable(format!(
            "{}: no samples found (read as {}: {})",
            path.display(),
            reader.name,
            reader.form
        )));
    }
    Ok(dataset)
}

/// The name that a data set takes from its path.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let stem = if full.is_dir() { full.file_name() } else { full.file_stem() };
    stem.map_or_else(|| "data".to_owned(), |s| s.to_string_lossy().into_owned())
}

/// The file name's ending in lower case, without the dot.
fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
