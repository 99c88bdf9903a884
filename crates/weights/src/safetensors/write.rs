//! Writes safetensors: the same arrays give the same bytes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::archive::hexadecimal;
use crate::error::shown;
use crate::{Array, Params, Result, WeightsError};

/// Values that are converted together.
const BLOCK: usize = 1 << 12;
/// The smallest value that rounds to infinity: halfway between the largest finite F16, 65,504, and 2¹⁶.
const OVERFLOWS_F16: f32 = 65_520.0;

/// Number format of a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes a value, exact.
    F32,
    /// Two bytes a value, rounded to nearest even.
    F16,
}

impl Precision {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A safetensors file that is ready to be written anywhere: `params` in key order.
#[derive(Debug)]
pub struct Safetensors<'a> {
    header: Vec<u8>,
    params: &'a Params,
    precision: Precision,
}

impl<'a> Safetensors<'a> {
    /// Checks the arrays; `path` only names them in errors.
    ///
    /// # Errors
    /// When a shape does not match its data, or a finite value exceeds `F16`.
    pub fn new(
        path: &Path,
        params: &'a Params,
        metadata: &BTreeMap<String, String>,
        precision: Precision,
    ) -> Result<Self> {
        Ok(Self { header: header(path, params, metadata, precision)?, params, precision })
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        let values: usize = self.params.values().map(|array| array.data.len()).sum();
        (8 + self.header.len() + values * self.precision.bytes()) as u64
    }

    /// Writes length, header and values; returns their SHA-256.
    ///
    /// # Errors
    /// What `to` reports.
    pub fn write(&self, to: impl Write) -> std::io::Result<String> {
        let mut out = BufWriter::new(to);
        let mut hash = Sha256::new();
        let mut write = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes)
        };
        write(&(self.header.len() as u64).to_le_bytes())?;
        write(&self.header)?;
        // Whole blocks at a time, which vector instructions convert and copy.
        let mut halves = [f16::ZERO; BLOCK];
        let mut bytes = [0; 4 * BLOCK];
        for array in self.params.values() {
            for block in array.data.chunks(BLOCK) {
                let bytes = &mut bytes[..block.len() * self.precision.bytes()];
                match self.precision {
                    Precision::F32 => place(bytes, block, |v| v.to_le_bytes()),
                    Precision::F16 => {
                        let halves = &mut halves[..block.len()];
                        halves.convert_from_f32_slice(block);
                        place(bytes, halves, |v| v.to_le_bytes());
                    }
                }
                write(bytes)?;
            }
        }
        out.flush()?;
        Ok(hexadecimal(&hash.finalize()))
    }
}

/// Writes `params` in key order and returns the file's SHA-256.
///
/// The file appears whole or not at all: it is written beside `path`, synchronised and renamed.
///
/// # Errors
/// When the disk refuses, a shape does not match its data, or a finite value exceeds `F16`.
pub fn write_safetensors(
    path: &Path,
    params: &Params,
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<String> {
    let file = Safetensors::new(path, params, metadata, precision)?;
    let temporary = Temporary::beside(path)?;
    let sha256 = file.write(&temporary.file).map_err(|e| WeightsError::io(&temporary.path, e))?;
    temporary.keep(path)?;
    Ok(sha256)
}

fn header(
    path: &Path,
    params: &Params,
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<Vec<u8>> {
    let dtype = match precision {
        Precision::F32 => "F32",
        Precision::F16 => "F16",
    };
    let size = precision.bytes();
    // serde_json's map is sorted by key.
    let mut object = Map::new();
    let mut start = 0;
    for (key, array) in params {
        check(array, precision).map_err(|detail| {
            WeightsError::refused(format!("{}:{}", path.display(), shown(key)), detail)
        })?;
        let end = start + array.data.len() * size;
        let entry = json!({"dtype": dtype, "shape": array.shape, "data_offsets": [start, end]});
        object.insert(key.clone(), entry);
        start = end;
    }
    if !metadata.is_empty() {
        object.insert("__metadata__".into(), json!(metadata));
    }
    let mut header = Value::Object(object).to_string().into_bytes();
    // Values start at a multiple of eight, so that the file can be mapped.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn check(array: &Array, precision: Precision) -> std::result::Result<(), String> {
    let expected = array.shape.iter().product::<usize>();
    if expected != array.data.len() {
        let found = array.data.len();
        return Err(format!("shape {:?} takes {expected} values, {found} given", array.shape));
    }
    if precision == Precision::F32 {
        return Ok(());
    }
    let overflows = |v: &&f32| v.is_finite() && v.abs() >= OVERFLOWS_F16;
    match array.data.iter().find(overflows) {
        Some(value) => Err(format!("{value} exceeds F16")),
        None => Ok(()),
    }
}

/// The bytes of `values`, one after the other.
fn place<T: Copy, const N: usize>(bytes: &mut [u8], values: &[T], of: impl Fn(T) -> [u8; N]) {
    let (chunks, _) = bytes.as_chunks_mut::<N>();
    chunks.iter_mut().zip(values).for_each(|(chunk, &value)| *chunk = of(value));
}

/// A file beside its final place, removed unless it is kept.
struct Temporary {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary);
        let file = file.map_err(|e| WeightsError::io(&temporary, e))?;
        Ok(Self { path: temporary, file, kept: false })
    }

    fn keep(mut self, path: &Path) -> Result<()> {
        self.file.sync_all().map_err(|e| WeightsError::io(&self.path, e))?;
        std::fs::rename(&self.path, path).map_err(|e| WeightsError::io(path, e))?;
        self.kept = true;
        // The rename itself is durable once the folder is.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        #[cfg(unix)]
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| WeightsError::io(folder, e))?;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // A leftover is harmless and the first error is the one to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
