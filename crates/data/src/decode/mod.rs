//! From encoded bytes to pixels, as Pillow's
//! `ImageOps.exif_transpose(Image.open(f)).convert("RGB")` gives them.

mod format;
mod jpeg;
mod orientation;
mod other;

use std::path::Path;

use crate::{DataError, Fault, Input, Result};

pub use format::Format;

/// An upright picture: `[height, width, channels]` bytes, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixel columns.
    pub width: usize,
    /// Pixel rows.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `height · width · channels` values.
    pub pixels: Vec<u8>,
}

/// What one picture may cost; checked from its header, before anything is decoded.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Pixel columns.
    pub max_width: usize,
    /// Pixel rows.
    pub max_height: usize,
    /// Columns times rows.
    pub max_pixels: u64,
    /// Bytes allocated while decoding, by our estimate.
    pub max_bytes: u64,
    /// Bytes of the encoded file.
    pub max_file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_width: 1 << 16,
            max_height: 1 << 16,
            max_pixels: 128 << 20,
            max_bytes: 224 << 20,
            max_file_bytes: 256 << 20,
        }
    }
}

/// What a file says about its picture, for the data doctor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `None` for raw pixels.
    pub(crate) format: Option<Format>,
    /// How values are stored: `grey`, `rgb`, `rgba`, `cmyk`, `rgb 16-bit`…
    pub(crate) mode: &'static str,
    /// EXIF orientation 1..=8; 1 is upright.
    pub(crate) orientation: u8,
}

/// A picture and what its file said about it.
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    pub(crate) facts: Facts,
}

/// What went wrong with one picture, before it is known where it is.
pub(crate) struct Failure {
    fault: Fault,
    detail: String,
}

impl Failure {
    fn new(fault: Fault, detail: impl Into<String>) -> Failure {
        Failure { fault, detail: detail.into() }
    }

    fn at(self, place: &str) -> DataError {
        DataError::Picture { place: place.to_owned(), fault: self.fault, detail: self.detail }
    }
}

type Attempt<T> = std::result::Result<T, Failure>;

/// Decodes a sample's picture; the format is known by its content, not by its name.
///
/// Alpha is dropped, CMYK converted, EXIF orientation applied; 16-bit colour keeps its high byte
/// and 16-bit grey is clipped at 255, all as Pillow does. Grey pictures stay at one channel.
///
/// # Errors
/// [`DataError::Picture`] with the kind of fault; [`DataError::Unusable`] for a vector or a text.
pub fn decode(input: &Input, limits: &Limits) -> Result<Picture> {
    match input {
        Input::File(path) => {
            let bytes = read_file(path, limits)?;
            decode_bytes(&bytes, &path.display().to_string(), limits).map(|d| d.picture)
        }
        Input::Encoded(bytes) => {
            decode_bytes(bytes, "picture in memory", limits).map(|d| d.picture)
        }
        Input::Pixels { .. }
        | Input::Vector(_)
        | Input::Text(_)
        | Input::TextFile(_)
        | Input::Broken(_) => stored(input).map(|d| d.picture),
    }
}

/// A picture that needs no decoding.
pub(crate) fn stored(input: &Input) -> Result<Decoded> {
    let Input::Pixels { store, index } = input else {
        let found = match input {
            Input::Text(_) | Input::TextFile(_) | Input::Broken(_) => "a text",
            _ => "a feature vector",
        };
        return Err(DataError::Unusable(format!("expected a picture, found {found}")));
    };
    let size = store.height * store.width * store.channels;
    let start = index.saturating_mul(size);
    let pixels = store.bytes.get(start..start.saturating_add(size));
    let pixels = pixels.filter(|p| !p.is_empty()).ok_or_else(|| {
        Failure::new(Fault::Missing, "the store has no such picture").at(&format!("#{index}"))
    })?;
    Ok(Decoded {
        picture: Picture {
            width: store.width,
            height: store.height,
            channels: store.channels,
            pixels: pixels.to_vec(),
        },
        facts: Facts {
            format: None,
            mode: if store.channels == 1 { "grey" } else { "rgb" },
            orientation: 1,
        },
    })
}

/// The bytes of a picture file.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let place = path.display().to_string();
    let failed = |error: std::io::Error| {
        let fault = match error.kind() {
            std::io::ErrorKind::NotFound => Fault::Missing,
            _ => Fault::Refused,
        };
        Failure::new(fault, error.to_string()).at(&place)
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(Failure::new(Fault::Refused, "not a file").at(&place));
    }
    if meta.len() > limits.max_file_bytes {
        let detail =
            format!("a file of {} bytes; the limit is {}", meta.len(), limits.max_file_bytes);
        return Err(Failure::new(Fault::TooLarge, detail).at(&place));
    }
    std::fs::read(path).map_err(failed)
}

/// Decodes bytes that came from `place`.
pub(crate) fn decode_bytes(bytes: &[u8], place: &str, limits: &Limits) -> Result<Decoded> {
    attempt(bytes, limits).map_err(|failure| failure.at(place))
}

fn attempt(bytes: &[u8], limits: &Limits) -> Attempt<Decoded> {
    if bytes.is_empty() {
        return Err(Failure::new(Fault::Empty, "0 bytes"));
    }
    let Some(format) = Format::of(bytes) else {
        return Err(Failure::new(Fault::NotAPicture, format::describe(bytes)));
    };
    let mut decoded = match format {
        Format::Jpeg => jpeg::decode(bytes, limits)?,
        _ => other::decode(bytes, format, limits)?,
    };
    decoded.picture = orientation::upright(decoded.picture, decoded.facts.orientation);
    Ok(decoded)
}

/// Refuses sizes beyond the limits; `bytes` is all that decoding will allocate.
fn check_size(limits: &Limits, [width, height]: [usize; 2], bytes: u64) -> Attempt<()> {
    let pixels = (width as u64).saturating_mul(height as u64);
    let too_large = width > limits.max_width
        || height > limits.max_height
        || pixels > limits.max_pixels
        || bytes > limits.max_bytes;
    if too_large {
        let detail = format!(
            "{width} × {height} pixels; the limits are {} × {}, {} pixels and {} MiB to decode",
            limits.max_width,
            limits.max_height,
            limits.max_pixels,
            limits.max_bytes >> 20
        );
        return Err(Failure::new(Fault::TooLarge, detail));
    }
    if pixels == 0 {
        let detail = format!("{width} × {height} pixels");
        return Err(Failure::new(Fault::Corrupt, detail));
    }
    Ok(())
}
