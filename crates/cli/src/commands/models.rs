use std::path::PathBuf;

use clap::{Args, Subcommand};
use offshoot_transfer::report::words;
use offshoot_transfer::store::{
    AddOptions, Clients, Entry, Known, Store, known, offline_by_environment,
};
use offshoot_transfer::{Result, source};
use serde::Serialize;

use super::nearest;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Models live in $OFFSHOOT_HOME/models, else in the user's data folder. `pull` runs your own pip or
npm; nothing of a package is executed. A checkpoint that does not hold every array of the backbone
is refused.

Examples:
  offshoot models list
  offshoot models pull mobilenet_v2
  offshoot models pull pip:ccexam==1.0.0#ccexam/weights/mnist.pth
  offshoot models add weights.pth --recipe resnet18 --name ours --licence MIT
  offshoot models verify";

/// Keep source models: list, add, pull, info, verify and rm
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Models {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Models that are here, and those that can be pulled by name
    List,
    /// Add a checkpoint (.safetensors, .pth, .pt, .bin) or a Hugging Face folder
    Add {
        /// File or folder
        #[arg(value_name = "PATH")]
        path: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Fetch a model and add it
    Pull {
        /// Name of `models list`, pip:NAME==VERSION#path, npm:NAME@VERSION#path or hf:owner/name
        #[arg(value_name = "SOURCE")]
        source: String,
        #[command(flatten)]
        options: Options,
        /// The pip to run
        #[arg(long, value_name = "PROGRAM", default_value = "pip")]
        pip: PathBuf,
        /// The npm to run
        #[arg(long, value_name = "PROGRAM", default_value = "npm")]
        npm: PathBuf,
    },
    /// What is known about a model
    Info {
        /// Name of a model
        #[arg(value_name = "MODEL")]
        name: String,
    },
    /// Hash models again: all of them, or those named
    Verify {
        /// Names of models
        #[arg(value_name = "MODEL")]
        names: Vec<String>,
    },
    /// Remove models
    Rm {
        /// Names of models
        #[arg(value_name = "MODEL", required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// Name in the store; the recipe's by default
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Architecture; by default the one that the checkpoint fits
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// Licence of the weights, to remember
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// Replace a model of this name
    #[arg(long)]
    replace: bool,
    /// Tokenizer of a table of words that lies elsewhere: a file, or for `pull` its path in the package
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<String>,
}

impl From<Options> for AddOptions {
    fn from(options: Options) -> Self {
        let Options { name, recipe, licence, replace, tokenizer } = options;
        Self { name, recipe, licence, replace, tokenizer }
    }
}

/// A row of `models list`.
#[derive(Serialize)]
struct Listed {
    name: String,
    recipe: String,
    state: &'static str,
    licence: Option<String>,
    classes: Option<String>,
    bytes: u64,
    source: String,
    sha256: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    models: &'a [Listed],
}

#[derive(Serialize)]
struct One<'a> {
    model: &'a Entry,
}

#[derive(Serialize)]
struct Names<'a> {
    models: &'a [String],
}

impl Models {
    pub fn run(self, context: &Context) -> Result<()> {
        let store = Store::of_user()?;
        match self.action {
            Action::List => list(context, &store),
            Action::Add { path, options } => {
                let entry = store.add(&path, &options.into())?;
                show(context, "models add", &entry)
            }
            Action::Pull { source, options, pip, npm } => {
                let offline = context.settings.offline || offline_by_environment();
                context.say(format_args!("pulling {}", clean(&source)));
                let entry = store
                    .pull(&source, &options.into(), &Clients { pip, npm }, offline)
                    .map_err(|e| nearest::model(e, &source))?;
                show(context, "models pull", &entry)
            }
            Action::Info { name } => {
                match (store.holds(&name), known().iter().find(|k| k.name == name)) {
                    (false, Some(known)) => describe(context, &elsewhere(known)),
                    _ => {
                        let entry = store.info(&name).map_err(|e| nearest::model(e, &name))?;
                        show(context, "models info", &entry)
                    }
                }
            }
            Action::Verify { names } => {
                let names = if names.is_empty() { all(&store)? } else { names };
                for name in &names {
                    store.verify(name)?;
                    context.say(format_args!("{name}: unchanged"));
                }
                finish(context, "models verify", &names)
            }
            Action::Rm { names } => {
                for name in &names {
                    store.rm(name)?;
                    context.say(format_args!("{name}: removed"));
                }
                finish(context, "models rm", &names)
            }
        }
    }
}

fn finish(context: &Context, command: &str, names: &[String]) -> Result<()> {
    if context.json { context.body(command, None, Names { models: names }) } else { Ok(()) }
}

