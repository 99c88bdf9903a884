//! TensorBoard's event files: records with masked CRC-32C sums around small protocol buffers, of which
//! only scalars are written.
//!
//! The format is that of `tensorflow/core/lib/io/record_writer.cc` and `event.proto`; the test compares
//! with bytes that TensorBoard's own writer made.

use std::path::Path;

use super::Record;
use crate::durable::{self, Growing};
use crate::{Result, machine};

/// One scalar at one step.
#[derive(Debug, Clone, PartialEq)]
struct Scalar {
    /// Its name, such as `loss/train`.
    tag: String,
    /// Updates before it.
    step: u64,
    /// Its value.
    value: f32,
}

/// Where the file is inside a run's folder. TensorBoard looks for names of this form; the last part is usually
/// the machine's name, which is nobody's business.
const FILE: &str = "tensorboard/events.out.tfevents.0.offshoot";

/// Bytes of a record before and after what it holds: a length and its sum, the sum of the content.
const AROUND: [usize; 2] = [12, 4];
/// Bytes of the time, the first field of every event.
const TIME: usize = 9;

/// An event file that grows with a run.
#[derive(Debug)]
pub struct Events {
    file: Growing,
    /// Before the names of scalars.
    within: &'static str,
}

impl Events {
    /// Opens the file below a run's folder to tell these records and nothing else. What tells the same already
    /// stays, with the time at which it was told.
    pub fn open(folder: &Path, records: &[Record]) -> Result<Self> {
        let path = folder.join(FILE);
        durable::create_dir(path.parent().unwrap_or(folder))?;
        let mut within = "";
        let now = machine::unix_seconds();
        let mut told = vec![version(now)];
        for record in records {
            told.extend(scalars(record, &mut within).iter().map(|scalar| event(scalar, now)));
        }
        Ok(Self { file: Growing::open(&path, &told, same_but_for_time)?, within })
    }

    /// Tells one more, in one write.
    pub fn tell(&mut self, record: &Record) -> Result<()> {
        let now = machine::unix_seconds();
        let events: Vec<u8> =
            scalars(record, &mut self.within).iter().flat_map(|s| event(s, now)).collect();
        if events.is_empty() { Ok(()) } else { self.file.append(&events) }
    }

    /// Waits until everything is on disk.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }
}

fn same_but_for_time(there: &[u8], record: &[u8]) -> bool {
    let [before, after] = AROUND;
    let end = record.len() - after;
    there[..before] == record[..before] && there[before + TIME..end] == record[before + TIME..end]
}

/// What a record has for TensorBoard. After the first `Refit`, names begin with `refit/`.
fn scalars(record: &Record, within: &mut &'static str) -> Vec<Scalar> {
    let mut scalars = Vec::new();
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
        Record::Epoch { step, train_loss, train_metric, val_loss, val_metric, metric, .. } => {
            add("loss/train", *step, *train_loss);
            for (tag, value) in [
                (format!("{metric}/train"), train_metric),
                ("loss/val".to_string(), val_loss),
                (format!("{metric}/val"), val_metric),
            ] {
                value.iter().for_each(|value| add(&tag, *step, *value));
            }
        }
        Record::Refit { .. } => *within = "refit/",
        Record::Phase { .. } | Record::LrFinder { .. } | Record::Stopped { .. } => {}
    }
    scalars
}

/// What a file begins with. `seconds` since 1970 is the wall time of an event.
fn version(seconds: f64) -> Vec<u8> {
    // Event { wall_time = 1, file_version = 3 }
    let mut first = wall_time(seconds);
    bytes_field(&mut first, 3, b"brain.Event:2");
    record(&first)
}

fn event(Scalar { tag, step, value }: &Scalar, seconds: f64) -> Vec<u8> {
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
    record(&event)
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

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sums = [length.as_slice(), data].map(|bytes| masked_crc(bytes).to_le_bytes());
    [length.as_slice(), &sums[0], data, &sums[1]].concat()
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
        let seconds = reference["seconds"].as_f64().unwrap();
        let events = scalars.iter().flat_map(|scalar| event(scalar, seconds));
        let bytes: Vec<u8> = version(seconds).into_iter().chain(events).collect();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, reference["hex"].as_str().unwrap());
    }

    #[test]
    fn a_file_that_goes_on_keeps_what_it_told_and_when() {
        let dir = tempfile::tempdir().unwrap();
        let step = |step: u64, loss: f64| Record::Step {
            phase: "full".into(),
            step,
            epoch: 0.0,
            loss,
            terms: Default::default(),
            lr: 0.1,
        };
        let refit = Record::Refit { samples: 1, epochs: 1, first_step: 3 };
        let all = [step(1, 0.5), step(2, 0.4), refit, step(4, 0.3)];
        let read = || std::fs::read(dir.path().join(FILE)).unwrap();
        let mut events = Events::open(dir.path(), &all[..1]).unwrap();
        for record in &all[1..] {
            events.tell(record).unwrap();
        }
        let told = read();
        assert!(String::from_utf8_lossy(&told).contains("refit/loss/batch"));
        // The same records, later: nothing is written again.
        std::thread::sleep(std::time::Duration::from_millis(2));
        Events::open(dir.path(), &all).unwrap();
        assert_eq!(read(), told);
        // From an earlier checkpoint, and another way from there.
        let mut events = Events::open(dir.path(), &all[..2]).unwrap();
        let kept = read();
        assert!(kept.len() < told.len() && told.starts_with(&kept));
        events.tell(&step(3, 0.2)).unwrap();
        assert!(!String::from_utf8_lossy(&read()).contains("refit/"));
    }
}
