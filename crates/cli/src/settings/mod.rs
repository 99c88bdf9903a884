//! Settings and where they come from: flag > `OFFSHOOT_*` > `./offshoot.toml` > the user's config >
//! default. Every layer is checked by the same list of [`keys`].

pub mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use offshoot_transfer::{CachePlan, ColumnNames, Finetune, TransferError};
use serde::{Deserialize, Serialize};

pub use keys::seconds;
use keys::{KEYS, Key};

/// The file that is looked for in the working folder.
const LOCAL: &str = "offshoot.toml";
/// A config file is a page or two.
const MOST_BYTES: u64 = 1 << 20;

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Samples a step of the network.
    pub batch: usize,
    /// The feature cache.
    pub cache: CachePlan,
    /// Columns of a table of texts.
    #[serde(default)]
    pub columns: ColumnNames,
    /// How a network is tuned.
    pub finetune: Finetune,
    /// Source of the features.
    pub model: String,
    /// Never use the network.
    pub offline: bool,
    /// Precision of the features.
    pub precision: String,
    /// What `predict` prints.
    pub predict: Predict,
    /// Folder of run folders.
    pub runs_dir: PathBuf,
    /// Keys every random draw.
    pub seed: u64,
    /// Height and width of pictures; the model's own where `None`.
    #[serde(default)]
    pub size: Option<usize>,
    /// Threads; all cores where `None`.
    pub threads: Option<usize>,
    /// What `train` does.
    pub train: Train,
}

/// `[predict]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    /// Share of prediction sets that should hold the right class.
    pub promised: f64,
    /// Classes listed for each input.
    pub top: usize,
}

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Also measure raw pixels and random weights.
    pub baselines: bool,
    /// Weigh rare classes up.
    pub class_weights: bool,
    /// How much is measured to guard against a source that hurts.
    pub guard: String,
    /// Classifier on the features.
    pub head: String,
    /// How to transfer.
    pub method: String,
    /// Fit once more on train and validation.
    pub refit: bool,
    /// Share held out to judge.
    pub test: f64,
    /// Share of the rest for validation.
    #[serde(default)]
    pub val: Option<f64>,
    /// How much each of several sources counts.
    pub weighting: String,
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// What was found and where.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

