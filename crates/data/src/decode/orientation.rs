//! EXIF orientation: turning pictures upright.

use super::Picture;

/// Undoes EXIF orientation 2..=8 (EXIF 2.32, tag 0x0112); other values mean upright.
pub(super) fn upright(picture: Picture, orientation: u8) -> Picture {
    let Picture { width: w, height: h, channels: c, .. } = picture;
    // Where pixel (x, y) of the upright picture is in the stored one.
    let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => return picture,
    };
    let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (sx, sy) = from(x, y, w, h);
            let at = (sy * w + sx) * c;
            pixels.extend_from_slice(&picture.pixels[at..at + c]);
        }
    }
    Picture { width, height, channels: c, pixels }
}
