//! Hostile files are refused with a named reason, at once and without taking memory.
//!
//! `reference/attacks.py` made the pickles; the containers around them are built here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod containers;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use containers::{LEGACY_HEAD, legacy, tar, zip, zip_pickle};
use offshoot_weights::{read, read_bytes};

/// A hundred times what any of these files takes, so that a loaded machine does not matter; work
/// that grows with the square of their 8 MB would take hours.
const TIME: Duration = Duration::from_secs(3);
const MEMORY_KIB: u64 = 32 << 10;

/// One file at a time, so that time and memory are those of this file.
static ONE: Mutex<()> = Mutex::new(());

/// Reads what `file` builds; the error must hold `reason`. Returns its text.
fn refused(name: &str, reason: &str, file: impl FnOnce() -> Vec<u8>) -> String {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let bytes = file();
    let before = resident("VmRSS:");
    // Resets the kernel's record of the peak to what is resident now.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let message = read_bytes("file", &bytes).err().map(|e| e.to_string()).unwrap_or_default();
    let time = start.elapsed();
    let grown = resident("VmHWM:").saturating_sub(before);
    assert!(message.contains(reason), "{name}: `{message}` does not name `{reason}`");
    assert!(time < TIME, "{name}: {time:?}");
    assert!(grown < MEMORY_KIB, "{name}: {grown} KiB");
    record(time, grown);
    message
}

/// The worst figures so far, printed with `--nocapture`.
fn record(time: Duration, kib: u64) {
    static WORST: Mutex<(Duration, u64)> = Mutex::new((Duration::ZERO, 0));
    let mut worst = WORST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if time > worst.0 || kib > worst.1 {
        *worst = (worst.0.max(time), worst.1.max(kib));
        println!("slowest refusal {:?}, most memory {} KiB", worst.0, worst.1);
    }
}

/// A line of the kernel's account of this process in KiB. Elsewhere than on Linux it is zero.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[derive(serde::Deserialize)]
struct Attack {
    reason: String,
    hex: String,
}

impl Attack {
    fn bytes(&self) -> Vec<u8> {
        let digits = self.hex.as_bytes().chunks(2);
        digits.map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }
}

fn attacks() -> BTreeMap<String, Attack> {
    serde_json::from_str(include_str!("reference/attacks.json")).unwrap()
}

#[test]
fn no_pickle_runs_anything_in_any_container() {
    let attacks = attacks();
    assert!(attacks.len() > 150);
    for (name, attack) in attacks {
        let pickle = attack.bytes();
        let later = |n: usize| [&LEGACY_HEAD[..n], &pickle[..]].concat();
        let containers: [(&str, Vec<u8>); 8] = [
            ("bare", pickle.clone()),
            ("legacy object", legacy(&pickle)),
            ("legacy protocol", later(containers::AFTER_MAGIC)),
            ("legacy system", later(containers::AFTER_PROTOCOL)),
            ("legacy keys", legacy(&[b"}.", &pickle[..]].concat())),
            ("zip", zip_pickle(&pickle, false)),
            ("deflated zip", zip_pickle(&pickle, true)),
            ("tar", tar(&[("storages", b"K\0.]."), ("tensors", b"K\0."), ("pickle", &pickle)])),
        ];
        for (container, file) in containers {
            refused(&format!("{name} in {container}"), &attack.reason, || file);
        }
        for member in ["storages", "tensors"] {
            let file = tar(&[
                ("storages", if member == "storages" { &pickle } else { b"K\0.]." }),
                ("tensors", if member == "tensors" { &pickle } else { b"K\0." }),
                ("pickle", b"}."),
            ]);
            refused(&format!("{name} in tar {member}"), &attack.reason, || file);
        }
    }
}