impl From<SettingError> for TransferError {
    fn from(error: SettingError) -> Self {
        Self::usage(error.detail, error.hint)
    }
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody.
    Default,
    /// A config file.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// `--set`, or a flag of its own.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Values by key, each with its origin. A later `set` wins.
#[derive(Debug, Clone, Default)]
pub struct Layers(BTreeMap<&'static str, (toml::Value, Origin)>);

/// What the process was started with.
#[derive(Debug, Default)]
pub struct Surroundings<'a> {
    /// `--config`: replaces `./offshoot.toml`.
    pub config: Option<&'a Path>,
    /// The user's config file, where there may be one.
    pub user: Option<PathBuf>,
    /// `--set`, in the order given.
    pub sets: &'a [String],
    /// Flags with a setting behind them.
    pub flags: Vec<(&'static str, String)>,
}

impl Layers {
    /// Reads every layer, the weakest first.
    pub fn read(
        from: &Surroundings<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingError> {
        let mut layers = Self::default();
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            layers.set(key, key.default, Origin::Default)?;
        }
        if let Some(user) = from.user.as_deref().filter(|path| path.is_file()) {
            layers.read_file(user)?;
        }
        match from.config {
            Some(path) => layers.read_file(path)?,
            None if Path::new(LOCAL).is_file() => layers.read_file(Path::new(LOCAL))?,
            None => {}
        }
        for key in KEYS {
            if let Some(text) = variable(key.env).filter(|text| !text.is_empty()) {
                layers.set(key, &text, Origin::Environment(key.env))?;
            }
        }
        for text in from.sets {
            let (path, value) = text.split_once('=').ok_or_else(|| SettingError {
                detail: format!("--set {text}: a setting and its value were expected"),
                hint: "for instance `--set train.head=ridge`".into(),
            })?;
            layers.set(keys::find(path.trim())?, value, Origin::Flag)?;
        }
        for (path, value) in &from.flags {
            layers.set(keys::find(path)?, value, Origin::Flag)?;
        }
        Ok(layers)
    }

    fn set(&mut self, key: &'static Key, text: &str, origin: Origin) -> Result<(), SettingError> {
        let value = key.kind.parse(text).map_err(|expected| SettingError {
            detail: match &origin {
                Origin::Environment(name) => format!("{name}={text}: expected {expected}"),
                Origin::File(path) => {
                    format!("{}: {} = {text}: expected {expected}", path.display(), key.path)
                }
                _ => format!("{} = {text}: expected {expected}", key.path),
            },
            hint: format!("`{}`: {}", key.path, key.about),
        })?;
        self.0.insert(key.path, (value, origin));
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), SettingError> {
        let wrong = |detail: String| SettingError {
            detail: format!("{}: {detail}", path.display()),
            hint: "`offshoot settings` shows every setting and its place".into(),
        };
        let bytes = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if bytes > MOST_BYTES {
            return Err(wrong(format!("{bytes} bytes are too many for a config file")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            wrong(format!("line {line}: {}", e.message()))
        })?;
        for (path_of_key, value) in flat(&table, "") {
            let key = keys::find(&path_of_key).map_err(|e| SettingError {
                detail: format!("{}: {}", path.display(), e.detail),
                hint: e.hint,
            })?;
            self.set(key, &value, Origin::File(path.into()))?;
        }
        Ok(())
    }

    /// All settings with their origin, in alphabetical order; `None` where nothing set one.
    pub fn all(&self) -> impl Iterator<Item = (&'static Key, Option<&(toml::Value, Origin)>)> {
        KEYS.iter().map(|key| (key, self.0.get(key.path)))
    }

    /// The settings as the program takes them.
    pub fn settings(&self) -> Result<Settings, TransferError> {
        let mut root = toml::Table::new();
        for (path, (value, _)) in &self.0 {
            match path.split_once('.') {
                None => drop(root.insert((*path).into(), value.clone())),
                Some((section, name)) => {
                    let empty = || toml::Value::Table(toml::Table::new());
                    let section = root.entry(section).or_insert_with(empty);
                    if let toml::Value::Table(section) = section {
                        section.insert(name.into(), value.clone());
                    }
                }
            }
        }
        // Every value was parsed by its kind, so this fails only where KEYS and Settings differ,
        // which a test excludes.
        root.try_into().map_err(|e| TransferError::Internal(format!("settings: {e}")))
    }
}

/// Values of a table by their dotted path, as text.
fn flat(table: &toml::Table, prefix: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => values.extend(flat(inner, &path)),
            toml::Value::String(text) => values.push((path, text.clone())),
            other => values.push((path, other.to_string())),
        }
    }
    values
}

/// The user's config file: `$OFFSHOOT_CONFIG`, else `offshoot/config.toml` in the user's config
/// folder.
pub fn user_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("OFFSHOOT_CONFIG").or_else(|| {
        let home = || set("HOME").map(|home| home.join(".config"));
        let folder = set("XDG_CONFIG_HOME").or_else(|| set("APPDATA")).or_else(home)?;
        Some(folder.join("offshoot").join("config.toml"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn defaults_make_settings() {
        let settings = Layers::read(&Surroundings::default(), &none).unwrap().settings().unwrap();
        assert_eq!(settings.model, offshoot_transfer::source::DEFAULT);
        let plan = offshoot_transfer::TrainPlan::default();
        let Train { baselines, class_weights, guard, head, method, refit, test, val, weighting } =
            settings.train;
        assert_eq!((val, test, refit), (plan.val, plan.test, plan.refit));
        assert_eq!((baselines, class_weights), (plan.baselines, plan.class_weights));
        assert_eq!((guard.as_str(), weighting), (plan.guard.name(), plan.weighting));
        assert_eq!((head.as_str(), method.as_str()), (plan.head.as_str(), plan.method.name()));
        assert_eq!(settings.cache, plan.cache);
        assert_eq!(settings.finetune, plan.finetune);
        assert_eq!((settings.batch, settings.seed), (plan.batch, plan.seed));
        assert_eq!(settings.runs_dir, plan.runs_dir);
    }

    #[test]
    fn each_layer_hides_those_below() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let user =
            file("user.toml", "seed = 1\nbatch = 1\nmodel = 'u'\n[train]\nhead = 'knn'\nval = 0.3");
        let local = file("local.toml", "seed = 2\nbatch = 2\nmodel = 'l'");
        let sets = ["seed=4".to_string(), "batch=4".to_string()];
        let from = Surroundings {
            config: Some(&local),
            user: Some(user),
            sets: &sets,
            flags: vec![("seed", "5".into())],
        };
        let variable = |name: &str| {
            ["OFFSHOOT_SEED", "OFFSHOOT_BATCH", "OFFSHOOT_TRAIN_HEAD"]
                .contains(&name)
                .then(|| if name.ends_with("HEAD") { "ridge".into() } else { "3".into() })
        };
        let layers = Layers::read(&from, &variable).unwrap();
        let settings = layers.settings().unwrap();
        assert_eq!((settings.seed, settings.batch), (5, 4));
        assert_eq!((settings.model.as_str(), settings.train.head.as_str()), ("l", "ridge"));
        assert_eq!((settings.train.val, settings.train.test), (Some(0.3), 0.2));
        let origins: Vec<String> = layers
            .all()
            .filter(|(key, _)| ["model", "seed", "train.head", "train.test"].contains(&key.path))
            .map(|(_, value)| value.unwrap().1.to_string())
            .collect();
        let local = local.display().to_string();
        assert_eq!(origins, [local.as_str(), "flag", "OFFSHOOT_TRAIN_HEAD", "default"]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offshoot.toml");
        for (text, detail) in [
            ("seed = ", "line 1"),
            ("\n\n[train]\nheed = 'x'", "unknown setting `train.heed`"),
            ("seed = -1", "seed = -1: expected a whole number from 0"),
            ("seed = [1]", "seed = [1]"),
            ("train = 3", "unknown setting `train`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let from = Surroundings { config: Some(&path), ..Surroundings::default() };
            let error = Layers::read(&from, &none).unwrap_err();
            assert!(error.detail.contains(detail), "{text}: {}", error.detail);
            assert!(error.detail.contains("offshoot.toml"), "{}", error.detail);
        }
        let missing =
            Surroundings { config: Some(Path::new("/no/such.toml")), ..Surroundings::default() };
        assert!(Layers::read(&missing, &none).is_err());
    }
}
