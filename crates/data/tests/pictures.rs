//! Decoding and resizing against Pillow, on the files that `reference/pictures.py` wrote.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use offshoot_data::{Channels, Filter, Input, Limits, Picture, Transform, decode, resize, to_grey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    height: usize,
    /// Base64 of zlib of `[height, width, 3]` bytes.
    rgb: String,
}

fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn goldens() -> BTreeMap<String, Golden> {
    let text = std::fs::read_to_string(reference("pictures.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn unpack(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut packed = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit = |d: &u8| DIGITS.iter().position(|x| x == d).unwrap() as u32;
        let bits = four.iter().fold(0, |n, d| n << 6 | digit(d)) << (6 * (4 - four.len()));
        packed.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn rgb(picture: &Picture) -> Vec<u8> {
    match picture.channels {
        1 => picture.pixels.iter().flat_map(|&v| [v; 3]).collect(),
        _ => picture.pixels.clone(),
    }
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&x, &y)| x.abs_diff(y)).max().unwrap()
}

#[test]
fn every_picture_decodes_as_pillow_decodes_it() {
    let mut worst = Vec::new();
    for (name, golden) in goldens() {
        let input = Input::File(reference("pictures").join(&name));
        let picture = match decode(&input, &Limits::default()) {
            Ok(picture) => picture,
            Err(error) => {
                worst.push((255, format!("{name}: {error}")));
                continue;
            }
        };
        if (picture.width, picture.height) != (golden.width, golden.height) {
            worst.push((255, format!("{name}: {} × {}", picture.width, picture.height)));
            continue;
        }
        let difference = largest_difference(&rgb(&picture), &unpack(&golden.rgb));
        worst.push((difference, name));
    }
    worst.sort();
    assert!(worst.len() >= 60, "{} pictures", worst.len());
    let exact = worst.iter().filter(|(d, _)| *d == 0).count();
    println!("{exact} of {} pictures are equal to Pillow's", worst.len());
    let bad: Vec<_> = worst.iter().filter(|(d, _)| *d > 1).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let inexact: Vec<_> = worst.iter().filter(|(d, _)| *d > 0).collect();
    assert!(
        inexact.iter().all(|(_, name)| !name.ends_with(".jpg")),
        "JPEG is decoded bit for bit: {inexact:?}"
    );
}

#[derive(Deserialize)]
struct Resized {
    source: Golden,
    exact: Vec<Exact>,
    crops: Vec<Crop>,
    grey: String,
    grey_24: String,
}

#[derive(Deserialize)]
struct Exact {
    filter: Filter,
    width: usize,
    height: usize,
    rgb: String,
}

#[derive(Deserialize)]
struct Crop {
    filter: Filter,
    size: usize,
    fraction: f32,
    turned: bool,
    rgb: String,
}

fn resized() -> (Picture, Resized) {
    let text = std::fs::read_to_string(reference("resized.json")).unwrap();
    let resized: Resized = serde_json::from_str(&text).unwrap();
    let source = Picture {
        width: resized.source.width,
        height: resized.source.height,
        channels: 3,
        pixels: unpack(&resized.source.rgb),
    };
    (source, resized)
}

#[test]
fn resizing_equals_pillow() {
    let (source, resized) = resized();
    for case in &resized.exact {
        let ours = resize(&source, case.width, case.height, case.filter);
        assert_eq!(
            ours.pixels,
            unpack(&case.rgb),
            "{:?} {} × {}",
            case.filter,
            case.width,
            case.height
        );
    }
    let grey = to_grey(source);
    assert_eq!(grey.pixels, unpack(&resized.grey));
    let small = resize(&grey, 24, 24, Filter::Bicubic);
    assert_eq!(small.pixels, unpack(&resized.grey_24));
}

#[test]
fn resizing_and_cropping_equals_torchvision() {
    let (source, resized) = resized();
    let [w, h] = [source.width, source.height];
    let transposed = (0..w).flat_map(|x| (0..h).map(move |y| 3 * (y * w + x)));
    let turned = Picture {
        width: h,
        height: w,
        channels: 3,
        pixels: transposed.flat_map(|at| source.pixels[at..at + 3].to_vec()).collect(),
    };
    for case in &resized.crops {
        let transform = Transform {
            size: case.size,
            crop_fraction: Some(case.fraction),
            filter: case.filter,
            channels: Channels::Rgb,
        };
        let picture = if case.turned { &turned } else { &source };
        let ours = transform.apply_to(picture.clone());
        assert_eq!(ours, unpack(&case.rgb), "{transform:?} turned: {}", case.turned);
    }
}
