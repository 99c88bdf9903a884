//! From a sample to a network's input: read, hash, decode, resize, normalise.

use std::path::Path;
use std::sync::Arc;

use offshoot_data::augment::{Look, Pipeline};
use offshoot_data::{
    DataError, Fault, Filter, Input, Limits, Picture, PixelStore, Text, Transform,
};
use offshoot_nn::{Channels, InputSpec, Interpolation};

use crate::digest::Sha;

/// Changes whenever decoding or resizing changes a pixel, so that no cached row outlives it.
const DECODER: u32 = 1;

/// A sample's content in memory.
#[derive(Clone)]
pub enum Content {
    /// An encoded image.
    Encoded(Arc<[u8]>),
    /// Raw pixels of a store.
    Pixels(Arc<PixelStore>, usize),
    /// A ready feature vector.
    Vector(Arc<[f32]>),
    /// A text, or a pair of texts.
    Text(Text),
}

/// How samples become the input of one source.
#[derive(Debug, Clone)]
pub struct Pictures {
    spec: InputSpec,
    transform: Transform,
    limits: Limits,
    // Normalised value of each byte, one table a channel.
    tables: Vec<[f32; 256]>,
}

/// Why a sample cannot be read, for people and for `problems.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// Machine-readable: `missing`, `truncated`, `not-a-picture`, ….
    pub kind: String,
    /// What was expected and what came.
    pub detail: String,
}

impl From<DataError> for Unreadable {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Picture { fault, detail, .. } => Self::new(fault, detail),
            other => Self { kind: "unreadable".into(), detail: other.to_string() },
        }
    }
}

impl Unreadable {
    /// A picture or vector where texts are read.
    pub fn no_text() -> Self {
        Self::new(Fault::NotText, "no text, where texts are read")
    }

    /// A text or vector where pictures are read.
    pub fn no_picture() -> Self {
        Self::new(Fault::NotAPicture, "no picture, where pictures are read")
    }

    fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { kind: fault.name().into(), detail: detail.into() }
    }
}

impl Pictures {
    /// Evaluation preprocessing of `spec`.
    pub fn new(spec: InputSpec) -> Self {
        let table = |(mean, std): (&f32, &f32)| {
            std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
        };
        let tables = spec.mean.iter().zip(&spec.std).map(table).collect();
        let transform = Transform {
            size: spec.size,
            crop_fraction: spec.crop_fraction,
            filter: match spec.interpolation {
                Interpolation::Bilinear => Filter::Bilinear,
                Interpolation::Bicubic => Filter::Bicubic,
            },
            channels: match spec.channels {
                Channels::Grey => offshoot_data::Channels::Grey,
                Channels::Rgb => offshoot_data::Channels::Rgb,
            },
        };
        Self { spec, transform, limits: Limits::default(), tables }
    }

    /// Preprocessing of the usual weights.
    pub fn spec(&self) -> &InputSpec {
        &self.spec
    }

    /// Everything that decides the normalised values, as text.
    pub fn description(&self) -> String {
        let InputSpec { size, crop_fraction, interpolation, channels, mean, std } = &self.spec;
        let crop = crop_fraction.map_or("whole".into(), |f| format!("crop {f}"));
        let filter = match interpolation {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        };
        let channels = channels.count();
        format!(
            "{size}x{size}x{channels} {crop} {filter} mean {mean:?} std {std:?} decoder {DECODER}"
        )
    }

    /// Reads a sample into memory.
    pub fn read(&self, input: &Input) -> Result<Content, Unreadable> {
        match input {
            Input::File(path) => self.read_file(path),
            Input::Encoded(bytes) => Ok(Content::Encoded(bytes.clone())),
            Input::Vector(values) => Ok(Content::Vector(values.clone())),
            Input::Text(_) | Input::TextFile(_) | Input::Broken(_) => {
                Err(Unreadable::new(Fault::NotAPicture, "a text, where pictures are read"))
            }
            Input::Pixels { store, index } => {
                let each = store.height * store.width * store.channels;
                let end = index.checked_add(1).and_then(|n| n.checked_mul(each));
                if each == 0 || end.is_none_or(|end| end > store.bytes.len()) {
                    return Err(Unreadable::new(Fault::Missing, "the store has no such picture"));
                }
                Ok(Content::Pixels(store.clone(), *index))
            }
        }
    }

