//! All formats but JPEG, through the `image` crate.

use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::Fault;

use super::{Attempt, Decoded, Facts, Failure, Format, Limits, Picture, check_size};

/// Decodes `bytes`, which begin like `format`.
pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Attempt<Decoded> {
    let known = match format {
        Format::Png => ImageFormat::Png,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::WebP => ImageFormat::WebP,
        Format::Tiff => ImageFormat::Tiff,
        Format::Pnm => ImageFormat::Pnm,
        other => {
            let detail = format!("{} is not supported", other.name());
            return Err(Failure::new(Fault::Unsupported, detail));
        }
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    // Sides are checked below, where they can be named.
    let mut caps = image::Limits::no_limits();
    caps.max_alloc = Some(limits.max_bytes);
    reader.limits(caps);
    let mut decoder = reader.into_decoder().map_err(failure)?;

    let (width, height) = decoder.dimensions();
    let size = [width as usize, height as usize];
    let stored = u64::from(decoder.color_type().bytes_per_pixel());
    // What is decoded and what it is converted to live side by side; a WebP frame is decoded to
    // planes first, and a GIF frame to palette indices.
    let extra = match format {
        Format::WebP => 3,
        Format::Gif => 1,
        _ => 0,
    };
    let pixels = u64::from(width) * u64::from(height);
    check_size(limits, size, pixels.saturating_mul(stored + 3 + extra))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms).to_exif();
    let color = decoder.color_type();
    let image = DynamicImage::from_decoder(decoder).map_err(failure)?;
    let (channels, pixels, mode) = convert(image, color)?;
    Ok(Decoded {
        picture: Picture { width: size[0], height: size[1], channels, pixels },
        facts: Facts { format: Some(format), mode, orientation },
    })
}

/// Grey or RGB bytes by Pillow's rules: alpha is dropped, 16-bit colour keeps its high byte, and
/// 16-bit grey is clipped at 255 (`I;16` to `RGB`).
fn convert(image: DynamicImage, color: ColorType) -> Attempt<(usize, Vec<u8>, &'static str)> {
    let high = |values: &[u16]| -> Vec<u8> { values.iter().map(|v| (v >> 8) as u8).collect() };
    Ok(match image {
        DynamicImage::ImageLuma8(i) => (1, i.into_raw(), "grey"),
        DynamicImage::ImageRgb8(i) => (3, i.into_raw(), "rgb"),
        DynamicImage::ImageLumaA8(i) => (1, without_alpha(&i.into_raw(), 1), "grey and alpha"),
        DynamicImage::ImageRgba8(i) => (3, without_alpha(&i.into_raw(), 3), "rgba"),
        DynamicImage::ImageLuma16(i) => {
            let clipped = i.iter().map(|&v| v.min(255) as u8).collect();
            (1, clipped, "grey 16-bit")
        }
        DynamicImage::ImageRgb16(i) => (3, high(&i), "rgb 16-bit"),
        DynamicImage::ImageLumaA16(i) => (1, without_alpha(&high(&i), 1), "grey and alpha 16-bit"),
        DynamicImage::ImageRgba16(i) => (3, without_alpha(&high(&i), 3), "rgba 16-bit"),
        _ => {
            let detail = format!("pixels of {color:?} are not supported");
            return Err(Failure::new(Fault::Unsupported, detail));
        }
    })
}

fn without_alpha(values: &[u8], colours: usize) -> Vec<u8> {
    let mut kept = Vec::with_capacity(values.len() / (colours + 1) * colours);
    for pixel in values.chunks_exact(colours + 1) {
        kept.extend_from_slice(&pixel[..colours]);
    }
    kept
}

fn failure(error: ImageError) -> Failure {
    let text = error.to_string();
    let lower = text.to_lowercase();
    // Decoders report an early end in words of their own.
    let ends_early = ["unexpected end", "unexpectedeof", "failed to fill", "eof", "truncated"]
        .iter()
        .any(|words| lower.contains(words));
    let fault = match error {
        ImageError::Limits(_) => Fault::TooLarge,
        ImageError::Unsupported(_) => Fault::Unsupported,
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Fault::Truncated,
        _ if ends_early => Fault::Truncated,
        _ => Fault::Corrupt,
    };
    Failure::new(fault, text)
}
