//! TensorBoard's event files: records with masked CRC-32C sums around small protocol buffers, of which
//! only scalars are written.
//!
//! The format is that of `tensorflow/core/lib/io/record_writer.cc` and `event.proto`; the test compares
//! with bytes that TensorBoard's own writer made.

use super::{History, Record};

/// One scalar at one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// Its name, such as `loss/train`.
    pub tag: String,
    /// Updates before it.
    pub step: u64,
    /// Its value.
    pub value: f32,
}

/// What a history has for TensorBoard.
pub fn scalars(history: &History) -> Vec<Scalar> {
    let mut scalars = Vec::new();
    let mut within = "";
    for record in &history.records {
        let mut add = |tag: &str, step: u64, value: f64| {
            scalars.push(Scalar { tag: format!("{within}{tag}"), step, value: value as f32 });
        };
        match record {
            Record::Step { step, loss, terms, lr, .. } => {
                add("loss/batch", *step, *loss);
                add("learning_rate", *step, *lr);
                for (name, value) in terms {
                    add(&format!("loss/{name}"), *step, *value);
                }
            }
            Record::Epoch {
                step, train_loss, train_metric, val_loss, val_metric, metric, ..
            } => {
                add("loss/train", *step, *train_loss);
                for (tag, value) in [
                    (format!("{metric}/train"), train_metric),
                    ("loss/val".to_string(), val_loss),
                    (format!("{metric}/val"), val_metric),
                ] {
                    value.iter().for_each(|value| add(&tag, *step, *value));
                }
            }
            Record::Refit { .. } => within = "refit/",
            Record::Phase { .. } | Record::LrFinder { .. } | Record::Stopped { .. } => {}
        }
    }
    scalars
}

/// The file's bytes. `seconds` since 1970 is the wall time of every event.
pub fn events(scalars: &[Scalar], seconds: f64) -> Vec<u8> {
    let mut file = Vec::new();
    // Event { wall_time = 1, file_version = 3 }
    let mut first = wall_time(seconds);
    bytes_field(&mut first, 3, b"brain.Event:2");
    record(&mut file, &first);
    for Scalar { tag, step, value } in scalars {
        // Summary.Value { tag = 1, simple_value = 2 }
        let mut point = Vec::new();
        bytes_field(&mut point, 1, tag.as_bytes());
        point.push(2 << 3 | 5);
        point.extend(value.to_le_bytes());
        let mut summary = Vec::new();
        bytes_field(&mut summary, 1, &point);
        // Event { wall_time = 1, step = 2, summary = 5 }
        let mut event = wall_time(seconds);
        if *step > 0 {
            event.push(2 << 3);
            varint(&mut event, *step);
        }
        bytes_field(&mut event, 5, &summary);
        record(&mut file, &event);
    }
    file
}

fn wall_time(seconds: f64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(seconds.to_le_bytes());
    event
}

fn bytes_field(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn record(to: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    to.extend(length);
    to.extend(masked_crc(&length).to_le_bytes());
    to.extend_from_slice(data);
    to.extend(masked_crc(data).to_le_bytes());
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: the files are small.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    /// `tests/reference/tensorboard.py` wrote the file with TensorBoard's own writer.
    #[test]
    fn bytes_are_those_of_tensorboard() {
        let reference: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/reference/tensorboard.json")).unwrap();
        let scalars: Vec<Scalar> = reference["scalars"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| Scalar {
                tag: s[0].as_str().unwrap().into(),
                step: s[1].as_u64().unwrap(),
                value: s[2].as_f64().unwrap() as f32,
            })
            .collect();
        let bytes = events(&scalars, reference["seconds"].as_f64().unwrap());
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, reference["hex"].as_str().unwrap());
    }
}
