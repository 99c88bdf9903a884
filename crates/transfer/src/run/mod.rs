//! The run folder.

pub mod record;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha;
use crate::documents::SCHEMA;
use crate::{Result, TransferError, durable};
use record::RunRecord;

/// Files that change after they are written, or that describe the others.
const UNPINNED: [&str; 4] = ["run.json", "log.txt", "report.html", "eval/report.json"];
/// Drawings can be made again at any time, and checkpoints have sums of their own.
const PASSING: [&str; 2] = ["plots/", "checkpoints/"];
/// Locked by the process that works on the run.
const CLAIM: &str = ".lock";

/// A folder with a valid name.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

/// Keeps other processes from working on a run, until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct Claim {
    _locked: Option<File>,
}

/// Checks a run's name: `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`.
pub fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= 64 && name.chars().all(good) {
        return Ok(());
    }
    Err(TransferError::usage(
        format!("`{name}` cannot name a run"),
        "up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
    ))
}

/// The nearest valid name.
fn clean_name(wish: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
    let clean: String = wish.chars().map(kept).collect();
    let clean = clean.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let short: String = clean.chars().take(56).collect();
    if short.is_empty() { "run".into() } else { short }
}

/// `wish`, `wish-2`, `wish-3`, ….
fn candidates(wish: &str) -> impl Iterator<Item = String> {
    let wish = clean_name(wish);
    (1..1_000_000).map(move |i| if i == 1 { wish.clone() } else { format!("{wish}-{i}") })
}

fn taken(name: &str) -> TransferError {
    TransferError::usage(
        format!("run `{name}` is already there"),
        format!("`offshoot runs rm {name}` removes it, `runs resume {name}` goes on with it"),
    )
}

impl RunFolder {
    /// Makes a new folder: `name` as it is, or the first free one of `wish`, `wish-2`, ….
    pub fn create(runs_dir: &Path, name: Option<&str>, wish: &str) -> Result<Self> {
        durable::create_dir(runs_dir)?;
        let make = |name: &str| -> Result<Option<Self>> {
            let path = runs_dir.join(name);
            // Making the folder is what reserves the name among concurrent processes.
            Ok(durable::reserve_dir(&path)?.then_some(Self { path }))
        };
        if let Some(name) = name {
            check_name(name)?;
            return make(name)?.ok_or_else(|| taken(name));
        }
        for name in candidates(wish) {
            if let Some(folder) = make(&name)? {
                return Ok(folder);
            }
        }
        Err(TransferError::Internal("no free run name".into()))
    }

    /// Claims the run for this process.
    ///
    /// # Errors
    /// [`TransferError::Usage`] while another one works on it.
    pub fn claim(&self) -> Result<Claim> {
        let path = self.file(CLAIM);
        let opened = File::options().write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|e| TransferError::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim { _locked: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(TransferError::usage(
                format!("another process works on run `{}`", self.name()),
                "wait until it ends, or stop it",
            )),
            // Some network drives know no locks.
            Err(TryLockError::Error(_)) => Ok(Claim { _locked: None }),
        }
    }

    /// The name that [`Self::create`] would take now.
    pub fn free_name(runs_dir: &Path, name: Option<&str>, wish: &str) -> Result<String> {
        if let Some(name) = name {
            check_name(name)?;
            return if runs_dir.join(name).exists() { Err(taken(name)) } else { Ok(name.into()) };
        }
        let mut names = candidates(wish);
        let free = names.find(|name| !runs_dir.join(name).exists());
        free.ok_or_else(|| TransferError::Internal("no free run name".into()))
    }

