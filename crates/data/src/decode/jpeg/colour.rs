//! From planes to grey or RGB, with libjpeg's and Pillow's integer arithmetic.

use super::header::Header;
use super::upsample::Upsampler;
use super::{Frame, Picture, picture_of};

/// What the planes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColourSpace {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

impl ColourSpace {
    /// The rules of libjpeg's `default_decompress_parms`.
    pub(super) fn of(frame: &Frame, header: &Header<'_>) -> ColourSpace {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (ids.as_slice(), header.adobe) {
            ([_], _) => ColourSpace::Grey,
            ([_, _, _], _) if header.is_jfif => ColourSpace::YCbCr,
            ([_, _, _], Some(0)) => ColourSpace::Rgb,
            (b"RGB", None) => ColourSpace::Rgb,
            ([_, _, _], _) => ColourSpace::YCbCr,
            (_, None | Some(0)) => ColourSpace::Cmyk,
            _ => ColourSpace::Ycck,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            ColourSpace::Grey => "grey",
            ColourSpace::Rgb | ColourSpace::YCbCr => "rgb",
            ColourSpace::Cmyk | ColourSpace::Ycck => "cmyk",
        }
    }
}

/// Interpolates the planes and converts them.
pub(super) fn convert(frame: &Frame, space: ColourSpace) -> Picture {
    let mut rows: Vec<Upsampler<'_>> =
        frame.components.iter().map(|c| Upsampler::new(frame, c)).collect();
    let width = frame.width;
    if let [grey] = rows.as_mut_slice() {
        let mut pixels = Vec::with_capacity(width * frame.height);
        for y in 0..frame.height {
            pixels.extend_from_slice(&grey.row(y)[..width]);
        }
        return picture_of(frame, 1, pixels);
    }
    let mut pixels = vec![0u8; 3 * width * frame.height];
    for (y, out) in pixels.chunks_exact_mut(3 * width).enumerate() {
        let mut planes = rows.iter_mut().map(|r| &r.row(y)[..width]);
        let [Some(a), Some(b), Some(c)] = [planes.next(), planes.next(), planes.next()] else {
            break;
        };
        let fourth = planes.next();
        let out = out.as_chunks_mut::<3>().0;
        let triples = a.iter().zip(b).zip(c).map(|((&a, &b), &c)| [a, b, c]);
        if matches!(space, ColourSpace::YCbCr | ColourSpace::Ycck) {
            for (pixel, triple) in out.iter_mut().zip(triples) {
                *pixel = ycc_to_rgb(triple);
            }
        } else {
            for (pixel, triple) in out.iter_mut().zip(triples) {
                *pixel = triple;
            }
        }
        if let Some(k) = fourth {
            for (pixel, &k) in out.iter_mut().zip(k) {
                // libjpeg makes YCCK to CMYK by 255 − RGB. Pillow takes CMYK as Adobe writes it,
                // inverted, whatever the file says.
                let ink = match space {
                    ColourSpace::Ycck => *pixel,
                    _ => pixel.map(|v| 255 - v),
                };
                *pixel = ink.map(|c| k.saturating_sub(product(c, k)));
            }
        }
    }
    picture_of(frame, 3, pixels)
}

/// a·b / 255, rounded.
fn product(a: u8, b: u8) -> u8 {
    let t = u32::from(a) * u32::from(b) + 128;
    (((t >> 8) + t) >> 8) as u8
}

/// JFIF's conversion in 16-bit fixed point (`jdcolor.c`).
#[inline(always)]
fn ycc_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let y = i32::from(y);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let r = y + ((91_881 * cr + HALF) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let b = y + ((116_130 * cb + HALF) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}
