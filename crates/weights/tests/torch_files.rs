//! Files that PyTorch wrote are read bit for bit. `reference/torch_files.py` made files and values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_weights::{Dtype, Format, read, read_bytes};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    bits: Vec<u32>,
}

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn reference() -> BTreeMap<String, BTreeMap<String, Expected>> {
    serde_json::from_str(include_str!("reference/torch_files.json")).unwrap()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torch").join(name)
}

#[test]
fn every_file_equals_what_torch_reads() {
    let reference = reference();
    assert!(reference.len() >= 24);
    for (name, tensors) in reference {
        let checkpoint = read(&path(&name)).unwrap();
        let keys: Vec<_> = checkpoint.params.keys().collect();
        assert_eq!(keys, tensors.keys().collect::<Vec<_>>(), "{name}");
        for (key, expected) in tensors {
            let array = &checkpoint.params[&key];
            assert_eq!(array.shape, expected.shape, "{name}:{key}");
            let bits: Vec<_> = array.data.iter().map(|v| v.to_bits()).collect();
            assert_eq!(bits, expected.bits, "{name}:{key}");
            assert_eq!(checkpoint.facts[&key].shape, expected.shape, "{name}:{key}");
        }
    }
}

#[test]
fn memory_and_file_read_the_same() {
    let path = path("strided.zip.pt");
    let bytes = std::fs::read(&path).unwrap();
    let (a, b) = (read(&path).unwrap(), read_bytes("memory", &bytes).unwrap());
    assert_eq!((a.params, a.sha256), (b.params, b.sha256));
}

#[test]
fn facts_tell_how_tensors_were_stored() {
    let checkpoint = read(&path("dtypes.legacy.pt")).unwrap();
    assert_eq!(checkpoint.format, Format::TorchLegacy);
    assert_eq!(checkpoint.facts["bf16"].dtype, Dtype::Bf16);
    let checkpoint = read(&path("strided.zip.pt")).unwrap();
    assert_eq!(checkpoint.format, Format::TorchZip);
    assert!(!checkpoint.facts["transposed"].contiguous);
    assert_eq!(read(&path("tar.pt")).unwrap().format, Format::TorchTar);
}

#[test]
fn notes_tell_what_was_undone() {
    for form in ["zip", "legacy"] {
        let checkpoint = read(&path(&format!("nested.{form}.pt"))).unwrap();
        let expected = [
            "weights taken from the entry `state_dict`",
            "skipped integer buffer `module.1.num_batches_tracked`",
            "removed the prefix `module.` from every key",
        ];
        assert_eq!(checkpoint.notes, expected, "{form}");
        assert!(checkpoint.facts.contains_key("1.num_batches_tracked"));
    }
}
