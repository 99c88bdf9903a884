//! Times decoding and resizing of the pictures in a folder on one thread.
//!
//!     cargo run --release -p offshoot-data --example decode_speed -- FOLDER

use std::time::Instant;

use offshoot_data::{Channels, Filter, Limits, Transform, decode, images};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: decode_speed FOLDER")?;
    let dataset = images(&[folder])?;
    let limits = Limits::default();
    let transform = Transform {
        size: 224,
        crop_fraction: Some(0.875),
        filter: Filter::Bicubic,
        channels: Channels::Rgb,
    };
    let (mut decoding, mut resizing, mut pixels) = (0.0, 0.0, 0);
    for sample in &dataset.samples {
        let start = Instant::now();
        let picture = decode(&sample.input, &limits)?;
        decoding += start.elapsed().as_secs_f64();
        pixels += picture.width * picture.height;
        let start = Instant::now();
        std::hint::black_box(transform.apply_to(picture));
        resizing += start.elapsed().as_secs_f64();
    }
    let n = dataset.samples.len() as f64;
    println!(
        "{n} pictures of {:.2} megapixels: {:.2} ms to decode, {:.2} ms to resize",
        pixels as f64 / n / 1e6,
        1e3 * decoding / n,
        1e3 * resizing / n
    );
    Ok(())
}
