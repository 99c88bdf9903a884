//! Rotation, shear and translation: every pixel takes the nearest source pixel; outside is black, as in
//! Pillow's `Image.transform` with `NEAREST`.

use crate::Picture;

/// `source = (a·x + b·y + c, d·x + e·y + f)` for pixel centres.
pub(super) fn affine(picture: &Picture, [a, b, c, d, e, f]: [f64; 6]) -> Picture {
    let Picture { width, height, channels, .. } = *picture;
    let mut pixels = vec![0; picture.pixels.len()];
    for y in 0..height {
        for x in 0..width {
            let (px, py) = (x as f64 + 0.5, y as f64 + 0.5);
            let (sx, sy) = (a * px + b * py + c, d * px + e * py + f);
            if sx < 0.0 || sy < 0.0 || sx >= width as f64 || sy >= height as f64 {
                continue;
            }
            let from = (sy as usize * width + sx as usize) * channels;
            let to = (y * width + x) * channels;
            pixels[to..to + channels].copy_from_slice(&picture.pixels[from..from + channels]);
        }
    }
    Picture { pixels, ..*picture }
}

/// Around the centre by `degrees`, counter-clockwise.
pub(super) fn rotate(picture: &Picture, degrees: f64) -> Picture {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let (cx, cy) = (picture.width as f64 / 2.0, picture.height as f64 / 2.0);
    // Pillow rounds the matrix to 15 places, so that quarter turns are exact.
    let round = |v: f64| (v * 1e15).round() / 1e15;
    let (sin, cos) = (round(sin), round(cos));
    affine(picture, [cos, sin, cx - cos * cx - sin * cy, -sin, cos, cy + sin * cx - cos * cy])
}

/// Along x by `factor` of y, around the first pixel.
pub(super) fn shear_x(picture: &Picture, factor: f64) -> Picture {
    affine(picture, [1.0, factor, 0.0, 0.0, 1.0, 0.0])
}

/// Along y by `factor` of x.
pub(super) fn shear_y(picture: &Picture, factor: f64) -> Picture {
    affine(picture, [1.0, 0.0, 0.0, factor, 1.0, 0.0])
}

/// By whole pixels.
pub(super) fn translate(picture: &Picture, dx: f64, dy: f64) -> Picture {
    affine(picture, [1.0, 0.0, -dx.trunc(), 0.0, 1.0, -dy.trunc()])
}
