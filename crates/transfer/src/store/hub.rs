//! Finds models in the local Hugging Face cache. Nothing here uses the network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Location;
use crate::{Result, TransferError};

/// The snapshot folder of `hf:owner/name`.
pub(super) fn find(location: &Location) -> Result<PathBuf> {
    find_in(location, cache_dir(&|name| std::env::var_os(name)))
}

fn find_in(location: &Location, cache: Option<PathBuf>) -> Result<PathBuf> {
    let Location::Hub { owner, name, revision } = location else {
        return Err(TransferError::Internal(format!("{location} is not a hub model")));
    };
    let absent = || {
        TransferError::usage(
            format!("`{location}` is not in the local Hugging Face cache"),
            format!("`hf download {owner}/{name}` fetches it"),
        )
    };
    let repository = cache.ok_or_else(absent)?.join(format!("models--{owner}--{name}"));
    snapshot(&repository, revision).ok_or_else(absent)
}

/// A folder as it is, or the main snapshot where the folder is a cached repository.
pub(super) fn snapshot_of(folder: &Path) -> Result<PathBuf> {
    if !folder.join("snapshots").is_dir() {
        return Ok(folder.to_path_buf());
    }
    snapshot(folder, "main").ok_or_else(|| {
        TransferError::usage(
            format!("{}: no snapshot of `main`", folder.display()),
            "name one of the folders in `snapshots`",
        )
    })
}

/// A revision is a branch or tag, whose commit `refs/` tells, or the commit itself.
fn snapshot(repository: &Path, revision: &str) -> Option<PathBuf> {
    let reference = repository.join("refs").join(revision);
    let small = std::fs::metadata(&reference).is_ok_and(|meta| meta.is_file() && meta.len() < 128);
    let commit = match small {
        true => std::fs::read_to_string(&reference).ok()?.trim().to_owned(),
        false => revision.to_owned(),
    };
    let plain = !commit.is_empty() && commit.bytes().all(|b| b.is_ascii_alphanumeric());
    let folder = repository.join("snapshots").join(&commit);
    (plain && folder.is_dir()).then_some(folder)
}

/// `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` or `~/.cache/huggingface/hub`.
fn cache_dir(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_HUB_CACHE")
        .or_else(|| Some(set("HF_HOME")?.join("hub")))
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(set("HOME")?.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_leads_to_its_snapshot() {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("models--timm--net");
        std::fs::create_dir_all(repository.join("refs")).unwrap();
        std::fs::create_dir_all(repository.join("snapshots/0a1b")).unwrap();
        std::fs::write(repository.join("refs/main"), "0a1b\n").unwrap();
        let find =
            |text: &str| find_in(&Location::parse(text).unwrap(), Some(cache.path().to_path_buf()));
        let expected = repository.join("snapshots/0a1b");
        assert_eq!(find("hf:timm/net").unwrap(), expected);
        assert_eq!(find("hf:timm/net@0a1b").unwrap(), expected);
        assert_eq!(snapshot_of(&repository).unwrap(), expected);
        assert_eq!(snapshot_of(&expected).unwrap(), expected);
        let error = find("hf:timm/other").unwrap_err();
        assert_eq!(error.hint().unwrap(), "`hf download timm/other` fetches it");
        // A reference cannot lead elsewhere.
        std::fs::write(repository.join("refs/main"), "../../..").unwrap();
        assert!(find("hf:timm/net").is_err());
    }

    #[test]
    fn the_cache_follows_the_environment() {
        let dir = |pairs: &[(&str, &str)]| {
            cache_dir(&|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        assert_eq!(dir(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")]), Some("/c".into()));
        assert_eq!(dir(&[("HF_HOME", "/f"), ("HOME", "/h")]), Some("/f/hub".into()));
        assert_eq!(dir(&[("HOME", "/h")]), Some("/h/.cache/huggingface/hub".into()));
        assert_eq!(dir(&[]), None);
    }
}
