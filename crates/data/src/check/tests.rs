//! One conformance suite for all checks: each finds the fault planted for it, none fires on a
//! clean set.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use rand::RngExt;
use tempfile::TempDir;

use super::*;
use crate::resize::{Filter, resize};
use crate::{Input, Picture, ReadOptions, Sample, open};

/// A picture with structure that is different for each `seed`.
fn scene(seed: u64) -> Picture {
    let mut rng = offshoot_random::generator(seed, "scene", 0, 0);
    let mut wave = || -> [f32; 4] { std::array::from_fn(|_| rng.random_range(-9.0..9.0)) };
    let waves: [[f32; 4]; 6] = std::array::from_fn(|_| wave());
    let (width, height) = (72, 56);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            for channel in 0..3 {
                let sum: f32 = (0..2)
                    .map(|k| {
                        let [a, b, c, d] = waves[2 * channel + k];
                        (a * u + b * v + c).sin() + 0.5 * (d * u * v * 3.0).cos()
                    })
                    .sum();
                pixels.push((128.0 + 40.0 * sum).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture { width, height, channels: 3, pixels }
}

fn encode(picture: &Picture, format: ImageFormat) -> Vec<u8> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let image = RgbImage::from_raw(width, height, picture.pixels.clone()).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(seed: u64) -> Vec<u8> {
    encode(&scene(seed), ImageFormat::Png)
}

fn jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width as u32, picture.height as u32);
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&picture.pixels, width, height, image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `{train,val,test}/{cat,dog}/*`, without a fault.
fn clean() -> TempDir {
    let root = TempDir::new().unwrap();
    let mut seed = 0;
    for part in ["train", "val", "test"] {
        for class in ["cat", "dog"] {
            for n in 0..4 {
                let bytes = if n % 2 == 0 { png(seed) } else { jpeg(&scene(seed), 85) };
                let ending = if n % 2 == 0 { "png" } else { "jpg" };
                put(root.path(), &format!("{part}/{class}/{n}.{ending}"), &bytes);
                seed += 1;
            }
        }
    }
    root
}

fn report_of(dataset: &Dataset) -> CheckReport {
    check(dataset, &CheckOptions::default(), &|_, _| {})
}

fn checked(root: &Path) -> CheckReport {
    report_of(&open(root, &ReadOptions::default()).unwrap())
}

/// A PNG header that claims this size, without the pixels.
fn huge_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(60_000u32.to_be_bytes());
    bytes.extend(60_000u32.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    let crc = flate2::Crc::new();
    let mut crc = crc;
    crc.update(&bytes[12..]);
    bytes.extend(crc.sum().to_be_bytes());
    bytes.extend(b"\0\0\0\x04IDAT\0\0\0\0\0\0\0\0");
    bytes
}

fn reference(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pictures");
    fs::read(folder.join(name)).unwrap()
}

/// Puts a fault of this kind into a clean set; returns where it must be found. Faults that files
/// cannot express are put into the data set that was read.
fn plant(kind: &str, root: &Path) -> Option<String> {
    let at = |name: &str, bytes: &[u8]| {
        put(root, name, bytes);
        Some(name.to_owned())
    };
    let original = fs::read(root.join("train/cat/0.png")).unwrap();
    match kind {
        "empty" => at("train/cat/e.png", b""),
        "truncated" => {
            let whole = jpeg(&scene(90), 85);
            at("train/cat/t.jpg", &whole[..whole.len() / 2])
        }
        "corrupt" => {
            let mut bytes = png(91);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            at("train/cat/c.png", &bytes)
        }
        "not-a-picture" => at("train/cat/h.jpg", b"<!DOCTYPE html><html>404</html>"),
        "unsupported" => at("train/cat/u.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        "too-large" => at("train/cat/bomb.png", &huge_png()),
        "wrong-ending" => at("train/cat/w.jpg", &png(92)),
        "exif-rotation" => at("train/cat/r.jpg", &reference("exif_6.jpg")),
        "clipped-grey" => at("train/cat/g.png", &reference("png_16_bit_grey.png")),
        "blank" => {
            let mut blank = scene(0);
            blank.pixels.fill(77);
            at("train/cat/b.png", &encode(&blank, ImageFormat::Png))
        }
        "tiny" => {
            let tiny = resize(&scene(93), 5, 20, Filter::Bilinear);
            at("train/cat/tiny.png", &encode(&tiny, ImageFormat::Png))
        }
        "duplicate" => at("train/cat/copy.png", &original),
        "leak" => {
            // Another format with the same pixels.
            let bytes = encode(&scene(0), ImageFormat::Bmp);
            at("test/cat/copy.bmp", &bytes)
        }
        "near-leak" => at("test/cat/copy.jpg", &jpeg(&scene(0), 75)),
        "conflicting-labels" => at("train/dog/copy.png", &original),
        "empty-class" => {
            fs::create_dir(root.join("train/owl")).unwrap();
            Some("owl".to_owned())
        }
        "one-sample-class" => {
            put(root, "train/owl/1.png", &png(94));
            Some("owl".to_owned())
        }
        "similar-class-names" => {
            put(root, "train/Cat/1.png", &png(95));
            Some("cat".to_owned())
        }
        "unseen-class" => {
            put(root, "test/owl/1.png", &png(96));
            Some("owl".to_owned())
        }
        "imbalance" => {
            put(root, "train/owl/1.png", &png(97));
            Some("owl".to_owned())
        }
        "one-class" => {
            for part in ["train", "val", "test"] {
                fs::remove_dir_all(root.join(part).join("dog")).unwrap();
            }
            Some("cat".to_owned())
        }
        _ => None,
    }
}

/// Changes the data set that was read; returns where the fault must be found.
fn plant_in(kind: &str, dataset: &mut Dataset) -> String {
    let sample = &mut dataset.samples[0];
    match kind {
        "missing" => sample.input = Input::File("/no/such/picture.png".into()),
        "refused" => sample.input = Input::File(std::env::temp_dir()),
        "missing-label" => sample.label = None,
        "outside-folder" => sample.id = "../elsewhere/1.png".to_owned(),
        "not-text" => {
            let path = std::env::temp_dir().join(format!("offshoot-{}.txt", std::process::id()));
            fs::write(&path, b"a\0b").unwrap();
            sample.input = Input::TextFile(path);
        }
        "empty-text" => sample.input = Input::Text(" \n...".into()),
        "odd-encoding" => sample.input = Input::Text("the cafÃ© was closed".into()),
        "long-texts" => {
            sample.input = Input::Text("word ".repeat(381).as_str().into());
            return String::new();
        }
        "mixed-languages" => {
            let texts = [
                "this is the first of the texts that are read",
                "das ist der erste von den Texten, die nicht passen",
            ];
            for (i, sample) in dataset.samples.iter_mut().enumerate() {
                sample.input = Input::Text(format!("{} {i}", texts[i % 2]).as_str().into());
            }
            return String::new();
        }
        "mixed-scripts" => {
            sample.input = Input::Text("a good film".into());
            dataset.samples[1].input = Input::Text("хороший фильм".into());
            return String::new();
        }
        "not-finite" => sample.input = Input::Vector([1.0, f32::NAN].into()),
        "unlabelled" => {
            dataset.samples.iter_mut().for_each(|s| s.label = None);
            return String::new();
        }
        "group-straddles" => {
            let n = dataset.samples.len();
            for i in [0, n - 1] {
                dataset.samples[i].group = Some("patient 7".to_owned());
            }
            return "patient 7".to_owned();
        }
        other => panic!("no fault of kind `{other}` is planted"),
    }
    dataset.samples[0].id.clone()
}

#[test]
fn a_clean_set_has_no_problems() {
    let root = clean();
    let report = checked(root.path());
    assert_eq!(report.problems, []);
    assert!(report.unreadable.is_empty() && report.duplicates.is_empty());
    assert_eq!(report.summary.classes["cat"]["train"], 4);
    assert_eq!(report.summary.formats["jpeg"], 12);
    assert_eq!(report.summary.sizes["72×56"], 24);
}

#[test]
fn every_check_finds_the_fault_planted_for_it() {
    for check in CHECKS {
        for kind in check.kinds {
            let root = clean();
            let planted = plant(kind, root.path());
            let mut dataset = open(root.path(), &ReadOptions::default()).unwrap();
            let place = planted.unwrap_or_else(|| plant_in(kind, &mut dataset));
            let report = report_of(&dataset);
            let found: Vec<_> = report.problems.iter().filter(|p| p.kind == *kind).collect();
            // The rows of a class of one give the imbalance too, so only this kind is counted.
            assert_eq!(found.len(), 1, "{kind}: {:#?}", report.problems);
            assert_eq!(found[0].path, place, "{kind}");
            assert!((check.run)(&view_without(&dataset)).len() <= dataset.samples.len());
            let expected = usize::from(check.name == "unreadable");
            assert_eq!(report.unreadable.len(), expected, "{kind}");
        }
    }
}

/// What checks see if nothing could be looked at; they must bear that.
fn view_without(dataset: &Dataset) -> View<'_> {
    static OPTIONS: std::sync::LazyLock<CheckOptions> =
        std::sync::LazyLock::new(CheckOptions::default);
    View { dataset, options: &OPTIONS, looks: &[], equal: &[], alike: &[] }
}

#[test]
fn the_registry_names_each_check_by_its_file_and_each_kind_once() {
    let mut kinds = std::collections::BTreeSet::new();
    for check in CHECKS {
        let file = format!("src/check/{}.rs", check.name);
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file());
        assert!(!check.about.is_empty());
        assert!(check.kinds.iter().all(|kind| kinds.insert(kind)));
    }
}

