//! Decoding and resizing against Pillow, on the files that `reference/pictures.py` wrote.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use offshoot_data::{Input, Limits, Picture, decode};
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
    let bad: Vec<_> = worst.iter().filter(|(d, _)| *d > 1).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
