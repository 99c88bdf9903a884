use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use offshoot_rl::report::document::MethodFigures;
use offshoot_rl::train::document::TrainReport;
use offshoot_rl::train::plan::TrainPlan;
use offshoot_rl::train::{self, train};
use offshoot_rl::transfer::document::TransferDocument;
use offshoot_rl::transfer::plan::TransferPlan;
use offshoot_rl::transfer::remap::Remapping;
use offshoot_rl::transfer::{self, transfer};
use offshoot_rl::world::parse_settings;
use offshoot_transfer::report::words;
use offshoot_transfer::{Result, TransferError};
use serde::Serialize;

use super::nearest;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
A learner acts in a world until it is good at it; what it learnt is a run. Another world, with other
constants, other observations or other actions, then begins with that run in place of nothing.

Examples:
  offshoot rl train cart-pole
  offshoot rl train cart-pole --set gravity=15 --set length=1.5
  offshoot rl transfer cart-pole --to cart-pole --set gravity=15 --set length=1.5 --seeds 10
  offshoot rl train --help                            worlds, learners and constants";

const TRAIN_EXAMPLES: &str = "\
Settings are the published ones: CleanRL's, and RL Baselines3 Zoo's where those do not suffice.
Seeds share the cores. A curve asks 50 times what the policy is worth in 10 episodes; what is told
at the end is the mean return of 100 others. The same seed gives the same bits on any number of
threads. Ctrl-C saves; `offshoot runs resume RUN` goes on to the same bits.

Examples:
  offshoot rl train cart-pole --seeds 10
  offshoot rl train cart-pole --set gravity=15 --set length=1.5 --name heavy
  offshoot rl train acrobot --learner dqn --steps 300000";

const TRANSFER_EXAMPLES: &str = "\
Every seed is learnt from scratch and with each method, with the same draws, so that differences are
paired: jumpstart, total reward, time to threshold and the end, each with a 95 % interval over seeds.
Of several sources the one that does best in 20 episodes of the target is reused; `distil` imitates
them all. `auto` tries every method for a tenth of the steps, on seeds of its own. Where the source
hurts, a policy from scratch is shipped. The answer is a page, report.html, with report.json beside it.

Dimensions and actions are matched by name. What the source sees and the target lacks is zeroed; an
action that the source does not know begins as the mean of those it knows.

Examples:
  offshoot rl transfer cart-pole --to cart-pole --set gravity=15 --set length=1.5 --seeds 10
  offshoot rl transfer light heavy --to cart-pole --method distil,warm-start
  offshoot rl transfer cart-pole --to cart-pole --actions left=right,right=left   reversed controls";

/// Learn by acting in a world, and reuse in another what was learnt
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rl {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Train(Train),
    Transfer(Transfer),
    Report(Report),
}