#[test]
fn pickles_that_grow_are_stopped() {
    let text = |n: usize| [b"X", &(n as u32).to_le_bytes()[..], &vec![b'x'; n]].concat();
    type Build = Box<dyn Fn() -> Vec<u8>>;
    let cases: Vec<(&str, &str, Build)> = vec![
        ("duplicates", "values", Box::new(|| [b"N", &vec![b'2'; 8_000_000][..]].concat())),
        ("nothings", "values", Box::new(|| b"N0".repeat(4_000_000))),
        ("deep lists", "values", Box::new(|| vec![b']'; 8_000_000])),
        ("marks", "values", Box::new(|| vec![b'('; 8_000_000])),
        ("deep tuples", "values", Box::new(|| [&b")"[..], &vec![0x85; 8_000_000]].concat())),
        ("one list", "values", Box::new(|| [&b"]q\0"[..], &b"h\0a".repeat(2_500_000)].concat())),
        (
            "memo",
            "values",
            Box::new(|| {
                let puts = (0..1_500_000u32).flat_map(|i| [&b"r"[..], &i.to_le_bytes()].concat());
                b"N".iter().copied().chain(puts).collect()
            }),
        ),
        ("many strings", "values", Box::new(move || text(16).repeat(380_000))),
        (
            "promised string",
            "values",
            Box::new(|| b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
        ),
        ("promised bytes", "values", Box::new(|| b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff".to_vec())),
        ("promised bytearray", "values", Box::new(|| b"\x96\xff\xff\xff\xff\0\0\0\0".to_vec())),
        ("promised integer", "integer of", Box::new(|| b"\x8b\xff\xff\xff\x7f".to_vec())),
        ("negative length", "integer of", Box::new(|| b"\x8b\xff\xff\xff\xff".to_vec())),
        ("short string", "truncated", Box::new(|| b"X\xff\xff\0\0abc".to_vec())),
        ("endless line", "too long", Box::new(|| [&b"F"[..], &vec![b'1'; 1 << 20]].concat())),
        (
            "endless digits",
            "no integer",
            Box::new(|| [&b"I"[..], &vec![b'1'; 9_000], b"\n"].concat()),
        ),
        // A list of lists of lists…, shared ten times at each level, is only ever stored once.
        (
            "laughs",
            "without PyTorch's storages",
            Box::new(|| {
                let mut bytes = b"]q\0".to_vec();
                for i in 0..200u8 {
                    bytes.extend([b'('].iter().chain(&[b'h', i].repeat(10)).chain(&[
                        b'l',
                        b'q',
                        i + 1,
                    ]));
                }
                [&bytes[..], b"."].concat()
            }),
        ),
        ("itself", "without PyTorch's storages", Box::new(|| b"]q\0h\0a.".to_vec())),
    ];
    for (name, reason, file) in cases {
        refused(name, reason, &file);
        // Packed in a zip, 8 MB take a few kilobytes.
        let reason = if reason.contains("storages") { "state dictionary" } else { reason };
        let packed = zip_pickle(&file(), true);
        refused(name, reason, || packed);
    }
    let itself = b"}q\0X\x05\0\0\0modelh\0s.";
    refused("dictionary of itself", "no tensors within", || zip_pickle(itself, false));
    refused("dictionary of itself", "no tensors within", || {
        [legacy(itself), b"].".to_vec()].concat()
    });
}

#[test]
fn broken_pickles_are_errors() {
    let cases: [(&str, &[u8], &str); 12] = [
        ("empty stack", b".", "empty"),
        ("pop", b"0.", "empty"),
        ("pop below a mark", b"N(0a.", "empty"),
        ("value below a mark", b"]N(a.", "empty"),
        ("no mark", b"t.", "no mark"),
        ("memo", b"h\x07.", "remembered as 7"),
        ("odd dictionary", b"}(Nu.", "without a value"),
        ("list of none", b"NNa.", "like a list"),
        ("dictionary of none", b"NNNs.", "like a dictionary"),
        ("protocol", b"\x80\x63N.", "protocol 99"),
        ("opcode", b"\xff.", "no opcode"),
        ("no end", b"\x80\x02}", "truncated"),
    ];
    for (name, pickle, reason) in cases {
        refused(name, reason, || pickle.to_vec());
        refused(name, reason, || legacy(pickle));
        refused(name, reason, || zip_pickle(pickle, true));
    }
}

/// `{"w": tensor}` over storage `0` of `numel` floats.
fn tensor(numel: i64, offset: i64, shape: &[i64], strides: &[i64], key: &str) -> Vec<u8> {
    let int = |n: i64| [&b"\x8a\x08"[..], &n.to_le_bytes()].concat();
    let ints = |all: &[i64]| {
        [b"(", &all.iter().flat_map(|&n| int(n)).collect::<Vec<_>>()[..], b"t"].concat()
    };
    let text = |t: &str| [b"X", &(t.len() as u32).to_le_bytes()[..], t.as_bytes()].concat();
    [
        b"\x80\x02}",
        &text("w")[..],
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text(key),
        &text("cpu"),
        &int(numel),
        b"tQ",
        &int(offset),
        &ints(shape),
        &ints(strides),
        b"\x89}tRs.",
    ]
    .concat()
}

#[test]
fn tensors_that_leave_their_storage_are_refused() {
    let file =
        |pickle: Vec<u8>| zip(&[("m/data.pkl", &pickle, false), ("m/data/0", &[0; 16], false)]);
    let good = file(tensor(4, 0, &[2, 2], &[2, 1], "0"));
    assert_eq!(read_bytes("good", &good).unwrap().params["w"].data.as_slice(), [0.0; 4]);
    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("offset", tensor(4, 1, &[2, 2], &[2, 1], "0"), "reaches value 4"),
        ("stride", tensor(4, 0, &[2, 2], &[3, 1], "0"), "reaches value 4"),
        ("huge stride", tensor(4, 0, &[4], &[i64::MAX], "0"), "overflows"),
        ("huge shape", tensor(4, 0, &[1 << 40, 1 << 40], &[0, 0], "0"), "overflows"),
        ("expanded", tensor(4, 0, &[1 << 31], &[0], "0"), "more memory"),
        ("negative offset", tensor(4, -1, &[1], &[1], "0"), "at least 0"),
        ("negative stride", tensor(4, 3, &[4], &[-1], "0"), "at least 0"),
        ("rank", tensor(4, 0, &[1; 17], &[1; 17], "0"), "at most 16 dimensions"),
        ("ranks", tensor(4, 0, &[1], &[1, 1], "0"), "1 sizes, 2 strides"),
        ("numel", tensor(5, 0, &[4], &[1], "0"), "holds 16 bytes"),
        ("key", tensor(4, 0, &[4], &[1], "1"), "`1` is not in the file"),
        ("path", tensor(4, 0, &[4], &[1], "../../secret"), "is not in the file"),
    ];
    for (name, pickle, reason) in cases {
        refused(name, reason, || file(pickle));
    }
    // The same in a stream: the storage's own count and the file's end decide.
    let stream = |numel: i64, held: u64| {
        let pickle = tensor(numel, 0, &[numel], &[1], "0");
        let keys = b"]X\x01\0\0\x000a.";
        [legacy(&pickle), keys.to_vec(), held.to_le_bytes().to_vec(), vec![0; 16]].concat()
    };
    assert!(read_bytes("good", &stream(4, 4)).is_ok());
    refused("stream numel", "holds 16 bytes", || stream(5, 4));
    refused("stream length", "leaves the file", || stream(1 << 60, 1 << 60));
    refused("stream overflow", "leaves the file", || stream(1 << 62, 1 << 62));
    refused("stream end", "truncated", || stream(4, 4)[..100].to_vec());
}

#[test]
fn zips_that_lie_are_refused() {
    let pickle = tensor(4, 0, &[4], &[1], "0");
    let good = zip(&[("m/data.pkl", &pickle, false), ("m/data/0", &[0; 16], false)]);
    let changed = |find: &[u8], at: usize, with: &[u8]| {
        let mut file = good.clone();
        let start = file.windows(find.len()).position(|window| window == find).unwrap() + at;
        file[start..start + with.len()].copy_from_slice(with);
        file
    };
    const CENTRAL: &[u8] = b"PK\x01\x02";
    const END: &[u8] = b"PK\x05\x06";
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("encrypted", changed(CENTRAL, 8, &[1, 0]), "encrypted"),
        ("method", changed(CENTRAL, 10, &[14, 0]), "method 14"),
        ("two sizes", changed(CENTRAL, 20, &[1, 0, 0, 0]), "two sizes"),
        ("offset", changed(CENTRAL, 42, &[0xff, 0xff, 0xff, 0]), "outside the file"),
        ("checksum", changed(b"_rebuild_tensor_v2", 0, b"_"), ""),
        ("directory", changed(END, 16, &[0xff, 0xff, 0xff, 0]), "outside the file"),
        ("large directory", changed(END, 12, &[0, 0, 0, 0x40]), "zip table of"),
        ("count", changed(END, 10, &[9, 0]), "table is damaged"),
        ("no zip64", changed(END, 16, &[0xff, 0xff, 0xff, 0xff]), "damaged"),
        ("no end", good[..good.len() - 30].to_vec(), "truncated"),
    ];
    for (name, file, reason) in cases {
        if reason.is_empty() {
            assert!(read_bytes(name, &file).is_ok(), "an unchanged file");
        } else {
            refused(name, reason, || file);
        }
    }
    let flipped = changed(b"\x80\x02}", 2, b"]");
    refused("flipped bit", "checksum", || flipped);
    refused("two pickles", "two `data.pkl`", || {
        zip(&[("a/data.pkl", b"}.", false), ("b/data.pkl", b"}.", false)])
    });
    refused("duplicate", "two zip members", || {
        zip(&[("a/data.pkl", b"}.", false), ("a/data.pkl", b"}.", false)])
    });
    refused("no pickle", "without `data.pkl`", || zip(&[("../../etc/passwd", b"x", false)]));
    refused("script", "TorchScript", || {
        zip(&[("a/data.pkl", b"}.", false), ("a/constants.pkl", b").", false)])
    });
    refused("big-endian", "big-endian", || {
        zip(&[("a/data.pkl", b"}.", false), ("a/byteorder", b"big", false)])
    });
    // One kilobyte that unpacks to a megabyte, a thousand times over.
    let bomb = vec![0; 100 << 20];
    let bomb = zip(&[("m/data.pkl", &bomb, true)]);
    refused("bomb in the pickle", "at most", || bomb);
    let numel = 25 << 20;
    let bomb = tensor(numel, 0, &[numel], &[1], "0");
    let storage = vec![0; 100 << 20];
    let bomb = zip(&[("m/data.pkl", &bomb, false), ("m/data/0", &storage, true)]);
    drop(storage);
    refused("bomb in a storage", "more memory", || bomb);
}

#[test]
fn overlapping_members_are_refused() {
    let mut file = zip(&[("a/data.pkl", b"}.", false), ("a/data/0", b"PK\x03\x04", false)]);
    // The second entry of the table points at the first member.
    let at = file.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    file[at + 42..at + 46].copy_from_slice(&[0; 4]);
    refused("overlap", "overlap", || file);
}

#[test]
fn headers_of_many_tensors_are_stopped() {
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[],"data_offsets":[0,4]}},"#);
    let file = |n: usize| {
        let tensors: String = (0..n).map(entry).collect();
        let header = format!("{{{}}}", tensors.trim_end_matches(','));
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &[0; 4]].concat()
    };
    refused("many", "more than 20000 tensors", || file(70_000));
    refused("overlapping", "overlaps", || file(20_000));
}

#[test]
fn other_files_are_told_apart() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "an empty file"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x93NUMPY\x01", "npy"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"hello", "remembered"),
        (b"\0\0\0\0", "no opcode"),
        (b"\x89PNG\r\n\x1a\n", "file"),
    ];
    for (bytes, reason) in cases {
        refused(reason, reason, || bytes.to_vec());
    }
}

#[test]
fn folders_and_missing_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("not a regular file"));
    assert!(read(&dir.path().join("absent")).is_err());
    #[cfg(unix)]
    assert!(read("/dev/zero".as_ref()).unwrap_err().to_string().contains("not a regular file"));
}
