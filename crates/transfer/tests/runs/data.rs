//! Small made pictures: each class is a stripe pattern with noise.

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_transfer::{CachePlan, Event, Flow, TrainPlan};

pub const SIDE: usize = 16;
pub const CLASSES: [&str; 3] = ["across", "down", "plain"];

/// A folder that is removed at the end of the test, with data, runs and a cache inside.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }
    pub fn cache(&self) -> CachePlan {
        CachePlan { dir: Some(self.path("cache")), ..CachePlan::default() }
    }
    pub fn plan(&self) -> TrainPlan {
        TrainPlan {
            data: self.path("data"),
            model: "random:digits_usps".into(),
            runs_dir: self.path("runs"),
            cache: self.cache(),
            batch: 8,
            guard: offshoot_transfer::Guard::Off,
            ..TrainPlan::default()
        }
    }
}

/// One picture of a class as a PGM file. No two pictures with different numbers are equal.
pub fn picture(class: usize, number: usize) -> Vec<u8> {
    let mut bytes = format!("P5 {SIDE} {SIDE} 255\n").into_bytes();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let stripe = [y / 2 % 2, x / 2 % 2, 0][class] * 150;
            let noise = (number * 7919 + y * 131 + x * 37 + class * 17) * 2654435761 % 4294967296;
            bytes.push((stripe + (noise >> 25) % 90) as u8);
        }
    }
    bytes
}

/// Writes `each` pictures of every class below `root/prefix`.
pub fn write_folder(root: &Path, prefix: &str, each: usize, first: usize) {
    for (class, name) in CLASSES.iter().enumerate() {
        let dir = root.join(prefix).join(name);
        fs::create_dir_all(&dir).unwrap();
        for i in first..first + each {
            fs::write(dir.join(format!("{i:04}.pgm")), picture(class, i)).unwrap();
        }
    }
}

/// An observer that stops after `n` events for which `counts` is true.
pub fn stop_after(n: usize, counts: impl Fn(&Event<'_>) -> bool) -> impl FnMut(&Event<'_>) -> Flow {
    let mut seen = 0;
    move |event| {
        seen += usize::from(counts(event));
        if seen >= n { Flow::Stop } else { Flow::Continue }
    }
}

/// Every file below `dir`, relative, sorted.
pub fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|f| format!("{name}/{f}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

pub fn sha(path: &Path) -> String {
    offshoot_transfer::Sha::of_file(path).unwrap().to_string()
}
