use super::*;
use crate::{Channels, Filter};

fn picture(width: usize, height: usize, channels: usize) -> Picture {
    let pixels = (0..width * height * channels).map(|i| (i * 7919 % 253) as u8).collect();
    Picture { width, height, channels, pixels }
}

fn transform(size: usize, channels: Channels) -> Transform {
    Transform { size, crop_fraction: None, filter: Filter::Bilinear, channels }
}

fn look(sample: u64, view: u64) -> Look {
    Look { seed: 3, sample, view }
}

/// Laws of every method: the size stays, the same look is the same picture, other looks differ.
#[test]
fn every_method_keeps_its_size_and_its_draws() {
    for method in all() {
        let pipeline: Pipeline = method.name.parse().unwrap();
        for (width, height, from, to) in [
            (40, 30, 3, Channels::Rgb),
            (40, 30, 3, Channels::Grey),
            (31, 47, 1, Channels::Rgb),
            (1, 1, 3, Channels::Rgb),
            (1, 9, 1, Channels::Grey),
        ] {
            let make =
                |look| pipeline.apply(picture(width, height, from), &transform(16, to), look);
            let first = make(look(0, 0));
            assert_eq!(first.len(), 16 * 16 * to.count(), "{}", method.name);
            assert_eq!(first, make(look(0, 0)), "{}", method.name);
            if width > 1 && height > 1 {
                let views = (0..40).filter(|&view| make(look(0, view)) != first).count();
                let samples = (0..40).filter(|&sample| make(look(sample, 0)) != first).count();
                assert!(views > 5 && samples > 5, "{}: {views} {samples}", method.name);
            }
        }
    }
}

#[test]
fn nothing_is_the_plain_transform() {
    let pipeline: Pipeline = "none".parse().unwrap();
    assert!(pipeline.is_empty());
    let transform = transform(16, Channels::Rgb);
    let plain = transform.apply_to(picture(40, 30, 3));
    assert_eq!(pipeline.apply(picture(40, 30, 3), &transform, look(0, 0)), plain);
    for still in ["flip(p=0)", "jitter(strength=0)", "erasing(p=0)", "pad-crop(share=0)"] {
        let pipeline: Pipeline = still.parse().unwrap();
        assert_eq!(pipeline.apply(picture(40, 30, 3), &transform, look(0, 0)), plain, "{still}");
    }
}

#[test]
fn a_flip_is_its_own_inverse() {
    let both: Pipeline = "flip(p=1),flip(p=1)".parse().unwrap();
    let once: Pipeline = "flip(p=1)".parse().unwrap();
    let transform = transform(5, Channels::Rgb);
    let plain = transform.apply_to(picture(5, 5, 3));
    assert_eq!(both.apply(picture(5, 5, 3), &transform, look(0, 0)), plain);
    let flipped = once.apply(picture(5, 5, 3), &transform, look(0, 0));
    assert_eq!(flipped[..3], plain[12..15]);
}

#[test]
fn presets_and_lists_are_parsed_and_mistakes_told() {
    for (name, list) in PRESETS {
        let preset: Pipeline = name.parse().unwrap();
        assert_eq!(preset, list.parse().unwrap());
        assert_eq!(preset.to_string().parse::<Pipeline>().unwrap(), preset, "{name}");
    }
    for (text, expected) in [
        ("rotate", "unknown augmentation `rotate`"),
        ("crop(scale=2)", "from 0.01 to 1"),
        ("flip(q=1)", "has no option `q`"),
        ("flip,,", "a name was expected"),
    ] {
        let error = text.parse::<Pipeline>().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().contains("light") && error.hint().contains("pad-crop"));
    }
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
}

/// Pillow's own results; `tests/reference/tones.py` made them.
#[test]
fn tones_and_turns_are_those_of_pillow() {
    let reference: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/reference/tones.json")).unwrap();
    let bytes = |value: &serde_json::Value| -> Vec<u8> {
        value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u8).collect()
    };
    let mut seen = 0;
    for case in reference["cases"].as_array().unwrap() {
        let channels = case["channels"].as_u64().unwrap() as usize;
        let mut changed = Picture {
            width: 9,
            height: 7,
            channels,
            pixels: bytes(&reference["pictures"][channels.to_string()]),
        };
        let value = case["value"].as_f64().unwrap();
        match case["change"].as_str().unwrap() {
            "brightness" => tones::brightness(&mut changed, value),
            "contrast" => tones::contrast(&mut changed, value),
            "saturation" => tones::saturation(&mut changed, value),
            "sharpness" => tones::sharpness(&mut changed, value),
            "posterize" => tones::posterize(&mut changed, value as u32),
            "solarize" => tones::solarize(&mut changed, value),
            "autocontrast" => tones::autocontrast(&mut changed),
            "equalize" => tones::equalize(&mut changed),
            "rotate" => changed = geometry::rotate(&changed, value),
            "shear_x" => changed = geometry::shear_x(&changed, value),
            "shear_y" => changed = geometry::shear_y(&changed, value),
            "translate" => changed = geometry::translate(&changed, value, -value),
            other => panic!("{other}"),
        }
        let expected = bytes(&case["pixels"]);
        let worst = changed.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        let name = format!("{} {value} of {channels} channels", case["change"]);
        assert_eq!(worst, Some(0), "{name}: {:?} and {expected:?}", changed.pixels);
        seen += 1;
    }
    assert!(seen >= 40, "only {seen} cases");
}
