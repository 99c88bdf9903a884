//! What a user asks for, as data. A plan is written into the run folder and read back by `resume`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_data::ColumnNames;
use serde::{Deserialize, Serialize};

use crate::fit::Finetune;
use crate::fit::distill::Distill;
use crate::fit::mlm::AdaptMlm;
use crate::guard::Guard;
use crate::precision::Precision;
use crate::{Result, strategy};

/// Where feature rows of earlier runs are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CachePlan {
    /// Whether to look up and keep feature rows at all.
    pub enabled: bool,
    /// The folder; `None` takes `$OFFSHOOT_CACHE`, else `$XDG_CACHE_HOME/offshoot`, else
    /// `~/.cache/offshoot`.
    pub dir: Option<PathBuf>,
    /// When the folder grows beyond this, rows that were not used for longest go.
    pub max_bytes: u64,
}

impl Default for CachePlan {
    fn default() -> Self {
        Self { enabled: true, dir: None, max_bytes: 5 << 30 }
    }
}

/// How a network is transferred: an entry of [`crate::strategy::all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Method(&'static str);

impl Method {
    /// Frozen backbone, a head on its features.
    pub const PROBE: Self = Self("probe");

    /// The strategy called `name`.
    ///
    /// # Errors
    /// Wrong usage where there is none.
    pub fn find(name: &str) -> Result<Self> {
        Ok(Self(strategy::find(name)?.name))
    }

    /// The word that a user types.
    pub fn name(&self) -> &'static str {
        self.0
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::PROBE
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::find(&name).map_err(serde::de::Error::custom)
    }
}

/// `offshoot train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainPlan {
    /// Folder, manifest, table of texts, IDX, npy or npz; `demo:google` and `demo:twitter` are
    /// embedded.
    pub data: PathBuf,
    /// Columns of a table of texts; those that are not named are guessed.
    pub columns: ColumnNames,
    /// See [`crate::source`]; `auto` for the first of a ranking ([`crate::rank()`]); several with commas between
    /// them are put side by side.
    pub model: String,
    /// How much each of several sources counts: an entry of [`offshoot_stats::multi_source::all`].
    pub weighting: String,
    /// Why this model, where a ranking chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_chosen: Option<String>,
    /// Height and width to which pictures are resized; `None` takes what the weights were trained with.
    pub size: Option<usize>,
    /// Layer of a text encoder that features are taken from: a number from 1, `last-K` for the mean of the
    /// last K, or `auto` for the best on validation; `None` for the last.
    pub layer: Option<String>,
    /// How its tokens become a vector: `mean`, `first`, `max`, `mean-sqrt-len`, `last`, or `auto`; `None` for
    /// the source's own way.
    pub pooling: Option<String>,
    /// Unlabelled texts on which a text encoder goes on guessing hidden words before all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapt_mlm: Option<AdaptMlm>,
    /// In which precision the network computes.
    pub precision: Precision,
    /// How to transfer.
    pub method: Method,
    /// An entry of the registry of heads.
    pub head: String,
    /// Weigh classes by n/(C·n_c).
    pub class_weights: bool,
    /// Keys every random draw.
    pub seed: u64,
    /// Share of the training part that goes to validation where the data names none; `None` for a tenth, or
    /// more where a network is tuned on few samples.
    pub val: Option<f64>,
    /// Share of the samples that goes to the test split where the data names none.
    pub test: f64,
    /// After λ and the temperature are chosen, fit the head once more on train and validation.
    pub refit: bool,
    /// Also measure raw pixels and the same network with random weights.
    pub baselines: bool,
    /// How much is measured to guard against a source that hurts.
    pub guard: Guard,
    /// Other data with the same classes to evaluate on once, by name (shift).
    pub also_eval: BTreeMap<String, PathBuf>,
    /// Lowest acceptable test figures by metric name (`accuracy`, `macro_f1`), or highest (`ece`,
    /// `log_loss`).
    pub require: BTreeMap<String, f64>,
    /// The folder that a model's relative path counts from, where the run is resumed in another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_in: Option<PathBuf>,
    /// Name of the run folder; `None` makes one from data and model.
    pub name: Option<String>,
    /// Parent of run folders.
    pub runs_dir: PathBuf,
    /// Samples a step of the network.
    pub batch: usize,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
    /// How the network is tuned, where the method tunes it.
    pub finetune: Finetune,
    /// A run whose answers the network learns beside the labels, where the method tunes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distill: Option<Distill>,
    /// The command that made the plan, as `--json` and `run.json` show it.
    pub command: String,
}

