//! Where a model comes from, in the user's words.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::{Result, TransferError};

/// Which client knows a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// `pip download NAME==VERSION`.
    Pip,
    /// `npm pack NAME@VERSION`.
    Npm,
}

/// A package of a registry, at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub(super) registry: Registry,
    pub(super) name: String,
    pub(super) version: String,
}

/// A source that [`super::Store::pull`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file inside a package.
    Package {
        /// Which package.
        package: Package,
        /// Path of the file inside; compared, never opened.
        inside: String,
        /// SHA-256 that the file must have.
        sha256: Option<String>,
    },
    /// A repository in the local Hugging Face cache.
    Hub {
        /// Who published it.
        owner: String,
        /// Its name.
        name: String,
        /// Branch, tag or commit.
        revision: String,
    },
}

const FORMS: &str = "a source is `pip:NAME==VERSION#path/inside`, `npm:NAME@VERSION#path/inside`, \
                     `hf:owner/name`, or a name that `offshoot models list` shows";

impl Location {
    /// Reads `pip:NAME==VERSION#path/inside[#sha256=HEX]`, `npm:NAME@VERSION#path/inside[#sha256=HEX]`
    /// or `hf:owner/name[@revision]`.
    ///
    /// # Errors
    /// [`TransferError::Usage`] when a part is missing or holds characters that such names never do.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = match text.split_once(':') {
            Some(("pip", rest)) => package(Registry::Pip, rest),
            Some(("npm", rest)) => package(Registry::Npm, rest),
            Some(("hf", rest)) => hub(rest),
            _ => None,
        };
        parsed.ok_or_else(|| {
            TransferError::usage(format!("`{}` is no known source", text.escape_debug()), FORMS)
        })
    }
}

fn package(registry: Registry, text: &str) -> Option<Location> {
    let mut parts = text.split('#');
    let (spec, inside) = (parts.next()?, parts.next()?);
    let sha256 = match parts.next() {
        Some(part) => Some(part.strip_prefix("sha256=").filter(|hex| is_sha256(hex))?.to_owned()),
        None => None,
    };
    let (name, version) = match registry {
        Registry::Pip => spec.split_once("==")?,
        Registry::Npm => spec.rsplit_once('@')?,
    };
    let valid_name = match (registry, name.strip_prefix('@')) {
        (Registry::Npm, Some(scoped)) => {
            scoped.split_once('/').is_some_and(|(scope, name)| is_word(scope) && is_word(name))
        }
        _ => is_word(name),
    };
    let valid_version = version.starts_with(|c: char| c.is_ascii_digit())
        && version.len() <= 64
        && version.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    let valid_path = !inside.is_empty()
        && inside.len() <= 512
        && !inside.chars().any(|c| c.is_control() || c == '\\')
        && inside.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !(valid_name && valid_version && valid_path && parts.next().is_none()) {
        return None;
    }
    let package = Package { registry, name: name.into(), version: version.into() };
    Some(Location::Package { package, inside: inside.into(), sha256 })
}

fn hub(text: &str) -> Option<Location> {
    let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (owner, name) = repository.split_once('/')?;
    // A cache separates owner and name by two dashes, so they cannot be part of either.
    let valid = |word: &str| is_word(word) && !word.contains("--") && !word.contains("..");
    (valid(owner) && valid(name) && is_word(revision) && !revision.contains("..")).then(|| {
        Location::Hub { owner: owner.into(), name: name.into(), revision: revision.into() }
    })
}

/// Starts with a letter or digit, so that no client can take it for an option.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 128
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.registry {
            Registry::Pip => write!(f, "{}=={}", self.name, self.version),
            Registry::Npm => write!(f, "{}@{}", self.name, self.version),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { package, inside, sha256 } => {
                let scheme = match package.registry {
                    Registry::Pip => "pip",
                    Registry::Npm => "npm",
                };
                write!(f, "{scheme}:{package}#{inside}")?;
                match sha256 {
                    Some(sha256) => write!(f, "#sha256={sha256}"),
                    None => Ok(()),
                }
            }
            Self::Hub { owner, name, revision } if revision == "main" => {
                write!(f, "hf:{owner}/{name}")
            }
            Self::Hub { owner, name, revision } => write!(f, "hf:{owner}/{name}@{revision}"),
        }
    }
}

/// `$OFFSHOOT_HOME/models`, else `offshoot/models` in the data folder of XDG, Windows or the home.
pub(super) fn user_dir(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = set("OFFSHOOT_HOME") {
        return Some(home.join("models"));
    }
    // XDG asks for relative paths to be ignored.
    let data = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| set("LOCALAPPDATA"));
    let data = data.or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("offshoot/models"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_and_print_the_same() {
        let sha = "0".repeat(64);
        for text in [
            "pip:ccexam==1.0.0#ccexam/weights/mnist.pth",
            "npm:@vladmandic/face-api@1.7.15#model/face_recognition_model.bin",
            &format!("npm:left@1.0.0-rc.1#a#sha256={sha}"),
            "hf:timm/resnet18.a1_in1k",
            "hf:timm/resnet18.a1_in1k@v1.0",
        ] {
            assert_eq!(Location::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_a_client_could_misread_is_refused() {
        for text in [
            "pip:ccexam#a",
            "pip:ccexam==1.0.0",
            "pip:--index-url==1#a",
            "pip:-r==1#a",
            "pip:a b==1#a",
            "pip:a;b==1#a",
            "pip:a==1;python#a",
            "pip:a==-r#a",
            "pip:a==1 --pre#a",
            "pip:a @ file:///x==1#a",
            "pip:../a==1#a",
            "pip:a==1#../../x",
            "pip:a==1#/x",
            "pip:a==1#a//b",
            "pip:a==1#a\\b",
            "pip:a==1#a\nb",
            "pip:a==1#a#md5=x",
            "pip:a==1#a#sha256=00",
            "pip:a==1#a#sha256=0#x",
            "npm:a#b",
            "npm:git+x@1#b",
            "npm:@a@1#b",
            "npm:@a/../b@1#b",
            "npm:a@latest#b",
            "hf:a",
            "hf:../b",
            "hf:a/..",
            "hf:a--b/c",
            "hf:a/b@../../x",
            "https://example.org/x",
            "file.pth",
            "",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_store_follows_the_environment() {
        let dir = |pairs: &[(&str, &str)]| {
            user_dir(&|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        let all = [("OFFSHOOT_HOME", "/o"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(dir(&all), Some("/o/models".into()));
        assert_eq!(dir(&all[1..]), Some("/x/offshoot/models".into()));
        assert_eq!(dir(&all[2..]), Some("/h/.local/share/offshoot/models".into()));
        let relative = [("XDG_DATA_HOME", "x"), ("HOME", "/h")];
        assert_eq!(dir(&relative), Some("/h/.local/share/offshoot/models".into()));
        assert_eq!(dir(&[]), None);
    }
}