    /// A folder inside this one, for work that leaves its own files.
    pub fn within(&self, inside: &str) -> Result<Self> {
        let path = self.file(inside);
        durable::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Opens an existing run.
    pub fn open(path: &Path) -> Result<(Self, RunRecord)> {
        let folder = Self { path: path.into() };
        let file = folder.file("run.json");
        let text = fs::read(&file).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => TransferError::usage(
                format!("{} is not a run: it has no run.json", path.display()),
                "`offshoot runs list` shows all runs",
            ),
            _ => TransferError::io(&file, e),
        })?;
        let refused =
            |why: String| TransferError::ModelRefused(format!("{}: {why}", file.display()));
        let record: RunRecord =
            serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
        match record.schema {
            SCHEMA => Ok((folder, record)),
            other => Err(refused(format!(
                "a run of form {other}, written by version {}; this version reads form {SCHEMA}",
                record.version.escape_debug()
            ))),
        }
    }

    /// Reads what a finished run's page is drawn from.
    ///
    /// # Errors
    /// A run that has no such file yet, or one of another form.
    pub fn drawn_from<T: serde::de::DeserializeOwned>(&self, inside: &str) -> Result<T> {
        let path = self.file(inside);
        let text = fs::read(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => TransferError::usage(
                format!("run `{}` has no report yet", self.name()),
                format!("`offshoot runs resume {}` goes on with it", self.name()),
            ),
            _ => TransferError::io(&path, e),
        })?;
        serde_json::from_slice(&text)
            .map_err(|e| TransferError::ModelRefused(format!("{}: {e}", path.display())))
    }

    /// A folder inside this one that is written like a run of its own; it need not be there yet.
    pub fn inner(&self, inside: &str) -> Self {
        Self { path: self.file(inside) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A file inside.
    pub fn file(&self, inside: &str) -> PathBuf {
        self.path.join(inside)
    }

    /// Writes a file inside, making its folder.
    pub fn write(&self, inside: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(inside);
        if let Some(parent) = path.parent() {
            durable::create_dir(parent)?;
        }
        durable::write(&path, bytes)
    }

    /// Writes a JSON file inside.
    pub fn write_json(&self, inside: &str, value: &impl serde::Serialize) -> Result<()> {
        let path = self.file(inside);
        if let Some(parent) = path.parent() {
            durable::create_dir(parent)?;
        }
        durable::write_json(&path, value)
    }

    /// Writes `run.json`.
    pub fn save(&self, record: &RunRecord) -> Result<()> {
        durable::write_json(&self.file("run.json"), record)
    }

    /// sha256 of every file that does not change any more, by path inside.
    pub fn digests(&self) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for path in self.walk()? {
            let inside = self.inside(&path);
            if !UNPINNED.contains(&inside.as_str())
                && !PASSING.iter().any(|folder| inside.starts_with(folder))
            {
                files.insert(inside, Sha::of_file(&path)?.to_string());
            }
        }
        Ok(files)
    }

    /// Size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        let files = self.walk().unwrap_or_default();
        files.iter().filter_map(|f| fs::metadata(f).ok()).map(|m| m.len()).sum()
    }

    /// Refuses files that differ from what the run wrote. Checks those under `below`; an empty
    /// text checks all.
    pub fn verify(&self, record: &RunRecord, below: &str) -> Result<()> {
        for (inside, expected) in record.files.iter().filter(|(f, _)| f.starts_with(below)) {
            let path = self.file(inside);
            if !path.is_file() {
                let detail = format!("{}: missing; run.json names it", path.display());
                return Err(TransferError::ModelRefused(detail));
            }
            let found = Sha::of_file(&path)?.to_string();
            if found != *expected {
                return Err(TransferError::ModelRefused(format!(
                    "{}: changed since the run wrote it (sha256 {found}, run.json says {expected})",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    fn inside(&self, path: &Path) -> String {
        let relative = path.strip_prefix(&self.path).unwrap_or(path);
        let parts: Vec<_> = relative.iter().map(|p| p.to_string_lossy()).collect();
        parts.join("/")
    }

    /// All regular files, sorted. Links are not followed.
    fn walk(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut dirs = vec![self.path.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).map_err(|e| TransferError::io(&dir, e))? {
                let entry = entry.map_err(|e| TransferError::io(&dir, e))?;
                let kind = entry.file_type().map_err(|e| TransferError::io(entry.path(), e))?;
                if kind.is_dir() {
                    dirs.push(entry.path());
                } else if kind.is_file() && entry.file_name() != CLAIM {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "emoji-1", "9.x_y", &"a".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "../a", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_wish_becomes_a_valid_name() {
        for wish in ["", "../../etc", "my data (1)", "ä", &"x".repeat(200), "-", "a\0b"] {
            assert!(check_name(&clean_name(wish)).is_ok(), "{wish:?}");
        }
    }

    #[test]
    fn unnamed_runs_are_numbered_and_named_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n| RunFolder::create(dir.path(), n, "emoji").map(|f| f.name());
        assert_eq!(name(None).unwrap(), "emoji");
        assert_eq!(name(None).unwrap(), "emoji-2");
        assert_eq!(name(Some("emoji-2")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_run_is_worked_on_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(dir.path(), Some("run"), "").unwrap();
        let claim = folder.claim().unwrap();
        assert_eq!(folder.claim().unwrap_err().exit_code(), 2);
        drop(claim);
        folder.claim().unwrap();
        assert!(folder.digests().unwrap().is_empty(), "the lock is none of its files");
    }

    #[test]
    fn a_run_of_another_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(dir.path(), Some("run"), "").unwrap();
        let facts = (record::DataFacts::default(), record::ModelFacts::default());
        let record = RunRecord::begun("run".into(), "train", 0, facts.0, facts.1);
        folder.save(&record).unwrap();
        RunFolder::open(folder.path()).unwrap();
        folder.save(&RunRecord { schema: SCHEMA + 1, ..record }).unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(&format!("form {}", SCHEMA + 1)), "{error}");
    }

    #[test]
    fn what_a_run_was_begun_with_must_stay() {
        let of = |text: &str| Sha::of_texts(&[text]);
        let facts = (record::DataFacts::default(), record::ModelFacts::default());
        let mut record = RunRecord::begun("run".into(), "train", 0, facts.0, facts.1);
        record.pin("the data", of("a")).unwrap();
        record.pin("the source", of("b")).unwrap();
        record.pin("the data", of("a")).unwrap();
        let error = record.pin("the data", of("c")).unwrap_err();
        assert!(error.to_string().contains("the data changed"), "{error}");
    }
}
