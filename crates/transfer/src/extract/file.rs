//! Features as a file: npz or safetensors, written row block by row block.

use std::io::{self, Write};
use std::path::Path;

use flate2::Crc;
use offshoot_data::Sample;

use super::Extraction;
use crate::plan::FeatureFormat;
use crate::{Result, TransferError, durable};

/// Rows held in memory while writing.
const BLOCK: usize = 1024;
/// A plain zip cannot hold more.
const ZIP_LIMIT: u64 = u32::MAX as u64;

/// Writes the rows of all readable samples: `features` f32 `[n, d]`, `labels` i64 `[n]` (−1 where
/// unlabelled), `ids`. Returns the number of rows.
pub fn write(
    path: &Path,
    format: FeatureFormat,
    samples: &[Sample],
    extraction: &Extraction,
) -> Result<usize> {
    let readable = extraction.readable();
    let (n, d) = (readable.len(), extraction.dim());
    let labels: Vec<u8> = readable
        .iter()
        .flat_map(|&i| samples[i].label.map_or(-1, i64::from).to_le_bytes())
        .collect();
    let ids: Vec<&str> = readable.iter().map(|&i| samples[i].id.as_str()).collect();
    let features_len = 4 * (n as u64) * (d as u64);
    let features = |out: &mut dyn Write| features(extraction, &readable, out);
    match format {
        FeatureFormat::Npz => {
            let ids = unicode_array(&ids);
            let members = [
                Member::new("features.npy", npy_header("<f4", &[n, d]), features_len),
                Member::new("labels.npy", npy_header("<i8", &[n]), labels.len() as u64),
                Member::new("ids.npy", npy_header(&ids.0, &[n]), ids.1.len() as u64),
            ];
            let total: u64 = members.iter().map(|m| m.size + 200).sum();
            if total > ZIP_LIMIT {
                return Err(TransferError::usage(
                    format!("{}: {total} bytes do not fit into an npz file", path.display()),
                    "write .safetensors, or extract in parts with --shard",
                ));
            }
            durable::write_with(path, total, |out| {
                let mut zip = Zip::new(out);
                let [a, b, c] = members;
                zip.member(a, |w| features(w))?;
                zip.member(b, |w| w.write_all(&labels))?;
                zip.member(c, |w| w.write_all(&ids.1))?;
                zip.finish()
            })?;
        }
        FeatureFormat::Safetensors => {
            let ids = ids.join("\n");
            let ends = [features_len, features_len + labels.len() as u64];
            let end = ends[1] + ids.len() as u64;
            let header = serde_json::json!({
                "features": { "dtype": "F32", "shape": [n, d], "data_offsets": [0, ends[0]] },
                "labels": { "dtype": "I64", "shape": [n], "data_offsets": [ends[0], ends[1]] },
                "ids": { "dtype": "U8", "shape": [ids.len()], "data_offsets": [ends[1], end] },
            });
            let mut header = header.to_string();
            // The values begin at a multiple of eight, as the format's own writer has it.
            header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
            durable::write_with(path, end + 8 + header.len() as u64, |out| {
                out.write_all(&(header.len() as u64).to_le_bytes())?;
                out.write_all(header.as_bytes())?;
                features(out)?;
                out.write_all(&labels)?;
                out.write_all(ids.as_bytes())
            })?;
        }
    }
    Ok(n)
}

fn features(extraction: &Extraction, readable: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let mut block = vec![0.0; BLOCK * extraction.dim()];
    for samples in readable.chunks(BLOCK) {
        let values = &mut block[..samples.len() * extraction.dim()];
        extraction.read(samples, values).map_err(io::Error::other)?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// NumPy's fixed-width unicode: dtype and UTF-32 bytes.
fn unicode_array(texts: &[&str]) -> (String, Vec<u8>) {
    let width = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = Vec::with_capacity(4 * width * texts.len());
    for text in texts {
        let end = bytes.len() + 4 * width;
        bytes.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
        bytes.resize(end, 0);
    }
    (format!("<U{width}"), bytes)
}

/// Version 1.0 of the npy format; the data begins at a multiple of 64.
fn npy_header(dtype: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut text = format!(
        "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}",
        sizes.trim_end()
    );
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - text.len() - 1));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

struct Member {
    name: &'static str,
    header: Vec<u8>,
    size: u64,
}

impl Member {
    fn new(name: &'static str, header: Vec<u8>, data: u64) -> Self {
        let size = header.len() as u64 + data;
        Self { name, header, size }
    }
}

/// Writes stored members; checksums follow the data, so nothing has to be known beforehand.
struct Zip<'a> {
    out: &'a mut dyn Write,
    at: u64,
    directory: Vec<u8>,
    members: u16,
}

struct Summed<'a> {
    out: &'a mut dyn Write,
    crc: Crc,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.crc.update(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<'a> Zip<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self { out, at: 0, directory: Vec::new(), members: 0 }
    }

    fn member(
        &mut self,
        member: Member,
        data: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let size = u32::try_from(member.size).map_err(io::Error::other)?;
        let offset = u32::try_from(self.at).map_err(io::Error::other)?;
        // Version 2.0, bit 3: checksum and sizes follow the data; stored; 1980-01-01.
        let fixed = [20u16, 8, 0, 0, 0x21].map(u16::to_le_bytes).concat();
        let name_len = (member.name.len() as u16).to_le_bytes();
        self.put(b"PK\x03\x04")?;
        self.put(&fixed)?;
        self.put(&[0; 12])?;
        self.put(&name_len)?;
        self.put(&[0; 2])?;
        self.put(member.name.as_bytes())?;
        let mut summed = Summed { out: &mut *self.out, crc: Crc::new() };
        summed.write_all(&member.header)?;
        data(&mut summed)?;
        let sum = summed.crc.sum();
        if summed.crc.amount() != size {
            return Err(io::Error::other("an array's size differs from its header"));
        }
        self.at += member.size;
        let facts = [sum, size, size].map(u32::to_le_bytes).concat();
        self.put(b"PK\x07\x08")?;
        self.put(&facts)?;
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&fixed);
        self.directory.extend(&facts);
        self.directory.extend(name_len);
        self.directory.extend([0; 12]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(member.name.as_bytes());
        self.members += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let start = u32::try_from(self.at).map_err(io::Error::other)?;
        let directory = std::mem::take(&mut self.directory);
        let count = self.members.to_le_bytes();
        self.put(&directory)?;
        self.put(b"PK\x05\x06\0\0\0\0")?;
        self.put(&count)?;
        self.put(&count)?;
        self.put(&(directory.len() as u32).to_le_bytes())?;
        self.put(&start.to_le_bytes())?;
        self.put(&[0; 2])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
