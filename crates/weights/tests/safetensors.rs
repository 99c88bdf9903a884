//! safetensors: what others wrote is read, what is written is read back, what lies is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use offshoot_weights::{
    Array, Format, Params, Precision, read, read_bytes, read_folder, write_safetensors,
};
use proptest::prelude::*;

fn file(header: &str, values: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; values]].concat()
}

fn refused(name: &str, reason: &str, bytes: &[u8]) {
    let start = Instant::now();
    let message = read_bytes("file", bytes).err().map(|e| e.to_string()).unwrap_or_default();
    let time = start.elapsed();
    assert!(message.contains(reason), "{name}: `{message}` does not name `{reason}`");
    // Some thousand times what it takes; a header must not cost the square of its length.
    assert!(time < Duration::from_secs(3), "{name}: {time:?}");
}

#[test]
fn a_file_of_the_safetensors_library_is_read() {
    #[derive(serde::Deserialize)]
    struct Reference {
        hex: String,
        expected: BTreeMap<String, Tensor>,
    }
    #[derive(serde::Deserialize)]
    struct Tensor {
        shape: Vec<usize>,
        bits: Vec<u32>,
    }
    let text = include_str!("reference/safetensors_files.json");
    let reference: Reference = serde_json::from_str(text).unwrap();
    let digits = reference.hex.as_bytes().chunks(2);
    let bytes: Vec<u8> =
        digits.map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect();
    let checkpoint = read_bytes("reference", &bytes).unwrap();
    assert_eq!(checkpoint.format, Format::Safetensors);
    assert_eq!(checkpoint.metadata["format"], "pt");
    assert_eq!(checkpoint.params.len(), reference.expected.len());
    for (key, expected) in reference.expected {
        let array = &checkpoint.params[&key];
        let bits: Vec<_> = array.data.iter().map(|v| v.to_bits()).collect();
        assert_eq!((&array.shape, bits), (&expected.shape, expected.bits), "{key}");
    }
}

