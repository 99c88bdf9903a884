use std::fs;
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{Input, Split};

/// A folder with the given files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn read(path: &Path) -> Result<Dataset> {
    open(path, &ReadOptions::default())
}

fn ids(data: &Dataset) -> Vec<&str> {
    data.samples.iter().map(|s| s.id.as_str()).collect()
}

fn names(data: &Dataset) -> Vec<Option<&str>> {
    let name = |label: u32| data.classes[label as usize].as_str();
    data.samples.iter().map(|s| s.label.map(name)).collect()
}

fn splits(data: &Dataset) -> Vec<Option<Split>> {
    data.samples.iter().map(|s| s.split).collect()
}

fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    bytes.extend_from_slice(values);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend_from_slice(values);
    bytes
}

#[test]
fn class_folders_give_sorted_classes_and_skip_litter() {
    let root = folder(&[
        ("dog/deep/b.png", b"x"),
        ("cat/a.JPG", b"x"),
        ("cat/.hidden.png", b"x"),
        ("cat/Thumbs.db", b"x"),
        ("cat/notes.txt", b"x"),
        ("cat/unnamed", b"\x89PNG\r\n\x1a\n"),
        ("__MACOSX/cat/a.png", b"x"),
    ]);
    fs::create_dir(root.path().join("empty")).unwrap();
    let data = read(root.path()).unwrap();
    assert_eq!(data.classes, ["cat", "dog", "empty"]);
    assert_eq!(ids(&data), ["cat/a.JPG", "cat/unnamed", "dog/deep/b.png"]);
    assert_eq!(names(&data), [Some("cat"), Some("cat"), Some("dog")]);
    assert_eq!(splits(&data), [None; 3]);
}

#[test]
fn split_folders_give_splits() {
    let root = folder(&[
        ("train/a/1.png", b""),
        ("validation/b/2.png", b""),
        ("test/a/3.png", b""),
        ("test/4.png", b""),
    ]);
    let data = read(root.path()).unwrap();
    assert_eq!(data.classes, ["a", "b"]);
    assert_eq!(ids(&data)[0], "test/4.png");
    assert_eq!(names(&data), [None, Some("a"), Some("a"), Some("b")]);
    let expected = [Split::Test, Split::Test, Split::Train, Split::Val].map(Some);
    assert_eq!(splits(&data), expected);
}

#[test]
fn a_class_may_be_called_train() {
    let root = folder(&[("train/1.png", b""), ("bus/1.png", b"")]);
    assert_eq!(read(root.path()).unwrap().classes, ["bus", "train"]);
}

#[test]
fn a_flat_folder_is_unlabelled() {
    let root = folder(&[("2.png", b""), ("1.png", b"")]);
    let data = read(root.path()).unwrap();
    assert_eq!(ids(&data), ["1.png", "2.png"]);
    assert_eq!(names(&data), [None, None]);
    let listed = images(&[root.path().to_path_buf(), root.path().join("2.png")]).unwrap();
    assert_eq!(listed.samples.len(), 3);
    assert!(images(&[PathBuf::from("/no/such/file.png")]).is_err());
}

#[cfg(unix)]
#[test]
fn circles_of_symbolic_links_end() {
    let root = folder(&[("a/1.png", b""), ("b/2.png", b"")]);
    std::os::unix::fs::symlink(root.path(), root.path().join("a/up")).unwrap();
    std::os::unix::fs::symlink("loop", root.path().join("a/loop")).unwrap();
    let data = read(root.path()).unwrap();
    assert_eq!(ids(&data), ["a/1.png", "b/2.png"]);
}

#[test]
fn a_manifest_gives_every_column() {
    let text = "\u{feff}Path;Label;Split;Domain;Group\nx/1.png;b;train;web;g1\n\
                x/2.png;a;test;;\n../3.png;;;;\n4.png;NaN;val;;\n";
    let root = folder(&[("list.csv", text.as_bytes())]);
    let data = read(&root.path().join("list.csv")).unwrap();
    assert_eq!(data.classes, ["a", "b"]);
    assert_eq!(names(&data), [Some("b"), Some("a"), None, None]);
    let expected = [Some(Split::Train), Some(Split::Test), None, Some(Split::Val)];
    assert_eq!(splits(&data), expected);
    assert_eq!(data.samples[0].group.as_deref(), Some("g1"));
    assert_eq!(data.samples[0].domain.as_deref(), Some("web"));
    match &data.samples[0].input {
        Input::File(file) => assert_eq!(file, &root.path().join("x/1.png")),
        other => panic!("expected a file, found {other:?}"),
    }
}

#[test]
fn a_bad_row_is_named() {
    for (text, place) in [
        ("path,label\na.png,b\nc.png\n", "list.csv:3"),
        ("path,label,split\na.png,b,sometimes\n", "list.csv:2"),
        ("path,label\n,b\n", "list.csv:2"),
        ("picture,kind\na,b\n", "list.csv:1"),
    ] {
        let root = folder(&[("list.csv", text.as_bytes())]);
        let message = read(&root.path().join("list.csv")).unwrap_err().to_string();
        assert!(message.contains(place), "{message}");
    }
}