/// Names of all models, an error where one is damaged.
fn all(store: &Store) -> Result<Vec<String>> {
    let listing = store.list()?;
    match listing.damaged.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(listing.entries.into_iter().map(|entry| entry.name).collect()),
    }
}

fn list(context: &Context, store: &Store) -> Result<()> {
    let listing = store.list()?;
    for (name, error) in &listing.damaged {
        context.say(clean(&format!("warning: {name}: {error}")));
    }
    let mut models: Vec<Listed> = listing.entries.iter().map(here).collect();
    let missing = |k: &&Known| {
        k.name == source::DEFAULT || !listing.entries.iter().any(|entry| entry.name == k.name)
    };
    models.extend(known().iter().filter(missing).map(elsewhere));
    models.sort_by(|a, b| a.name.cmp(&b.name));
    if context.json {
        return context.body("models list", None, List { models: &models });
    }
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let rows: Vec<[String; 7]> = models
        .iter()
        .map(|model| {
            [
                model.name.clone(),
                model.state.into(),
                model.recipe.clone(),
                words::bytes(model.bytes),
                or_dash(&model.licence),
                or_dash(&model.classes),
                model.source.clone(),
            ]
        })
        .collect();
    let header = [
        ("model", Align::Left),
        ("state", Align::Left),
        ("recipe", Align::Left),
        ("size", Align::Right),
        ("licence", Align::Left),
        ("trained on", Align::Left),
        ("source", Align::Left),
    ];
    context.print(table::text(header, &rows))
}

fn here(entry: &Entry) -> Listed {
    Listed {
        name: entry.name.clone(),
        recipe: entry.recipe.clone(),
        state: "here",
        licence: entry.licence.clone(),
        classes: entry.classes.as_ref().and_then(|c| c.set.clone()),
        bytes: entry.bytes,
        source: entry.source.clone(),
        sha256: Some(entry.sha256.clone()),
    }
}

/// A model that is not in the store: part of this program, or to be pulled.
fn elsewhere(known: &Known) -> Listed {
    let pulled = Listed {
        name: known.name.into(),
        recipe: known.recipe.into(),
        state: "to pull",
        licence: known.licence.map(Into::into),
        classes: known.classes.map(Into::into),
        bytes: 1_000_000 * u64::from(known.megabytes),
        source: known.source.into(),
        sha256: Some(known.sha256.into()),
    };
    if known.name != source::DEFAULT {
        return pulled;
    }
    let (bytes, sha256) = source::embedded();
    let source = "this program".into();
    Listed { state: "embedded", source, bytes, sha256: Some(sha256), ..pulled }
}

#[derive(Serialize)]
struct Described<'a> {
    model: &'a Listed,
}

/// What is known about a model that is not in the store.
fn describe(context: &Context, model: &Listed) -> Result<()> {
    if context.json {
        return context.body("models info", None, Described { model });
    }
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not stated".into());
    let rows = [
        ["name".to_string(), model.name.clone()],
        ["state".into(), model.state.into()],
        ["recipe".into(), model.recipe.clone()],
        ["licence".into(), or_unknown(&model.licence)],
        ["trained on".into(), or_unknown(&model.classes)],
        ["source".into(), model.source.clone()],
        ["sha256".into(), or_unknown(&model.sha256)],
        ["size".into(), words::bytes(model.bytes)],
    ];
    context.print(table::text([("what", Align::Left), ("", Align::Left)], &rows))
}

fn show(context: &Context, command: &str, entry: &Entry) -> Result<()> {
    if context.json {
        return context.body(command, None, One { model: entry });
    }
    let classes = match &entry.classes {
        None => "unknown".into(),
        Some(c) => format!("{} {}", words::count(c.count), c.set.as_deref().unwrap_or("classes")),
    };
    let mut rows = vec![
        ["name".to_string(), entry.name.clone()],
        ["recipe".into(), entry.recipe.clone()],
        ["licence".into(), entry.licence.clone().unwrap_or_else(|| "not stated".into())],
        ["source classes".into(), classes],
        ["source".into(), entry.source.clone()],
        ["format".into(), entry.format.clone()],
        ["source sha256".into(), entry.source_sha256.clone()],
        ["sha256".into(), entry.sha256.clone()],
        ["size".into(), words::bytes(entry.bytes)],
        ["matched".into(), format!("all {} arrays of the backbone", entry.matched)],
    ];
    rows.extend(entry.notes.iter().map(|note| ["note".into(), note.clone()]));
    context.print(table::text([("what", Align::Left), ("", Align::Left)], &rows))
}