#[test]
fn lies_in_the_header_are_refused() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    assert!(read_bytes("good", &file(&one("F32", "[2,2]", "[0,16]"), 16)).is_ok());
    let cases: Vec<(&str, String, usize, &str)> = vec![
        ("offsets outside", one("F32", "[2,2]", "[0,16]"), 12, "leave the 12 bytes"),
        ("far outside", one("F32", "[4]", "[9223372036854775807,9223372036854775823]"), 16, "leave"),
        ("beyond 64 bits", one("F32", "[4]", "[0,18446744073709551616]"), 16, "header"),
        ("backwards", one("F32", "[2,2]", "[16,0]"), 16, "leave"),
        ("dtype size", one("F64", "[2,2]", "[0,16]"), 16, "F64 shape takes 32 bytes"),
        ("short dtype", one("U8", "[2,2]", "[0,16]"), 16, "U8 shape takes 4 bytes"),
        ("huge shape", one("F32", "[4294967296,4294967296]", "[0,16]"), 16, "overflows"),
        ("large shape", one("F32", "[1099511627776]", "[0,16]"), 16, "offsets give 16"),
        ("negative shape", one("F32", "[-4]", "[0,16]"), 16, "header"),
        ("rank", one("F32", &format!("[{}1]", "1,".repeat(16)), "[0,4]"), 4, "at most 16 sizes"),
        ("long rank", one("F32", &format!("[{}1]", "1,".repeat(1 << 20)), "[0,4]"), 4, "at most 16"),
        ("unknown dtype", one("Q4", "[4]", "[0,16]"), 16, "dtype `Q4`"),
        ("hole at the end", one("F32", "[2]", "[0,8]"), 16, "8 bytes at the end"),
        ("hole at the start", one("F32", "[2]", "[8,16]"), 16, "belong to nothing"),
        (
            "overlap",
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#.into(),
            16,
            ":b: overlaps",
        ),
        (
            "same place",
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#.into(),
            16,
            ":b: overlaps",
        ),
        (
            "duplicate key",
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#.into(),
            16,
            "duplicate key `a`",
        ),
        ("duplicate metadata", r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "duplicate"),
        ("duplicate in metadata", r#"{"__metadata__":{"a":"b","a":"c"}}"#.into(), 0, "duplicate"),
        ("metadata of numbers", r#"{"__metadata__":{"a":1}}"#.into(), 0, "expected a string"),
        (
            "duplicate field",
            r#"{"a":{"dtype":"F32","dtype":"F64","shape":[4],"data_offsets":[0,16]}}"#.into(),
            16,
            "duplicate field",
        ),
        ("unknown field", r#"{"a":{"x":1}}"#.into(), 0, "unknown field"),
        ("missing field", r#"{"a":{"dtype":"F32","shape":[]}}"#.into(), 4, "missing field"),
        ("three offsets", one("F32", "[4]", "[0,8,16]"), 16, "header"),
        ("long key", format!(r#"{{"{}":{{}}}}"#, "k".repeat(2000)), 0, "key of 2000 bytes"),
        ("deep", "{\"a\":".repeat(100_000), 0, "header"),
        ("deep list", format!("{{\"a\":{}", "[".repeat(100_000)), 0, "header"),
        ("array", "[1]".into(), 0, "header"),
        ("no json", "hello".into(), 0, "header"),
        ("nothing", String::new(), 0, "header"),
    ];
    for (name, header, values, reason) in cases {
        refused(name, reason, &file(&header, values));
    }
}

#[test]
fn lies_in_the_length_are_refused() {
    for (length, reason) in [
        (u64::MAX, "at most"),
        (1 << 40, "at most"),
        (100_000_000, "at most"),
        (4 << 20, "in a file of"),
        (3, "in a file of"),
    ] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        refused("length", reason, &bytes);
    }
    refused("truncated", "header", &[0; 8]);
    // An honest file whose end is missing.
    let whole = file(r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, 16);
    for end in 9..whole.len() {
        assert!(read_bytes("cut", &whole[..end]).is_err(), "{end}");
    }
}

fn example() -> Params {
    let array = |shape: &[usize]| {
        let n = shape.iter().product::<usize>();
        Array { shape: shape.to_vec(), data: (0..n).map(|i| i as f32 / 8.0 - 3.0).collect() }
    };
    Params::from([
        ("b".into(), array(&[3])),
        ("a".into(), array(&[2, 3, 4])),
        ("s".into(), array(&[])),
    ])
}

#[test]
fn written_files_are_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = [("licence".to_owned(), "MIT".to_owned())].into();
    let path = |name: &str| dir.path().join(name);
    let first = write_safetensors(&path("a"), &example(), &metadata, Precision::F32).unwrap();
    let second = write_safetensors(&path("b"), &example(), &metadata, Precision::F32).unwrap();
    assert_eq!(first, second);
    assert_eq!(std::fs::read(path("a")).unwrap(), std::fs::read(path("b")).unwrap());
    let checkpoint = read(&path("a")).unwrap();
    assert_eq!((checkpoint.sha256, checkpoint.metadata), (first, metadata));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn halves_are_exact_where_they_can_be_and_refused_where_they_overflow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.safetensors");
    write_safetensors(&path, &example(), &BTreeMap::new(), Precision::F16).unwrap();
    assert_eq!(read(&path).unwrap().params, example());
    let before = std::fs::read(&path).unwrap();
    let one = |value: f32| {
        let params =
            Params::from([("w".into(), Array { shape: vec![1], data: vec![value].into() })]);
        write_safetensors(&path, &params, &BTreeMap::new(), Precision::F16)
    };
    // Halfway to 2¹⁶ rounds to infinity, and what is just below to the largest half.
    for large in [70_000.0, -65_520.0, 65_520.0] {
        assert!(one(large).unwrap_err().to_string().contains("exceeds F16"), "{large}");
    }
    write_safetensors(&path, &example(), &BTreeMap::new(), Precision::F16).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before, "the older file is intact");
    one(65_519.996).unwrap();
    assert_eq!(*read(&path).unwrap().params["w"].data, [65_504.0]);
}

#[test]
fn a_shape_that_does_not_match_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = Params::from([("w".into(), Array { shape: vec![2], data: vec![1.0].into() })]);
    let path = dir.path().join("wrong");
    assert!(write_safetensors(&path, &wrong, &BTreeMap::new(), Precision::F32).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A folder of two shards; the index is what a test makes of it.
fn shards(dir: &std::path::Path, index: &str) {
    for (name, key) in [("one.safetensors", "a"), ("two.safetensors", "b")] {
        let params = Params::from([(key.into(), Array { shape: vec![1], data: vec![1.0].into() })]);
        write_safetensors(&dir.join(name), &params, &BTreeMap::new(), Precision::F32).unwrap();
    }
    std::fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
}

#[test]
fn a_sharded_folder_is_one_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    shards(
        dir.path(),
        r#"{"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#,
    );
    std::fs::write(dir.path().join("config.json"), r#"{"auto_map":{"x":"evil.py"}}"#).unwrap();
    let folder = read_folder(dir.path()).unwrap();
    assert_eq!(folder.checkpoint.params.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(folder.checkpoint.sha256.len(), 64);
    assert!(folder.checkpoint.notes[0].contains("never run"));
}

#[test]
fn an_index_cannot_leave_its_folder() {
    let outside = tempfile::tempdir().unwrap();
    shards(outside.path(), "");
    let dir = tempfile::tempdir().unwrap();
    let place = outside.path().join("one.safetensors");
    for name in ["../one.safetensors", place.to_str().unwrap(), "", "..", "a/b", "x\\0", "a b"] {
        let name = serde_json::to_string(name).unwrap();
        shards(dir.path(), &format!(r#"{{"weight_map":{{"a":{name}}}}}"#));
        let error = read_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not a plain file name"), "{error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&place, dir.path().join("link.safetensors")).unwrap();
        shards(dir.path(), r#"{"weight_map":{"a":"link.safetensors"}}"#);
        let error = read_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("links to a file outside"), "{error}");
        // The same as the only weights of the folder.
        std::fs::rename(dir.path().join("link.safetensors"), dir.path().join("model.safetensors"))
            .unwrap();
        let error = read_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("links to a file outside"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_hugging_face_cache_may_link_to_its_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (dir.path().join("blobs"), dir.path().join("snapshots/main"));
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    write_safetensors(&blobs.join("0a1b"), &example(), &BTreeMap::new(), Precision::F32).unwrap();
    std::os::unix::fs::symlink("../../blobs/0a1b", snapshot.join("model.safetensors")).unwrap();
    assert_eq!(read_folder(&snapshot).unwrap().checkpoint.params, example());
}

#[test]
fn folders_that_disagree_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |reason: &str| {
        let error = read_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused("no weights");
    shards(dir.path(), r#"{"weight_map":{"a":"one.safetensors","c":"two.safetensors"}}"#);
    refused("`b` is not expected");
    let index =
        r#"{"weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"}}"#;
    shards(dir.path(), index);
    refused("`c` is in no shard");
    shards(dir.path(), "{");
    refused("EOF");
    std::fs::write(dir.path().join("config.json"), "[1]").unwrap();
    refused("expected an object");
    std::fs::write(dir.path().join("config.json"), "{".repeat(200_000)).unwrap();
    refused("config.json");
    std::fs::write(dir.path().join("config.json"), vec![b' '; 5 << 20]).unwrap();
    refused("bytes of JSON");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_is_written_is_read_back(
        arrays in proptest::collection::btree_map(
            "[a-z.\"\\\\é]{1,12}",
            proptest::collection::vec(0usize..4, 0..4).prop_flat_map(|shape| {
                let n = shape.iter().product::<usize>();
                (Just(shape), proptest::collection::vec(any::<u32>(), n))
            }),
            0..6,
        ),
        metadata in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let params: Params = arrays
            .into_iter()
            .map(|(key, (shape, bits))| {
                (key, Array { shape, data: bits.into_iter().map(f32::from_bits).collect() })
            })
            .collect();
        write_safetensors(&path, &params, &metadata, Precision::F32).unwrap();
        let found = read(&path).unwrap();
        prop_assert_eq!(&found.metadata, &metadata);
        let bits = |params: &Params| -> Vec<_> {
            params
                .iter()
                .map(|(k, a)| (k.clone(), a.shape.clone(), a.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>()))
                .collect()
        };
        prop_assert_eq!(bits(&found.params), bits(&params));
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(
        file in 0usize..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        const FILES: [&[u8]; 5] = [
            include_bytes!("reference/torch/nested.zip.pt"),
            include_bytes!("reference/torch/nested.legacy.pt"),
            include_bytes!("reference/torch/tar.pt"),
            include_bytes!("reference/torch/protocol4.pt"),
            include_bytes!("reference/torch/strided.legacy.pt"),
        ];
        let mut bytes = FILES[file].to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !keep {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_bytes("changed", &bytes);
    }

    #[test]
    fn changed_headers_never_panic(
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 1..6),
    ) {
        let header = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}   "#;
        let mut bytes = file(header, 16);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let _ = read_bytes("changed", &bytes);
    }
}
