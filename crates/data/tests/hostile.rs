//! No bytes make a reader or decoder panic, or take memory that they do not earn.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_data::{
    Channels, CheckOptions, Fault, Filter, Input, Limits, ReadOptions, Transform, check, decode,
    open,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn pictures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pictures");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn try_decode(bytes: &[u8]) -> Result<(), Fault> {
    match decode(&Input::Encoded(bytes.into()), &Limits::default()) {
        Ok(picture) => {
            let values = picture.width * picture.height * picture.channels;
            assert_eq!(picture.pixels.len(), values);
            Ok(())
        }
        Err(error) => Err(error.fault().expect("an error about a picture has its fault")),
    }
}

#[test]
fn truncated_pictures_are_refused() {
    let formats_that_must_notice = ["jpg", "png", "gif", "bmp", "webp", "tif", "ppm", "pgm"];
    for (name, bytes) in pictures() {
        let ending = name.rsplit('.').next().unwrap();
        assert!(formats_that_must_notice.contains(&ending), "{name}");
        let half = try_decode(&bytes[..bytes.len() / 2]);
        assert!(matches!(half, Err(Fault::Truncated | Fault::Corrupt)), "{name}: {half:?}");
        for cut in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            let _ = try_decode(&bytes[..cut]);
        }
    }
}

#[test]
fn a_jpeg_without_its_end_is_truncated() {
    for (name, bytes) in pictures() {
        if name.starts_with("jpeg_") {
            assert_eq!(try_decode(&bytes[..bytes.len() - 2]), Err(Fault::Truncated), "{name}");
        }
    }
}

#[test]
fn bytes_after_the_end_do_no_harm() {
    for (name, mut bytes) in pictures() {
        bytes.extend([0xff, 0xd8, 0, 7]);
        assert_eq!(try_decode(&bytes), Ok(()), "{name}");
    }
}

/// Headers that claim 65,000 × 65,000 pixels in a few bytes.
#[test]
fn decompression_bombs_are_refused_by_their_headers() {
    let side = 65_000u16;
    let by_name = |wanted: &str| {
        let found = pictures().into_iter().find(|(name, _)| name == wanted);
        found.unwrap().1
    };
    let mut bombs = Vec::new();
    for (name, marker) in [("jpeg_420.jpg", 0xc0), ("jpeg_420_progressive.jpg", 0xc2)] {
        let mut jpeg = by_name(name);
        let at = jpeg.windows(2).position(|w| w == [0xff, marker]).unwrap();
        jpeg[at + 5..at + 7].copy_from_slice(&side.to_be_bytes());
        jpeg[at + 7..at + 9].copy_from_slice(&side.to_be_bytes());
        bombs.push(jpeg);
    }
    let mut gif = by_name("gif.gif");
    gif[6..8].copy_from_slice(&side.to_le_bytes());
    gif[8..10].copy_from_slice(&side.to_le_bytes());
    bombs.push(gif);
    let mut bmp = by_name("bmp_rgb.bmp");
    bmp[18..22].copy_from_slice(&u32::from(side).to_le_bytes());
    bmp[22..26].copy_from_slice(&u32::from(side).to_le_bytes());
    bombs.push(bmp);
    bombs.push(format!("P6 {side} {side} 255\n").into_bytes());
    for (i, bomb) in bombs.iter().enumerate() {
        let start = std::time::Instant::now();
        assert_eq!(try_decode(bomb), Err(Fault::TooLarge), "bomb {i}");
        assert!(start.elapsed().as_secs_f64() < 1.0, "bomb {i}");
    }
}

#[test]
fn limits_are_kept() {
    let (_, bytes) = pictures().swap_remove(20);
    let input = Input::Encoded(bytes.into());
    let picture = decode(&input, &Limits::default()).unwrap();
    let limits = [
        Limits { max_width: picture.width - 1, ..Limits::default() },
        Limits { max_height: picture.height - 1, ..Limits::default() },
        Limits { max_pixels: (picture.width * picture.height - 1) as u64, ..Limits::default() },
        Limits { max_bytes: 100, ..Limits::default() },
    ];
    for limits in limits {
        let error = decode(&input, &limits).unwrap_err();
        assert_eq!(error.fault(), Some(Fault::TooLarge), "{limits:?}");
        let size = format!("{} × {} pixels", picture.width, picture.height);
        assert!(limits.max_bytes == 100 || error.to_string().contains(&size), "{error}");
    }
}