#[test]
fn the_mnist_family_is_read_packed_or_not() {
    let root = folder(&[
        ("train-images-idx3-ubyte.gz", &gz(&idx(&[3, 1, 2], &[1, 2, 3, 4, 5, 6]))),
        ("train-labels-idx1-ubyte.gz", &gz(&idx(&[3], &[10, 2, 10]))),
        ("t10k-images.idx3-ubyte", &idx(&[1, 1, 2], &[7, 8])),
        ("t10k-labels.idx1-ubyte", &idx(&[1], &[2])),
    ]);
    let data = read(root.path()).unwrap();
    assert_eq!(data.classes, ["2", "10"]);
    assert_eq!(names(&data), [Some("10"), Some("2"), Some("10"), Some("2")]);
    assert_eq!(ids(&data)[2..], ["train-images#2", "t10k-images#0"]);
    assert_eq!(splits(&data)[3], Some(Split::Test));
    let picture = crate::decode(&data.samples[2].input, &crate::Limits::default()).unwrap();
    assert_eq!((picture.width, picture.height, picture.pixels), (2, 1, vec![5, 6]));
    let single = read(&root.path().join("train-images-idx3-ubyte.gz")).unwrap();
    assert_eq!(names(&single), [Some("10"), Some("2"), Some("10")]);
    assert_eq!(splits(&single), [None; 3]);
}

#[test]
fn a_packed_file_that_claims_too_much_is_refused_before_it_is_unpacked() {
    let claim = idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 100]);
    let bomb = gz(&idx(&[100_000, 100, 100], &vec![0; 1 << 20]));
    for bytes in [claim, bomb] {
        let root = folder(&[("train-images-idx3-ubyte.gz", bytes.as_slice())]);
        assert!(read(root.path()).is_err());
    }
}

#[test]
fn numpy_arrays_of_every_kind_are_read() {
    let floats: Vec<u8> = [1.5f32, -2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let labels: Vec<u8> = [10i64, 9].iter().flat_map(|v| v.to_be_bytes()).collect();
    let root = folder(&[
        ("x.npy", &npy("<f4", "(2, 2)", &floats)),
        ("y.npy", &npy(">i8", "(2,)", &labels)),
        ("images.npy", &npy("|u1", "(1, 3, 2, 2)", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
    ]);
    let data = read(&root.path().join("x.npy")).unwrap();
    assert_eq!(names(&data), [Some("10"), Some("9")]);
    assert_eq!(data.classes, ["9", "10"]);
    match &data.samples[0].input {
        Input::Vector(values) => assert_eq!(values.as_ref(), [1.5, -2.0]),
        other => panic!("expected a vector, found {other:?}"),
    }
    let data = read(&root.path().join("images.npy")).unwrap();
    let picture = crate::decode(&data.samples[0].input, &crate::Limits::default()).unwrap();
    assert_eq!(picture.channels, 3);
    assert_eq!(picture.pixels[..6], [1, 5, 9, 2, 6, 10]);
}

#[test]
fn the_registry_names_each_reader_once() {
    let mut names: Vec<_> = READERS.iter().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), READERS.len());
    for reader in READERS {
        let stem = reader.name.replace("npy", "numpy").replace('-', "_");
        let readers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/readers");
        let files = [readers.join(format!("{stem}.rs")), readers.join(stem).join("mod.rs")];
        assert!(files.iter().any(|f| f.is_file()), "{} has its own file", reader.name);
    }
}

#[test]
fn what_no_reader_knows_is_refused_with_the_forms_that_are_known() {
    let root = folder(&[("data.orc", b"ORC")]);
    let message = read(&root.path().join("data.orc")).unwrap_err().to_string();
    assert!(message.contains("root/class"), "{message}");
}

#[test]
fn folders_of_texts_have_classes_and_parts() {
    let root = folder(&[
        ("readme.txt", b"about"),
        ("train/neg/1.txt", b"bad"),
        ("train/pos/1.txt", b"good"),
        ("test/pos/deep/2.txt", b"\xffine"),
        ("test/pos/notes.md", b"no text of the set"),
    ]);
    let data = read(root.path()).unwrap();
    assert_eq!(ids(&data), ["test/pos/deep/2.txt", "train/neg/1.txt", "train/pos/1.txt"]);
    assert_eq!(names(&data), [Some("pos"), Some("neg"), Some("pos")]);
    assert_eq!(splits(&data), [Some(Split::Test), Some(Split::Train), Some(Split::Train)]);
    let text = crate::read_text(&data.samples[0].input).unwrap();
    assert_eq!(&*text.text, "ÿine");
    // Captions beside pictures do not make it a set of texts, nor does a read-me.
    let root = folder(&[("readme.txt", b"about"), ("a/1.png", b""), ("a/1.txt", b"a cat")]);
    let data = read(root.path()).unwrap();
    assert_eq!(ids(&data), ["a/1.png"]);
}

#[test]
fn a_folder_of_tables_has_a_part_a_table() {
    let root = folder(&[
        ("train.csv", b"title,label\nsome words here,a\nother words here,b\n"),
        ("test.csv", b"label,title\nb,last words here\n"),
        ("other.csv", b"x\n"),
    ]);
    let data = read(root.path()).unwrap();
    assert_eq!(ids(&data), ["train.csv:2", "train.csv:3", "test.csv:2"]);
    assert_eq!(names(&data), [Some("a"), Some("b"), Some("b")]);
    assert_eq!(splits(&data), [Some(Split::Train), Some(Split::Train), Some(Split::Test)]);
}
