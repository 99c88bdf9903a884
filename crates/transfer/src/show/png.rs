//! The smallest PNG writer that a thumbnail needs.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use offshoot_data::Picture;

/// Eight bits a channel, grey or RGB. `None` for an empty picture.
pub fn encode(picture: &Picture) -> Option<Vec<u8>> {
    let colour = match picture.channels {
        1 => 0,
        3 => 2,
        _ => return None,
    };
    let width = u32::try_from(picture.width).ok().filter(|&w| w > 0)?;
    let height = u32::try_from(picture.height).ok().filter(|&h| h > 0)?;
    let mut lines = ZlibEncoder::new(Vec::new(), Compression::default());
    for line in picture.pixels.chunks_exact(picture.width * picture.channels) {
        // Filter 0: the bytes as they are.
        lines.write_all(&[0]).ok()?;
        lines.write_all(line).ok()?;
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, colour, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"IDAT", &lines.finish().ok()?);
    chunk(&mut file, b"IEND", &[]);
    Some(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(data);
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    file.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_data::{Input, Limits, decode};

    #[test]
    fn a_written_picture_is_read_back() {
        for channels in [1, 3] {
            let pixels = (0..2 * 3 * channels as u8).map(|i| i * 9).collect();
            let picture = Picture { width: 3, height: 2, channels, pixels };
            let file = encode(&picture).unwrap();
            let read = decode(&Input::Encoded(file.into()), &Limits::default()).unwrap();
            assert_eq!(read, picture);
        }
    }
}
