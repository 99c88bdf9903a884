//! numpy files: an `.npz` of images or vectors with labels, or a single `.npy`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::{DataError, Dataset, Input, PixelStore, Result, Sample, Split};

use super::npy::{self, Array, Element};
use super::{ReadOptions, extension, gzip, labels, name_of, zip};

/// How the arrays of a part are called: inputs, labels, the part.
const NAMES: &[(&[&str], &[&str], Option<Split>)] = &[
    (
        &["x_train", "train_images", "train_x"],
        &["y_train", "train_labels", "train_y"],
        Some(Split::Train),
    ),
    (
        &["x_val", "val_images", "val_x", "x_valid"],
        &["y_val", "val_labels", "val_y", "y_valid"],
        Some(Split::Val),
    ),
    (&["x_test", "test_images", "test_x"], &["y_test", "test_labels", "test_y"], Some(Split::Test)),
    (&["x", "images", "data", "features"], &["y", "labels", "label", "target", "targets"], None),
];

pub(super) fn recognises(path: &Path) -> bool {
    path.is_file() && matches!(extension(path).as_str(), "npy" | "npz")
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut found = Found::default();
    if extension(path) == "npz" {
        read_archive(path, options, &mut found)?;
    } else {
        read_single(path, options, &mut found)?;
    }
    let (classes, indices) = labels::index(&found.labels);
    for (sample, label) in found.samples.iter_mut().zip(indices) {
        sample.label = label;
    }
    Ok(Dataset { name: name_of(path), classes, samples: found.samples, notes: Vec::new() })
}

fn read_archive(path: &Path, options: &ReadOptions, found: &mut Found) -> Result<()> {
    let members = zip::members(path)?;
    let by_name: BTreeMap<String, &zip::Member> =
        members.iter().map(|m| (m.name.trim_end_matches(".npy").to_lowercase(), m)).collect();
    let load = |names: &[&'static str]| -> Result<Option<(&'static str, Array)>> {
        let Some((name, member)) = names.iter().find_map(|n| Some((*n, *by_name.get(*n)?))) else {
            return Ok(None);
        };
        let place = format!("{}:{name}", path.display());
        let mut reader = zip::open(path, member)?;
        let array = npy::read(&place, &mut *reader, member.packed, options.max_array_bytes)?;
        Ok(Some((name, array)))
    };
    let mut any = false;
    for (inputs, labels, split) in NAMES {
        if let Some((name, array)) = load(inputs)? {
            let labels = load(labels)?.map(|(_, array)| array);
            found.add(path, name, array, labels, *split)?;
            any = true;
        }
    }
    if !any {
        let names: Vec<&str> = by_name.keys().map(String::as_str).take(20).collect();
        let detail = format!(
            "expected arrays x/y, images/labels or x_train/y_train, found {}",
            names.join(", ")
        );
        return Err(DataError::malformed(path.display().to_string(), detail));
    }
    Ok(())
}

fn read_single(path: &Path, options: &ReadOptions, found: &mut Found) -> Result<()> {
    let load = |path: &Path| -> Result<Array> {
        let packed = std::fs::metadata(path).map_err(DataError::io(path))?.len();
        let mut reader = gzip::open(path)?;
        let place = path.display().to_string();
        npy::read(&place, &mut *reader, packed, options.max_array_bytes)
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut labels = None;
    for (inputs, outputs, _) in NAMES {
        for (input, output) in inputs.iter().zip(*outputs) {
            if name.eq_ignore_ascii_case(&format!("{input}.npy")) {
                let file = path.with_file_name(format!("{output}.npy"));
                if file.is_file() {
                    labels = Some(load(&file)?);
                }
            }
        }
    }
    let stem = name.trim_end_matches(".npy").to_owned();
    found.add(path, &stem, load(path)?, labels, None)
}

#[derive(Default)]
struct Found {
    samples: Vec<Sample>,
    labels: Vec<Option<String>>,
}

impl Found {
    fn add(
        &mut self,
        path: &Path,
        name: &str,
        array: Array,
        labels: Option<Array>,
        split: Option<Split>,
    ) -> Result<()> {
        let place = format!("{}:{name}", path.display());
        let n = array.rows();
        match labels {
            None => self.labels.extend(std::iter::repeat_n(None, n)),
            Some(labels) => {
                let shape = &labels.shape;
                let flat = matches!(shape.as_slice(), [m] | [m, 1] if *m == n);
                if !flat {
                    let detail = format!("labels of shape {shape:?} for {n} samples");
                    return Err(DataError::malformed(place, detail));
                }
                let labels = labels.labels().map_err(|why| DataError::malformed(&place, why))?;
                self.labels.extend(labels);
            }
        }
        let inputs = inputs(array).map_err(|why| DataError::malformed(&place, why))?;
        let samples = inputs.into_iter().enumerate().map(|(i, input)| Sample {
            id: format!("{name}#{i}"),
            input,
            label: None,
            split,
            domain: None,
            group: None,
        });
        self.samples.extend(samples);
        Ok(())
    }
}

/// One input a row: pixels of `[n, h, w]` and `[n, h, w, c]`, vectors of `[n, d]`.
fn inputs(array: Array) -> std::result::Result<Vec<Input>, String> {
    let shape = array.shape.clone();
    match *shape.as_slice() {
        [n, d] => {
            if d == 0 {
                return Err("vectors without values".to_owned());
            }
            let values = array.floats().ok_or("expected numbers, found text")?;
            let vectors = values.chunks_exact(d).map(Arc::from).map(Input::Vector);
            debug_assert_eq!(vectors.len(), n);
            Ok(vectors.collect())
        }
        [n, h, w] => Ok(pixels(n, [h, w, 1], into_pixels(array)?)),
        [n, h, w, c] if matches!(c, 1 | 3) => Ok(pixels(n, [h, w, c], into_pixels(array)?)),
        [n, h, w, 4] => {
            let bytes = into_pixels(array)?;
            let opaque = bytes.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]);
            Ok(pixels(n, [h, w, 3], opaque.collect()))
        }
        [n, c, h, w] if matches!(c, 1 | 3) => {
            let bytes = into_pixels(array)?;
            Ok(pixels(n, [h, w, c], channels_last(&bytes, [c, h, w])))
        }
        _ => Err(format!(
            "shape {shape:?}; expected images [n, h, w] or [n, h, w, c], or vectors [n, d]"
        )),
    }
}

fn into_pixels(array: Array) -> std::result::Result<Vec<u8>, String> {
    if array.element == Element::Bool {
        return Err("images of true and false; expected uint8 pixels 0..=255".to_owned());
    }
    if array.shape[1..].contains(&0) {
        return Err(format!("images of shape {:?}", &array.shape[1..]));
    }
    array.into_bytes()
}

fn pixels(n: usize, [height, width, channels]: [usize; 3], bytes: Vec<u8>) -> Vec<Input> {
    let store = Arc::new(PixelStore { height, width, channels, bytes });
    (0..n).map(|index| Input::Pixels { store: Arc::clone(&store), index }).collect()
}

fn channels_last(bytes: &[u8], [c, h, w]: [usize; 3]) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    for image in bytes.chunks_exact(c * h * w) {
        for pixel in 0..h * w {
            ordered.extend((0..c).map(|channel| image[channel * h * w + pixel]));
        }
    }
    ordered
}