#[test]
fn re_encoded_and_resized_copies_across_parts_are_found() {
    let root = TempDir::new().unwrap();
    let resized = |seed, width, height, filter| resize(&scene(seed), width, height, filter);
    let mut copies = 0;
    for seed in 0..25 {
        put(root.path(), &format!("train/{}/{seed}.png", seed % 2), &png(seed));
        let variants = [
            jpeg(&scene(seed), 50),
            jpeg(&scene(seed), 75),
            jpeg(&scene(seed), 90),
            encode(&resized(seed, 36, 28, Filter::Bilinear), ImageFormat::Png),
            encode(&resized(seed, 224, 224, Filter::Bicubic), ImageFormat::Png),
            jpeg(&resized(seed, 108, 84, Filter::Bicubic), 75),
        ];
        for (n, bytes) in variants.iter().enumerate() {
            put(root.path(), &format!("test/{}/{seed}-{n}.img", seed % 2), bytes);
            copies += 1;
        }
    }
    let report = checked(root.path());
    let found = report.problems.iter().filter(|p| p.kind == "near-leak").count();
    println!("{found} of {copies} copies are found");
    assert!(found * 100 >= 95 * copies, "{found} of {copies} copies are found");
    // Different pictures are not taken for copies: every set is of one seed.
    for set in &report.duplicates {
        let dataset = open(root.path(), &ReadOptions::default()).unwrap();
        let seeds: std::collections::BTreeSet<String> = set
            .iter()
            .map(|&i| {
                let name = dataset.samples[i].id.rsplit('/').next().unwrap().to_owned();
                name.split(['-', '.']).next().unwrap().to_owned()
            })
            .collect();
        assert_eq!(seeds.len(), 1, "{seeds:?}");
    }
}