    fn read_file(&self, path: &Path) -> Result<Content, Unreadable> {
        let failed = |e: std::io::Error| {
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            let fault = if missing { Fault::Missing } else { Fault::Refused };
            Unreadable::new(fault, e.to_string())
        };
        let facts = std::fs::metadata(path).map_err(failed)?;
        if !facts.is_file() {
            return Err(Unreadable::new(Fault::Refused, "not a file"));
        }
        let limit = self.limits.max_file_bytes;
        if facts.len() > limit {
            let detail = format!("{} bytes, at most {limit} are read", facts.len());
            return Err(Unreadable::new(Fault::TooLarge, detail));
        }
        Ok(Content::Encoded(std::fs::read(path).map_err(failed)?.into()))
    }

    /// Values of one normalised sample.
    pub fn len(&self) -> usize {
        self.spec.size * self.spec.size * self.tables.len()
    }

    /// What the engine sees for a pixel byte of this channel.
    pub fn normalised_byte(&self, channel: usize, byte: u8) -> f32 {
        self.tables.get(channel).map_or(0.0, |table| table[byte as usize])
    }

    /// Decodes and normalises: `[size, size, channels]`, or the vector itself.
    pub fn normalised(&self, content: Content) -> Result<Vec<f32>, Unreadable> {
        let input = match content {
            Content::Vector(values) => {
                return match values.iter().position(|v| !v.is_finite()) {
                    None => Ok(values.to_vec()),
                    Some(i) => {
                        Err(Unreadable::new(Fault::Corrupt, format!("value {i} is not finite")))
                    }
                };
            }
            Content::Text(_) => {
                return Err(Unreadable::new(Fault::NotAPicture, "a text, where pictures are read"));
            }
            Content::Encoded(bytes) => Input::Encoded(bytes),
            Content::Pixels(store, index) => Input::Pixels { store, index },
        };
        Ok(self.normalise(&self.transform.apply(&input, &self.limits)?))
    }

    /// Reads, decodes, changes and normalises a sample. Feature vectors stay as they are.
    pub fn augmented(
        &self,
        input: &Input,
        pipeline: &Pipeline,
        look: Look,
    ) -> Result<Vec<f32>, Unreadable> {
        let input = match self.read(input)? {
            Content::Encoded(bytes) => Input::Encoded(bytes),
            Content::Pixels(store, index) => Input::Pixels { store, index },
            other => return self.normalised(other),
        };
        let picture = offshoot_data::decode(&input, &self.limits)?;
        Ok(self.normalise(&pipeline.apply(picture, &self.transform, look)))
    }

    /// What the network sees of an encoded picture, as pixels.
    pub fn seen(&self, input: &Input) -> Result<Picture, Unreadable> {
        let pixels = self.transform.apply(input, &self.limits)?;
        let size = self.spec.size;
        Ok(Picture { width: size, height: size, channels: self.tables.len(), pixels })
    }

    /// The mean colour of the pictures that the source was trained on, to the byte, normalised: what
    /// says nothing.
    pub fn mean_colour(&self) -> Vec<f32> {
        let byte = |mean: &f32| (255.0 * mean).round().clamp(0.0, 255.0) as u8;
        self.tables.iter().zip(&self.spec.mean).map(|(t, m)| t[usize::from(byte(m))]).collect()
    }

    /// What the network sees of pixels, `[size, size, channels]`.
    pub fn normalise(&self, bytes: &[u8]) -> Vec<f32> {
        let pixels = bytes.chunks_exact(self.tables.len());
        let mut values = Vec::with_capacity(bytes.len());
        for pixel in pixels {
            values.extend(self.tables.iter().zip(pixel).map(|(table, &byte)| table[byte as usize]));
        }
        values
    }
}

impl Content {
    /// sha256 of the content: of an encoded image's bytes, of raw values and their shape, or of a
    /// text.
    pub fn sha(&self) -> Sha {
        match self {
            Self::Encoded(bytes) => Sha::of(&[bytes]),
            Self::Pixels(store, index) => {
                let each = store.height * store.width * store.channels;
                let pixels = &store.bytes[index * each..(index + 1) * each];
                let shape = format!("pixels {}x{}x{}", store.height, store.width, store.channels);
                Sha::of(&[shape.as_bytes(), pixels])
            }
            Self::Vector(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                Sha::of(&[b"vector", &bytes])
            }
            Self::Text(Text { text, pair: None }) => Sha::of(&[b"text", text.as_bytes()]),
            Self::Text(Text { text, pair: Some(pair) }) => {
                Sha::of(&[b"texts", text.as_bytes(), pair.as_bytes()])
            }
        }
    }
}
