//! Which format bytes are in, by how they begin.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Picture formats that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG.
    Png,
    /// GIF; the first frame counts.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// WebP; the first frame counts.
    WebP,
    /// TIFF; the first page counts.
    Tiff,
    /// PBM, PGM, PPM, PAM.
    Pnm,
    /// HEIC and AVIF: recognised, not decoded.
    Heif,
    /// JPEG XL: recognised, not decoded.
    JpegXl,
    /// JPEG 2000: recognised, not decoded.
    Jpeg2000,
    /// Windows icon: recognised, not decoded.
    Ico,
    /// Photoshop: recognised, not decoded.
    Psd,
    /// Vector drawing: recognised, not decoded.
    Svg,
}

/// Enough of a file to know its format.
const ENOUGH: usize = 512;

impl Format {
    /// The format that `bytes` begin like.
    pub fn of(bytes: &[u8]) -> Option<Format> {
        let after = |at: usize| bytes.get(at..).unwrap_or_default();
        let begins = |magic: &[u8]| bytes.starts_with(magic);
        if begins(b"\xff\xd8\xff") {
            Some(Format::Jpeg)
        } else if begins(b"\x89PNG\r\n\x1a\n") {
            Some(Format::Png)
        } else if begins(b"GIF87a") || begins(b"GIF89a") {
            Some(Format::Gif)
        } else if begins(b"RIFF") && after(8).starts_with(b"WEBP") {
            Some(Format::WebP)
        } else if begins(b"II*\0") || begins(b"MM\0*") {
            Some(Format::Tiff)
        } else if begins(b"BM") && bytes.len() > 14 {
            // The size of the second header tells a bitmap from text that begins with BM.
            matches!(after(14).first()?, 12 | 40 | 52 | 56 | 64 | 108 | 124).then_some(Format::Bmp)
        } else if begins(b"P") && matches!(bytes.get(1)?, b'1'..=b'7') {
            bytes.get(2)?.is_ascii_whitespace().then_some(Format::Pnm)
        } else if after(4).starts_with(b"ftyp") {
            let brands = [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"hevc"];
            let brand = bytes.get(8..12)?;
            brands.iter().any(|b| b.as_slice() == brand).then_some(Format::Heif)
        } else if begins(b"\xff\x0a") || begins(b"\0\0\0\x0cJXL ") {
            Some(Format::JpegXl)
        } else if begins(b"\0\0\0\x0cjP  ") || begins(b"\xff\x4f\xff\x51") {
            Some(Format::Jpeg2000)
        } else if begins(b"\0\0\x01\0") {
            Some(Format::Ico)
        } else if begins(b"8BPS") {
            Some(Format::Psd)
        } else {
            is_svg(bytes).then_some(Format::Svg)
        }
    }

    /// The format that a file begins like; `None` too if it cannot be read.
    pub(crate) fn of_file(path: &Path) -> Option<Format> {
        let mut head = Vec::with_capacity(ENOUGH);
        let file = std::fs::File::open(path).ok()?;
        file.take(ENOUGH as u64).read_to_end(&mut head).ok()?;
        Format::of(&head)
    }

    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "jpeg",
            Format::Png => "png",
            Format::Gif => "gif",
            Format::Bmp => "bmp",
            Format::WebP => "webp",
            Format::Tiff => "tiff",
            Format::Pnm => "pnm",
            Format::Heif => "heif",
            Format::JpegXl => "jpeg-xl",
            Format::Jpeg2000 => "jpeg-2000",
            Format::Ico => "ico",
            Format::Psd => "psd",
            Format::Svg => "svg",
        }
    }

    /// File-name endings of this format, in lower case.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Format::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Format::Png => &["png", "apng"],
            Format::Gif => &["gif"],
            Format::Bmp => &["bmp", "dib"],
            Format::WebP => &["webp"],
            Format::Tiff => &["tif", "tiff"],
            Format::Pnm => &["pbm", "pgm", "ppm", "pnm", "pam"],
            Format::Heif => &["heic", "heif", "avif"],
            Format::JpegXl => &["jxl"],
            Format::Jpeg2000 => &["jp2", "j2k", "jpf"],
            Format::Ico => &["ico"],
            Format::Psd => &["psd"],
            Format::Svg => &["svg"],
        }
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(ENOUGH)]).to_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    head.starts_with('<') && head.contains("<svg") && !head.contains("<html")
}

/// What bytes of no picture format look like.
pub(super) fn describe(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(ENOUGH)]).to_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let looks_like = if head.starts_with("<!doctype html") || head.contains("<html") {
        "a web page (HTML)"
    } else if head.starts_with("<?xml") || head.starts_with('<') {
        "an XML document"
    } else if head.starts_with('{') || head.starts_with('[') {
        "a JSON document"
    } else if head.starts_with("%pdf") {
        "a PDF document"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "a zip archive"
    } else if bytes.iter().all(|&b| b == 0) {
        "nothing but zero bytes"
    } else if bytes[..bytes.len().min(ENOUGH)].is_ascii() {
        "text"
    } else {
        "no known format"
    };
    format!("not a picture: the content is {looks_like}")
}
