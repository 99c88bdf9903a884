//! Changes of brightness and colour, with Pillow's arithmetic.

use crate::Picture;

/// `degenerate + factor·(value − degenerate)`, cut off like Pillow's `Image.blend`.
fn blend(degenerate: u8, value: u8, factor: f64) -> u8 {
    let factor = factor as f32;
    let mixed = f32::from(degenerate) + factor * (f32::from(value) - f32::from(degenerate));
    mixed.clamp(0.0, 255.0) as u8
}

/// Pillow's luma of a pixel.
fn luma(pixel: &[u8]) -> u8 {
    match pixel {
        [r, g, b] => {
            let [r, g, b] = [*r, *g, *b].map(u32::from);
            ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
        }
        _ => pixel[0],
    }
}

/// Factor 0 is black, 1 the picture.
pub(super) fn brightness(picture: &mut Picture, factor: f64) {
    picture.pixels.iter_mut().for_each(|v| *v = blend(0, *v, factor));
}

/// Factor 0 is a grey of the mean, 1 the picture.
pub(super) fn contrast(picture: &mut Picture, factor: f64) {
    let pixels = picture.pixels.chunks_exact(picture.channels);
    let n = pixels.len().max(1);
    let sum: u64 = pixels.map(|p| u64::from(luma(p))).sum();
    let mean = (sum as f64 / n as f64 + 0.5) as u8;
    picture.pixels.iter_mut().for_each(|v| *v = blend(mean, *v, factor));
}

/// Factor 0 is grey, 1 the picture. Grey pictures stay.
pub(super) fn saturation(picture: &mut Picture, factor: f64) {
    for pixel in picture.pixels.chunks_exact_mut(picture.channels) {
        let grey = luma(pixel);
        pixel.iter_mut().for_each(|v| *v = blend(grey, *v, factor));
    }
}

/// Factor 0 is smoothed, 1 the picture, 2 sharpened.
pub(super) fn sharpness(picture: &mut Picture, factor: f64) {
    let Picture { width, height, channels, .. } = *picture;
    let old = picture.pixels.clone();
    // Pillow leaves the border as it is.
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            for c in 0..channels {
                let at = |dy: usize, dx: usize| {
                    f32::from(old[((y + dy - 1) * width + x + dx - 1) * channels + c])
                };
                let mut sum = 0.0f32;
                for dy in 0..3 {
                    for dx in 0..3 {
                        let weight = if (dy, dx) == (1, 1) { 5.0 / 13.0 } else { 1.0 / 13.0 };
                        sum += weight * at(dy, dx);
                    }
                }
                let smooth = (sum + 0.5).clamp(0.0, 255.0) as u8;
                let place = (y * width + x) * channels + c;
                picture.pixels[place] = blend(smooth, old[place], factor);
            }
        }
    }
}

/// Keeps the upper `bits` of every value.
pub(super) fn posterize(picture: &mut Picture, bits: u32) {
    let mask = !(0xffu32 >> bits.min(8)) as u8;
    picture.pixels.iter_mut().for_each(|v| *v &= mask);
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(picture: &mut Picture, threshold: f64) {
    for v in &mut picture.pixels {
        if f64::from(*v) >= threshold {
            *v = 255 - *v;
        }
    }
}

/// Stretches every channel to the whole range.
pub(super) fn autocontrast(picture: &mut Picture) {
    by_channel(picture, |counts| {
        let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&n| n > 0).unwrap_or(255);
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|i| (i as f64 * scale + offset).clamp(0.0, 255.0) as u8))
    });
}

/// Makes all values of a channel about equally frequent.
pub(super) fn equalize(picture: &mut Picture) {
    by_channel(picture, |counts| {
        let present: Vec<u64> = counts.iter().copied().filter(|&n| n > 0).collect();
        let last = present.last().copied().unwrap_or(0);
        let step = (present.iter().sum::<u64>() - last) / 255;
        if present.len() <= 1 || step == 0 {
            return None;
        }
        let mut before = step / 2;
        Some(std::array::from_fn(|i| {
            let value = (before / step).min(255) as u8;
            before += counts[i];
            value
        }))
    });
}

/// Replaces values by a table made from each channel's counts.
fn by_channel(picture: &mut Picture, table: impl Fn(&[u64; 256]) -> Option<[u8; 256]>) {
    for channel in 0..picture.channels {
        let values = || (channel..).step_by(picture.channels);
        let mut counts = [0u64; 256];
        let n = picture.pixels.len();
        for at in values().take_while(|&at| at < n) {
            counts[usize::from(picture.pixels[at])] += 1;
        }
        if let Some(table) = table(&counts) {
            for at in (channel..n).step_by(picture.channels) {
                picture.pixels[at] = table[usize::from(picture.pixels[at])];
            }
        }
    }
}