/// Begin in a world with what was learnt in another, and say whether it was worth it
#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{TRANSFER_EXAMPLES}", methods()))]
struct Transfer {
    /// Runs of `rl train` or `rl transfer`
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,
    /// The world to transfer to; --set is about its constants
    #[arg(long, value_name = "WORLD")]
    to: String,
    /// `auto`, or ways of reusing the source, separated by commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', default_value = transfer::AUTO)]
    method: Vec<String>,
    /// The learner; by default the source's
    #[arg(long, value_name = "LEARNER")]
    learner: Option<String>,
    /// Steps of each training; by default as published
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Repetitions with the source and without
    #[arg(long, value_name = "N", default_value_t = 10)]
    seeds: u64,
    /// Dimensions that the source calls otherwise
    #[arg(long, value_name = "TARGET=SOURCE,...", value_delimiter = ',')]
    observation: Vec<String>,
    /// Actions that the source calls otherwise
    #[arg(long, value_name = "TARGET=SOURCE,...", value_delimiter = ',')]
    actions: Vec<String>,
    /// Name of the run's folder; by default the world's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Print where the page of a transfer is
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  xdg-open $(offshoot rl report cart-pole-2)")]
struct Report {
    /// A run of `rl transfer`, or its folder
    #[arg(value_name = "RUN")]
    run: String,
}

/// Learn a policy for a world
#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{TRAIN_EXAMPLES}", worlds()))]
struct Train {
    /// The world
    #[arg(value_name = "WORLD")]
    world: String,
    /// How it is learnt
    #[arg(long, value_name = "LEARNER", default_value = "ppo")]
    learner: String,
    /// Steps in the world; by default as published
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Repetitions, each with other draws; --seed is that of the first
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Name of the run's folder; by default the world's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Rl {
    /// `constants` are those of `--set`.
    pub fn run(self, context: &Context, constants: Vec<String>) -> Result<()> {
        let set: BTreeMap<String, f64> = parse_settings(&constants)?.into_iter().collect();
        match self.action {
            Action::Train(train) => train.run(context, set),
            Action::Transfer(transfer) => transfer.run(context, set),
            Action::Report(report) => report.run(context),
        }
    }
}

impl Train {
    fn run(self, context: &Context, set: BTreeMap<String, f64>) -> Result<()> {
        let plan = TrainPlan {
            world: self.world,
            learner: self.learner,
            steps: self.steps,
            seeds: self.seeds,
            seed: context.settings.seed,
            set,
            name: self.name,
            runs_dir: context.settings.runs_dir.clone(),
        };
        let mut observer = context.observer()?;
        let report = train(&plan, &mut observer)?;
        drop(observer);
        show_training(context, &report)
    }
}

impl Transfer {
    fn run(self, context: &Context, set: BTreeMap<String, f64>) -> Result<()> {
        let runs_dir = &context.settings.runs_dir;
        let sources = self.sources.iter().map(|name| nearest::run(runs_dir, name));
        let remapping =
            Remapping { observation: pairs(&self.observation)?, actions: pairs(&self.actions)? };
        let plan = TransferPlan {
            sources: sources.collect::<Result<_>>()?,
            world: self.to,
            methods: self.method,
            learner: self.learner,
            steps: self.steps,
            seeds: self.seeds,
            seed: context.settings.seed,
            set,
            remapping,
            name: self.name,
            runs_dir: runs_dir.clone(),
        };
        let mut observer = context.observer()?;
        let document = transfer(&plan, &mut observer)?;
        drop(observer);
        show_transfer(context, &document)
    }
}

/// Reads `target=source`.
fn pairs(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((target, source)) => Ok((target.trim().into(), source.trim().into())),
        None => Err(TransferError::usage(
            format!("expected `target=source`, got `{text}`"),
            "for instance `--actions left=right,right=left`",
        )),
    };
    texts.iter().map(pair).collect()
}

impl Report {
    fn run(self, context: &Context) -> Result<()> {
        let run = nearest::run(&context.settings.runs_dir, &self.run)?;
        let report = run.join("report.html");
        if train::command_of(&run).as_deref() != Some(transfer::COMMAND) || !report.is_file() {
            return Err(TransferError::usage(
                format!("run `{}` has no page of a transfer", self.run),
                "`offshoot rl transfer` makes one; `offshoot runs resume RUN` goes on with it",
            ));
        }
        if context.json {
            return context.body("rl report", Some(run), Drawn { report });
        }
        context.print(clean(&report.display().to_string()) + "\n")
    }
}

#[derive(Serialize)]
struct Drawn {
    report: PathBuf,
}

/// Goes on with a run of these commands.
pub fn resume(context: &Context, run: &Path) -> Result<()> {
    let mut observer = context.observer()?;
    if train::command_of(run).as_deref() == Some(transfer::COMMAND) {
        let document = transfer::resume(run, &mut observer)?;
        drop(observer);
        return show_transfer(context, &document);
    }
    let report = train::resume(run, &mut observer)?;
    drop(observer);
    show_training(context, &report)
}

/// The registry of methods, for `--help`.
fn methods() -> String {
    let line = |m: &transfer::Method| format!("  {:<13} {}", m.name, m.summary);
    let lines: Vec<String> = transfer::METHODS.iter().map(line).collect();
    format!("Methods:\n{}", lines.join("\n"))
}

fn show_transfer(context: &Context, document: &TransferDocument) -> Result<()> {
    if context.json {
        return context.document(document);
    }
    let report = &document.report;
    let mut text = format!("{} {}.\n", report.figure, report.headline);
    for sentence in &report.sentences {
        text.push_str(&format!("{sentence}\n"));
    }
    if document.sources.len() > 1 {
        let rows: Vec<[String; 3]> = document
            .sources
            .iter()
            .map(|source| {
                let mark = if source.run == document.chosen { "reused" } else { "" };
                [source.told.clone(), format!("{:.1}", source.zero_shot), mark.into()]
            })
            .collect();
        let header =
            [("source", Align::Left), ("return as it is", Align::Right), ("", Align::Left)];
        text.push_str(&format!("\n{}", table::text(header, &rows)));
    }
    if !document.tried.is_empty() {
        let tried = document.tried.iter().map(|t| format!("{} {:.1}", t.method, t.total_reward));
        let tried: Vec<String> = tried.collect();
        text.push_str(&format!("Tried for a tenth of the steps: {}.\n", tried.join(", ")));
    }
    let rows: Vec<[String; 5]> = report
        .methods
        .iter()
        .filter_map(|way| Some((way, way.figures.as_ref()?)))
        .map(|(way, f)| {
            [
                way.method.clone(),
                with_interval(f.jumpstart, f.jumpstart_ci),
                with_interval(f.asymptotic, f.asymptotic_ci),
                with_interval(f.total_reward, f.total_reward_ci),
                time(f),
            ]
        })
        .collect();
    let header = [
        ("against scratch", Align::Left),
        ("jumpstart (95 %)", Align::Left),
        ("in the end", Align::Left),
        ("while learning", Align::Left),
        ("time to threshold", Align::Left),
    ];
    text.push_str(&format!("\n{}", table::text(header, &rows)));
    text.push_str(&format!(
        "\nmean return  {:.1} with {}, {:.1} from scratch, {:.1} shipped\n",
        document.mean_return,
        report.best,
        document.scratch_mean_return,
        document.shipped_mean_return
    ));
    let run = clean(&report.run.display().to_string());
    let page = clean(&report.run.join("report.html").display().to_string());
    text.push_str(&format!("run          {run}\nreport       {page}\n"));
    context.print(text)
}

/// `+12.3 (+4.5 to +20.1)`.
fn with_interval(value: f64, [low, high]: [f64; 2]) -> String {
    format!("{value:+.1} ({low:+.1} to {high:+.1})")
}

/// `0.31 of scratch's (0.20 to 0.52)`.
fn time(figures: &MethodFigures) -> String {
    let Some(ratio) = figures.time_to_threshold else { return "–".into() };
    let open = |end: Option<f64>| end.map_or_else(|| "…".into(), |v| format!("{v:.2}"));
    let [low, high] = figures.time_to_threshold_ci.unwrap_or_default().map(open);
    let most = if figures.time_is_upper_bound { "at most " } else { "" };
    format!("{most}{ratio:.2} of scratch's ({low} to {high})")
}

/// The registries, for `--help`.
fn worlds() -> String {
    let mut text = String::from("Worlds, and constants that --set takes (name=usual value):\n");
    for kind in offshoot_rl::world::WORLDS {
        text.push_str(&format!("  {}  {}\n", kind.name, kind.summary));
        let constants: Vec<String> =
            kind.constants.iter().map(|c| format!("{}={}", c.name, c.default)).collect();
        text.push_str(&format!("    {}\n", constants.join(" ")));
    }
    text.push_str("\nLearners:\n");
    for learner in offshoot_rl::learn::LEARNERS {
        text.push_str(&format!("  {}  {}\n", learner.name, learner.summary));
    }
    text.trim_end().into()
}

fn show_training(context: &Context, report: &TrainReport) -> Result<()> {
    if context.json {
        return context.document(report);
    }
    let [low, high] = report.mean_return_ci;
    let mut text = format!("{}, {}\n", report.told, report.learner);
    let seeds = report.seeds.len();
    let mean = format!("mean return {:.1} over {} episodes", report.mean_return, report.episodes);
    text.push_str(&match seeds {
        1 => format!("{mean}\n"),
        _ => format!("{mean} of each of {seeds} seeds (95 %: {low:.1} to {high:.1})\n"),
    });
    if let (Some(threshold), Some(solved)) = (report.threshold, report.solved) {
        text.push_str(&format!("{solved} of {seeds} reach {threshold}, which counts as solved\n"));
    }
    let rows: Vec<[String; 4]> = report
        .seeds
        .iter()
        .map(|seed| {
            [
                seed.seed.to_string(),
                format!("{:.1}", seed.mean_return),
                words::count(seed.steps as usize),
                words::seconds(seed.seconds),
            ]
        })
        .collect();
    let right = Align::Right;
    let header = [("seed", right), ("mean return", right), ("steps", right), ("time", right)];
    text.push_str(&format!("\n{}", table::text(header, &rows)));
    let run = clean(&report.run.display().to_string());
    text.push_str(&format!("\nrun     {run}\n"));
    context.print(text)
}