#[test]
fn the_report_does_not_depend_on_the_number_of_threads() {
    let root = clean();
    for kind in ["empty", "leak", "near-leak", "duplicate", "truncated"] {
        plant(kind, root.path());
    }
    let dataset = open(root.path(), &ReadOptions::default()).unwrap();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let report = pool.unwrap().install(|| report_of(&dataset));
        serde_json::to_string(&report).unwrap()
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn the_bad_fraction_counts_unreadable_samples() {
    let root = clean();
    for n in 0..8 {
        put(root.path(), &format!("train/cat/bad{n}.png"), b"");
    }
    let report = checked(root.path());
    assert_eq!(report.bad_fraction(), 8.0 / 32.0);
    assert_eq!(report.count(Severity::Error), 8);
}

#[test]
fn progress_counts_every_sample() {
    let root = clean();
    let dataset = open(root.path(), &ReadOptions::default()).unwrap();
    let last = std::sync::atomic::AtomicUsize::new(0);
    check(&dataset, &CheckOptions::default(), &|done, all| {
        assert_eq!(all, 24);
        last.fetch_max(done, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(last.into_inner(), 24);
}

#[test]
fn vectors_are_checked_too() {
    let sample = |id: &str, values: [f32; 2], label| Sample {
        id: id.to_owned(),
        input: Input::Vector(values.into()),
        label: Some(label),
        split: None,
        domain: None,
        group: None,
    };
    let dataset = Dataset {
        name: "vectors".to_owned(),
        classes: vec!["a".to_owned(), "b".to_owned()],
        samples: vec![
            sample("x#0", [1.0, 2.0], 0),
            sample("x#1", [1.0, 3.0], 0),
            sample("x#2", [1.0, 2.0], 1),
            sample("x#3", [2.0, 2.0], 1),
        ],
        notes: Vec::new(),
    };
    let report = report_of(&dataset);
    let kinds: Vec<_> = report.problems.iter().map(|p| p.kind.as_str()).collect();
    assert_eq!(kinds, ["conflicting-labels", "duplicate"]);
    assert_eq!(report.duplicates, [[0, 2]]);
    assert_eq!(report.summary.vectors, 4);
}

#[test]
fn the_faults_of_a_manifest_are_found() {
    let root = TempDir::new().unwrap();
    for n in 0..8 {
        put(root.path(), &format!("set/{n}.png"), &png(n));
    }
    put(root.path(), "away.png", &png(8));
    let rows = "path,label,split,group\n\
                0.png,cat,train,g1\n1.png,dog,train,g2\n2.png,cat ,train,g3\n\
                3.png,NaN,train,g4\n4.png,dog,test,g2\n5.png,owl,test,g5\n\
                gone.png,cat,train,g6\n../away.png,dog,train,g7\n\
                6.png,cat,train,g8\n6.png,dog,train,g9\n7.png,cat ,train,g10\n";
    put(root.path(), "set/list.csv", rows.as_bytes());
    let report = checked(&root.path().join("set/list.csv"));
    let found: Vec<(&str, &str)> =
        report.problems.iter().map(|p| (p.kind.as_str(), p.path.as_str())).collect();
    let expected = [
        ("conflicting-labels", "6.png"),
        ("group-straddles", "g2"),
        ("missing", "gone.png"),
        ("unseen-class", "owl"),
        ("duplicate", "6.png"),
        ("missing-label", "3.png"),
        ("one-sample-class", "owl"),
        ("similar-class-names", "cat "),
        ("outside-folder", "../away.png"),
    ];
    assert_eq!(found, expected);
}
