//! Builds zip, tar and legacy files byte by byte, so that they can be wrong.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write;

/// Magic number, protocol and system information of a legacy stream.
pub const LEGACY_HEAD: &[u8] =
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
pub const AFTER_MAGIC: usize = 15;
pub const AFTER_PROTOCOL: usize = 21;

pub fn legacy(object: &[u8]) -> Vec<u8> {
    [LEGACY_HEAD, object].concat()
}

pub fn zip_pickle(pickle: &[u8], deflated: bool) -> Vec<u8> {
    zip(&[("archive/data.pkl", pickle, deflated), ("archive/version", b"3\n", false)])
}

/// Members as `(name, contents, deflated)`.
pub fn zip(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let (mut file, mut table) = (Vec::new(), Vec::new());
    for &(name, contents, deflated) in members {
        let packed = if deflated {
            let mut out =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(contents).unwrap();
            out.finish().unwrap()
        } else {
            contents.to_vec()
        };
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        let mut fields = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((contents.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let start = file.len() as u32;
        table.extend(b"PK\x01\x02\x14\0");
        table.extend(&fields);
        table.extend([0; 10]);
        table.extend(start.to_le_bytes());
        table.extend(name.as_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&fields);
        file.extend(name.as_bytes());
        file.extend(packed);
    }
    let (start, len, count) = (file.len() as u32, table.len() as u32, members.len() as u16);
    file.extend(table);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend(len.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    for &(name, contents) in members {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        file.extend(header);
        file.extend(contents);
        file.resize(file.len().next_multiple_of(512), 0);
    }
    file.resize(file.len() + 1024, 0);
    file
}
