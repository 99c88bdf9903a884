//! Looking at one sample: what can be known of it without the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::decode::{self, Facts};
use crate::text::{normalised, read_text};
use crate::{DataError, Dataset, Fault, Input, Limits, Picture, Text};

use super::sketch::{self, Sketch};
use super::thumbnail::Thumbnail;
use super::{mixed_languages, mixed_scripts, odd_encoding};

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// What was seen of one sample.
pub(super) struct Look {
    /// Why it cannot be read.
    pub(super) fault: Option<(Fault, String)>,
    /// Of the file.
    pub(super) bytes: Option<Hash>,
    /// Of the decoded pixels with their size, of the vector's values, or of the text without case
    /// and layout; a text without words has none.
    pub(super) content: Option<Hash>,
    /// For pictures that can be read.
    pub(super) shown: Option<Shown>,
    /// For texts that can be read.
    pub(super) written: Option<Written>,
    /// How many values of a vector are NaN or infinite.
    pub(super) not_finite: usize,
}

/// What a picture shows.
pub(super) struct Shown {
    pub(super) facts: Facts,
    /// Upright size.
    pub(super) width: usize,
    pub(super) height: usize,
    /// All pixels are equal.
    pub(super) is_blank: bool,
    pub(super) thumbnail: Thumbnail,
}

/// What a text is like.
pub(super) struct Written {
    /// Parts between spaces, of both texts of a pair.
    pub(super) words: usize,
    /// No letter and no digit.
    pub(super) is_empty: bool,
    /// The first trace of a wrong decoding.
    pub(super) odd: Option<String>,
    /// That most letters are of.
    pub(super) script: Option<&'static str>,
    /// That its frequent words are of.
    pub(super) language: Option<&'static str>,
    pub(super) sketch: Option<Sketch>,
}

/// Looks at all samples, in parallel; the results are in the order of the samples.
pub(super) fn at_all(
    dataset: &Dataset,
    limits: &Limits,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Look> {
    let done = AtomicUsize::new(0);
    let all = dataset.samples.len();
    dataset
        .samples
        .par_iter()
        .map(|sample| {
            let look = at(&sample.input, limits);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            look
        })
        .collect()
}

fn at(input: &Input, limits: &Limits) -> Look {
    let mut look =
        Look { fault: None, bytes: None, content: None, shown: None, written: None, not_finite: 0 };
    if let Input::Text(_) | Input::TextFile(_) | Input::Broken(_) = input {
        match read_text(input) {
            Ok(text) => look_at_text(&text, &mut look),
            Err(error) => look.fault = Some(fault_of(error)),
        }
        return look;
    }
    if let Input::Vector(values) = input {
        look.not_finite = values.iter().filter(|v| !v.is_finite()).count();
        let mut hash = Sha256::new();
        values.iter().for_each(|v| hash.update(v.to_le_bytes()));
        look.content = Some(hash.finalize().into());
        return look;
    }
    let decoded = match input {
        Input::File(path) => decode::read_file(path, limits).and_then(|bytes| {
            look.bytes = Some(Sha256::digest(&bytes).into());
            decode::decode_bytes(&bytes, &path.display().to_string(), limits)
        }),
        Input::Encoded(bytes) => {
            look.bytes = Some(Sha256::digest(bytes).into());
            decode::decode_bytes(bytes, "picture in memory", limits)
        }
        _ => decode::stored(input),
    };
    match decoded {
        Ok(decoded) => {
            look.content = Some(content_hash(&decoded.picture));
            look.shown = Some(shown(decoded.picture, decoded.facts));
        }
        Err(error) => look.fault = Some(fault_of(error)),
    }
    look
}

fn fault_of(error: DataError) -> (Fault, String) {
    match error {
        DataError::Picture { fault, detail, .. } => (fault, detail),
        other => (Fault::Refused, other.to_string()),
    }
}

fn look_at_text(text: &Text, look: &mut Look) {
    let whole = sketch::joined(text);
    let is_empty = !whole.contains(char::is_alphanumeric);
    if !is_empty {
        let mut hash = Sha256::new();
        for part in [Some(&text.text), text.pair.as_ref()].into_iter().flatten() {
            hash.update(normalised(part));
            hash.update([0]);
        }
        look.content = Some(hash.finalize().into());
    }
    look.written = Some(Written {
        words: whole.split_whitespace().count(),
        is_empty,
        odd: odd_encoding::trace(&whole),
        script: mixed_scripts::of(&whole),
        language: mixed_languages::of(&whole),
        sketch: sketch::of(&whole),
    });
}

fn shown(picture: Picture, facts: Facts) -> Shown {
    let mut pixels = picture.pixels.chunks_exact(picture.channels);
    let first = pixels.next();
    Shown {
        facts,
        width: picture.width,
        height: picture.height,
        is_blank: pixels.all(|p| Some(p) == first),
        thumbnail: Thumbnail::of(&picture),
    }
}

/// A colour picture without colour has the hash of the grey one.
fn content_hash(picture: &Picture) -> Hash {
    let mut hash = Sha256::new();
    hash.update(picture.width.to_le_bytes());
    hash.update(picture.height.to_le_bytes());
    let is_grey = |p: &[u8]| p[0] == p[1] && p[1] == p[2];
    if picture.channels == 3 && picture.pixels.chunks_exact(3).all(is_grey) {
        let grey: Vec<u8> = picture.pixels.iter().step_by(3).copied().collect();
        hash.update(&grey);
    } else {
        hash.update(&picture.pixels);
    }
    hash.finalize().into()
}