#[test]
fn extreme_aspects_can_be_transformed() {
    for (width, height) in [(1, 1), (1, 4000), (4000, 1), (3, 2)] {
        let picture = offshoot_data::Picture {
            width,
            height,
            channels: 3,
            pixels: vec![9; 3 * width * height],
        };
        for crop_fraction in [None, Some(0.875), Some(1.0), Some(0.0), Some(f32::NAN)] {
            let transform = Transform {
                size: 24,
                crop_fraction,
                filter: Filter::Bicubic,
                channels: Channels::Grey,
            };
            let values = transform.apply_to(picture.clone());
            assert_eq!(values, vec![9; 24 * 24]);
        }
    }
}

fn read_everything(root: &Path) {
    if let Ok(dataset) = open(root, &ReadOptions::default()) {
        check(&dataset, &CheckOptions::default(), &|_, _| {});
    }
}

/// One file of each form that a reader takes.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let mut idx = vec![0, 0, 8, 3];
    idx.extend([0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3]);
    idx.extend([5; 18]);
    let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 3), }\n";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.bytes());
    npy.extend([1; 18]);
    let csv = b"path,label,split\na.png,b,train\nc.png,d,test\n".to_vec();
    vec![
        ("train-images-idx3-ubyte", idx),
        ("x.npy", npy.clone()),
        ("list.csv", csv),
        ("texts.csv", b"text,label,split\n\"a, b\nc\",u,train\nd e,v,test\n".to_vec()),
        ("texts.tsv", b"label\ttext\nu\ta \"b\nv\tc d e\n".to_vec()),
        ("texts.jsonl", b"{\"text\":\"a b\",\"label\":1}\n{\"text\":\"c\",\"label\":2}\n".to_vec()),
        ("texts.tab", b"c\tt\nd\tstring\nclass\t\nu\ta b\nv\tc d\n".to_vec()),
        ("data.npz", npz(&npy)),
    ]
}

/// A stored zip archive with the member `x.npy`.
fn npz(npy: &[u8]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let name = b"x.npy";
    let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    fields.extend(crc(npy).to_le_bytes());
    fields.extend((npy.len() as u32).to_le_bytes());
    fields.extend((npy.len() as u32).to_le_bytes());
    fields.extend([name.len() as u8, 0, 0, 0]);
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend(&fields);
    bytes.extend(name);
    bytes.extend(npy);
    let directory = bytes.len() as u32;
    bytes.extend(b"PK\x01\x02\x14\x00");
    bytes.extend(&fields);
    bytes.extend([0; 14]);
    bytes.extend(name);
    let size = bytes.len() as u32 - directory;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn the_forms_that_are_mutated_are_read_when_whole() {
    for (name, bytes) in forms() {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join(name), bytes).unwrap();
        let dataset = open(&root.path().join(name), &ReadOptions::default());
        assert_eq!(dataset.unwrap().samples.len(), 2, "{name}");
    }
}

/// Flips, overwrites, inserts and cuts.
fn mutate(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) {
    for (place, kind, value) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = place.index(bytes.len());
        match kind % 6 {
            0 => bytes[at] ^= 1 << (value % 8),
            1 => bytes[at] = *value,
            2 => bytes[at] = 0xff,
            3 => bytes.insert(at, *value),
            4 => drop(bytes.remove(at)),
            _ if *value < 16 => bytes.truncate(at),
            _ => bytes[at] = bytes[at].wrapping_add(*value),
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn mutated_pictures_never_panic(which in any::<prop::sample::Index>(), changes in changes()) {
        let files = pictures_once();
        let mut bytes = which.get(files).1.clone();
        mutate(&mut bytes, &changes);
        let _ = try_decode(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_magic_never_panic(
        which in any::<prop::sample::Index>(),
        keep in 2usize..40,
        tail in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = &which.get(pictures_once()).1;
        let mut bytes = bytes[..keep.min(bytes.len())].to_vec();
        bytes.extend(tail);
        let _ = try_decode(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn mutated_data_sets_never_panic(which in 0usize..8, changes in changes()) {
        let root = TempDir::new().unwrap();
        let (name, mut bytes) = forms().swap_remove(which);
        mutate(&mut bytes, &changes);
        fs::write(root.path().join(name), bytes).unwrap();
        read_everything(&root.path().join(name));
        read_everything(root.path());
    }

    #[test]
    fn random_bytes_are_no_data_set(which in 0usize..8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let root = TempDir::new().unwrap();
        let (name, _) = forms().swap_remove(which);
        fs::write(root.path().join(name), bytes).unwrap();
        read_everything(&root.path().join(name));
        read_everything(root.path());
    }
}

fn pictures_once() -> &'static [(String, Vec<u8>)] {
    static FILES: std::sync::LazyLock<Vec<(String, Vec<u8>)>> = std::sync::LazyLock::new(pictures);
    &FILES
}
