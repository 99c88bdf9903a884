//! IDX, the format of MNIST and its family (LeCun, Cortes & Burges 1998).
//!
//! A big-endian header `00 00 type ndim`, `ndim` sizes of four bytes, then the values.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{DataError, Dataset, Input, PixelStore, Result, Sample, Split};

use super::{ReadOptions, gzip, labels, name_of};

const UNSIGNED_BYTE: u8 = 8;

/// The parts' prefixes, and the ids' too: `train-images#17`.
const PARTS: [(&str, Split); 2] = [("train", Split::Train), ("t10k", Split::Test)];

pub(super) fn recognises(path: &Path) -> bool {
    if path.is_dir() {
        return PARTS.iter().any(|(part, _)| member(path, part, "images", 3).is_some());
    }
    file_name(path).contains("-images") && is_idx(path)
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut found = Vec::new();
    if path.is_dir() {
        for (part, split) in PARTS {
            if let Some(images) = member(path, part, "images", 3) {
                let labels = member(path, part, "labels", 1);
                found.push((format!("{part}-images"), Some(split), images, labels));
            }
        }
    } else {
        let name = file_name(path);
        let labels_name = name.replace("images", "labels").replace("idx3", "idx1");
        let labels = [
            path.with_file_name(&labels_name),
            path.with_file_name(labels_name.trim_end_matches(".gz")),
        ]
        .into_iter()
        .find(|p| p.is_file());
        let stem = name.split("-images").next().unwrap_or_default();
        // One file alone is all the data that there is, so it is not a given split.
        found.push((format!("{stem}-images"), None, path.to_path_buf(), labels));
    }

    let mut samples = Vec::new();
    let mut texts = Vec::new();
    for (prefix, split, images, labels_file) in found {
        let store = Arc::new(read_images(&images, options)?);
        let image_bytes = (store.height * store.width).max(1);
        let n = store.bytes.len() / image_bytes;
        match labels_file {
            Some(file) => texts.extend(read_labels(&file, n, options)?),
            None => texts.extend(std::iter::repeat_n(None, n)),
        }
        samples.extend((0..n).map(|index| Sample {
            id: format!("{prefix}#{index}"),
            input: Input::Pixels { store: Arc::clone(&store), index },
            label: None,
            split,
            domain: None,
            group: None,
        }));
    }
    let (classes, indices) = labels::index(&texts);
    for (sample, label) in samples.iter_mut().zip(indices) {
        sample.label = label;
    }
    Ok(Dataset { name: name_of(path), classes, samples, notes: Vec::new() })
}

fn read_images(path: &Path, options: &ReadOptions) -> Result<PixelStore> {
    let (sizes, bytes) = read_array(path, 3, options)?;
    if sizes[1] == 0 || sizes[2] == 0 {
        let detail = format!("images of {} × {} pixels", sizes[1], sizes[2]);
        return Err(DataError::malformed(path.display().to_string(), detail));
    }
    Ok(PixelStore { height: sizes[1], width: sizes[2], channels: 1, bytes })
}

fn read_labels(path: &Path, n: usize, options: &ReadOptions) -> Result<Vec<Option<String>>> {
    let (sizes, bytes) = read_array(path, 1, options)?;
    if sizes[0] != n {
        let detail = format!("{} labels for {n} images", sizes[0]);
        return Err(DataError::malformed(path.display().to_string(), detail));
    }
    Ok(bytes.iter().map(|b| Some(b.to_string())).collect())
}

/// Sizes and values of an array of `ndim` dimensions of bytes.
fn read_array(path: &Path, ndim: usize, options: &ReadOptions) -> Result<(Vec<usize>, Vec<u8>)> {
    let place = path.display().to_string();
    let packed = std::fs::metadata(path).map_err(DataError::io(path))?.len();
    let mut reader = gzip::open(path)?;
    let header = gzip::read_exactly(&place, &mut *reader, 4 + 4 * ndim)?;
    if header[..2] != [0, 0] || header[2] != UNSIGNED_BYTE || usize::from(header[3]) != ndim {
        let detail = format!(
            "expected an IDX header 00 00 08 {ndim:02x}, found {:02x} {:02x} {:02x} {:02x}",
            header[0], header[1], header[2], header[3]
        );
        return Err(DataError::malformed(place, detail));
    }
    let sizes: Vec<u64> = header[4..]
        .chunks_exact(4)
        .map(|b| u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])))
        .collect();
    let total = sizes
        .iter()
        .try_fold(1u64, |product, &size| product.checked_mul(size))
        .ok_or_else(|| DataError::malformed(&place, format!("sizes {sizes:?} overflow")))?;
    let total = gzip::checked_size(&place, total, packed, options.max_array_bytes)?;
    let bytes = gzip::read_exactly(&place, &mut *reader, total)?;
    // Each size came from 32 bits, so it fits.
    Ok((sizes.into_iter().map(|s| s as usize).collect(), bytes))
}

/// The file of a part, by the spellings in use: `-idx3-ubyte`, `.idx3-ubyte`, each with `.gz`.
fn member(folder: &Path, part: &str, what: &str, ndim: usize) -> Option<PathBuf> {
    ["-idx", ".idx"]
        .iter()
        .flat_map(|dot| ["", ".gz"].map(|gz| format!("{part}-{what}{dot}{ndim}-ubyte{gz}")))
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

fn is_idx(path: &Path) -> bool {
    let name = file_name(path);
    name.contains("idx3-ubyte")
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
