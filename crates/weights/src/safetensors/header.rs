//! The header, validated as a whole before any value is read.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};

use crate::archive::Source;
use crate::dtype::Dtype;
use crate::error::shown;
use crate::{Result, WeightsError};

const MAX_HEADER: u64 = 4 << 20;
const MAX_TENSORS: usize = 20_000;
const MAX_RANK: usize = 16;
const MAX_KEY: usize = 1024;

/// A tensor with its place in the file.
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) start: u64,
    pub(super) len: u64,
}

#[derive(Default)]
pub(super) struct Header {
    pub(super) tensors: BTreeMap<String, Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Reads and checks the header: its length, JSON without duplicate keys, known dtypes, sizes that
/// match their dtypes, and values that fill the rest of the file without overlap or hole.
pub(super) fn read(source: &mut Source<'_>) -> Result<Header> {
    if source.len() < 8 {
        return Err(source.refuse("too short for a safetensors header: truncated"));
    }
    let field = source.bytes(0, 8)?;
    let len = field.iter().rev().fold(0u64, |n, &b| (n << 8) | u64::from(b));
    if len > MAX_HEADER {
        return Err(
            source.refuse(format!("safetensors header of {len} bytes, at most {MAX_HEADER}"))
        );
    }
    if len > source.len() - 8 {
        let file = source.len();
        return Err(source.refuse(format!("safetensors header of {len} bytes in a file of {file}")));
    }
    let json = source.bytes(8, len)?;
    let raw: Raw = serde_json::from_slice(&json)
        .map_err(|e| source.refuse(format!("safetensors header: {}", shown(&e.to_string()))))?;
    drop(json);
    check(raw, 8 + len, source.len()).map_err(|(key, detail)| match key {
        Some(key) => WeightsError::refused(format!("{}:{}", source.place(), shown(&key)), detail),
        None => source.refuse(detail),
    })
}

type Fault = (Option<String>, String);

fn check(raw: Raw, values: u64, end: u64) -> std::result::Result<Header, Fault> {
    let mut spans = Vec::with_capacity(raw.tensors.len());
    let mut tensors = BTreeMap::new();
    for (key, tensor) in raw.tensors {
        let named = |detail: String| (Some(key.clone()), detail);
        let dtype = Dtype::from_name(&tensor.dtype)
            .ok_or_else(|| named(format!("dtype `{}` is not supported", shown(&tensor.dtype))))?;
        let [from, to] = tensor.data_offsets;
        let available = end - values;
        if from > to || to > available {
            let detail = format!("offsets {from}..{to} leave the {available} bytes of values");
            return Err(named(detail));
        }
        let expected = tensor
            .shape
            .0
            .iter()
            .try_fold(dtype.size() as u64, |n, &size| n.checked_mul(size))
            .ok_or_else(|| named("shape overflows".into()))?;
        if expected != to - from {
            let name = dtype.name();
            let detail = format!("{name} shape takes {expected} bytes, offsets give {}", to - from);
            return Err(named(detail));
        }
        let shape = tensor.shape.0.iter().map(|&size| size as usize).collect();
        spans.push((from, to, key.clone()));
        tensors.insert(key, Entry { dtype, shape, start: values + from, len: to - from });
    }
    spans.sort_unstable();
    let mut filled = 0;
    for (from, to, key) in spans {
        match from.cmp(&filled) {
            std::cmp::Ordering::Less => {
                return Err((Some(key), "overlaps the values of another tensor".into()));
            }
            std::cmp::Ordering::Greater => {
                return Err((
                    Some(key),
                    format!("bytes {filled}..{from} before it belong to nothing"),
                ));
            }
            std::cmp::Ordering::Equal => filled = to,
        }
    }
    if filled != end - values {
        let detail = format!("{} bytes at the end belong to nothing", end - values - filled);
        return Err((None, detail));
    }
    Ok(Header { tensors, metadata: raw.metadata })
}

/// The header as written.
#[derive(Default)]
struct Raw {
    tensors: BTreeMap<String, RawTensor>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Raw, A::Error> {
                let mut raw = Raw::default();
                let mut metadata_seen = false;
                while let Some(key) = map.next_key::<String>()? {
                    if key.len() > MAX_KEY {
                        return Err(A::Error::custom(format!("key of {} bytes", key.len())));
                    }
                    if raw.tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    let duplicate = if key == "__metadata__" {
                        raw.metadata = map.next_value_seed(Metadata)?;
                        std::mem::replace(&mut metadata_seen, true)
                    } else if raw.tensors.contains_key(&key) {
                        map.next_value::<IgnoredAny>()?;
                        true
                    } else {
                        raw.tensors.insert(key.clone(), map.next_value()?);
                        false
                    };
                    if duplicate {
                        return Err(A::Error::custom(format!("duplicate key `{}`", shown(&key))));
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Text by text, without duplicates.
struct Metadata;

impl<'de> DeserializeSeed<'de> for Metadata {
    type Value = BTreeMap<String, String>;
    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata {
    type Value = BTreeMap<String, String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }
    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut metadata = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if let Some(old) = metadata.insert(key, value) {
                return Err(A::Error::custom(format!("duplicate metadata of `{}`", shown(&old))));
            }
        }
        Ok(metadata)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_RANK} sizes")
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> std::result::Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    if sizes.len() == MAX_RANK {
                        return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
                    }
                    sizes.push(size);
                }
                Ok(Shape(sizes))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}