impl Default for TrainPlan {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            columns: ColumnNames::default(),
            model: crate::source::DEFAULT.into(),
            weighting: "cv".into(),
            model_chosen: None,
            size: None,
            layer: None,
            pooling: None,
            adapt_mlm: None,
            precision: Precision::Auto,
            method: Method::PROBE,
            finetune: Finetune::default(),
            head: "logistic".into(),
            class_weights: false,
            seed: 0,
            val: None,
            test: 0.2,
            refit: true,
            baselines: false,
            guard: Guard::default(),
            also_eval: BTreeMap::new(),
            require: BTreeMap::new(),
            begun_in: None,
            name: None,
            runs_dir: "runs".into(),
            batch: 32,
            cache: CachePlan::default(),
            distill: None,
            command: "train".into(),
        }
    }
}

/// `offshoot check`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckPlan {
    /// As in [`TrainPlan::data`].
    pub data: PathBuf,
    /// As in [`TrainPlan::columns`].
    pub columns: ColumnNames,
    /// Also look for near duplicates (re-encoded, resized), which decodes every image.
    pub near_duplicates: bool,
    /// The source that the data is meant for (see [`crate::source`]): texts are then measured by its
    /// tokenizer.
    pub model: Option<String>,
}

/// File format of extracted features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureFormat {
    /// NumPy archive: `features` f32 `[n, d]`, `labels` i64 (−1 where unlabelled), `ids` UTF-8.
    Npz,
    /// The same arrays; `ids` as UTF-8 bytes joined by newlines.
    Safetensors,
}

impl FeatureFormat {
    /// By file extension.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "npz" => Some(Self::Npz),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// `offshoot extract`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractPlan {
    /// As in [`TrainPlan::data`].
    pub data: PathBuf,
    /// As in [`TrainPlan::columns`].
    pub columns: ColumnNames,
    /// See [`crate::source`].
    pub model: String,
    /// As in [`TrainPlan::size`].
    pub size: Option<usize>,
    /// As in [`TrainPlan::layer`], without `auto`.
    pub layer: Option<String>,
    /// As in [`TrainPlan::pooling`], without `auto`.
    pub pooling: Option<String>,
    /// In which precision the network computes.
    pub precision: Precision,
    /// `(i, n)`: the i-th of n parts, counted from 0; sample k belongs to part k mod n.
    pub shard: Option<(usize, usize)>,
    /// Where to write; the extension names the format. `None` only fills the cache.
    pub out: Option<PathBuf>,
    /// Samples a step of the network.
    pub batch: usize,
    /// Seed of `random:` sources.
    pub seed: u64,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
}

/// `offshoot eval`: a trained run on labelled data.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalPlan {
    /// Run folder.
    pub run: PathBuf,
    /// As in [`TrainPlan::data`]; all labelled samples, or only the test split where one is named.
    pub data: PathBuf,
    /// As in [`TrainPlan::columns`].
    pub columns: ColumnNames,
    /// As in [`TrainPlan::require`].
    pub require: BTreeMap<String, f64>,
    /// Samples a step of the network.
    pub batch: usize,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
}

/// `offshoot predict`: a trained run on new inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictPlan {
    /// Run folder.
    pub run: PathBuf,
    /// As in [`TrainPlan::columns`].
    pub columns: ColumnNames,
    /// How many classes to list an input.
    pub top: usize,
    /// Share of prediction sets that should hold the right class.
    pub promised: f64,
    /// Samples a step of the network.
    pub batch: usize,
}

/// `offshoot demo`.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoPlan {
    /// Keys every random draw.
    pub seed: u64,
    /// Name of the run folder; `None` takes `demo`, `demo-2`, ….
    pub name: Option<String>,
    /// Parent of run folders.
    pub runs_dir: PathBuf,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
}
