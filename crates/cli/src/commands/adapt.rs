use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::adapt::document::{AdaptDryRun, AdaptReport, CandidateReport};
use offshoot_transfer::adapt::method::AUTO;
use offshoot_transfer::adapt::plan::{AdaptPlan, Classes, TEST, VAL};
use offshoot_transfer::adapt::{adapt, adapt_dry_run};
use offshoot_transfer::report::words;
use offshoot_transfer::{Measured, Method, Precision, Result, TrainPlan, TransferError};

use super::columns::Columns;
use super::{gate, nearest, shift};
use crate::context::{Context, clean};
use crate::settings::seconds;
use crate::table::{self, Align};

const EXAMPLES: &str = "\
SOURCE has labels, the target needs none. Features of both come from one network; methods bring them
together, weigh source samples by how much they resemble the target, or correct for classes that are
more or less frequent. `auto` finds out what kind of mismatch there is (as `offshoot shift`), tries
the methods that this calls for, and chooses by validators that need no label of the target. Where
answers collapse, or nothing speaks clearly for a method, the source's classifier is shipped.

Labels of the target, where it has any, choose nothing: they judge in the end. Where it names a test
split, only that is judged, and not adapted to.

What is left is a run like any other: predict, eval, explain, report, export, runs.

Where the column `domain` names several domains of SOURCE, each is also brought to the target by
itself (domain-coral, domain-scale), or counts as much as it helps to make up the target
(domain-weights), still compared with pooling them all. A table says how near each is, and what it
gives or costs the others. In one table, --target-domain names the target, with labels or without.

Terms of alignment (dann, mcc and their like) tune the network itself; `auto` tries mcc, deep-coral
and dann where `--time` leaves room, then mcc and dann by a smaller weight. Several at once:
--method \"cdan,bsp\". Adabn, tent, shot and pseudo-label change the network by the target alone.

Methods:
";

const COMMANDS: &str = "
Examples:
  offshoot adapt demo:google --target demo:twitter     one vendor's emoji to another's
  offshoot adapt photos-efficientnet_lite0 --target new-camera/   a trained run on other pictures
  offshoot adapt reviews.csv --target tweets.txt --model all-minilm-l6-v2 --time 5m
  offshoot adapt all.csv --target-domain hospital-b    one data set whose column `domain` names both
  offshoot adapt photos/ --target new/ --classes partial    a target that lacks classes
  offshoot adapt photos/ --target new/ --classes open       a target that has others, too
  offshoot adapt photos/ --target new/ --method coral  one method, still compared with doing nothing
  offshoot adapt photos/ --target new/ --method dann --tuning lora --epochs 10
  offshoot adapt photos/ --target new/ --require no-harm --require accuracy=0.8
                                                       exit code 7 where the target's labels say so";

/// Adapt a classifier to data without labels, or leave it as it is
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct Adapt {
    /// Labelled data (folder, manifest, table of texts, IDX, npy or npz), or a trained run: then its own model
    /// and data are taken
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Data to adapt to, with or without labels
    #[arg(long, value_name = "UNLABELLED")]
    target: Option<PathBuf>,
    /// In place of --target: the domain of SOURCE that is the target; all others are the source
    #[arg(long, value_name = "NAME", conflicts_with = "target")]
    target_domain: Option<String>,
    /// Source of the features: a name of `offshoot models list`, a checkpoint, or random:RECIPE
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// How to adapt; see below
    #[arg(long, value_name = "METHOD", default_value = AUTO)]
    method: String,
    /// Which classes the target has: `same` as SOURCE, `partial` where it lacks some, which are then left out of the
    /// adaptation, or `open` where it has others too: answers that are too unsure are then called unknown
    #[arg(long, value_name = "WHICH", default_value = "same", value_parser = Classes::NAMES)]
    classes: String,
    /// With `--classes open`: share of the target's samples that are of other classes, where it is roughly known; without
    /// it, those are called unknown whose answers are less sure than the mean
    #[arg(long, value_name = "SHARE")]
    unknown_share: Option<f64>,
    /// Begin no further method after this time: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<f64>,
    /// Fail with exit code 7 where the target's labels say less: accuracy, macro_f1 or gain (over the source's
    /// classifier) below, log_loss or ece above, or `no-harm` where it is worse than doing nothing
    #[arg(long, value_name = "METRIC=VALUE", value_parser = gate::parse_with_guard)]
    require: Vec<(String, f64)>,
    /// Name of the run folder; by default of source and target
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Layer of a text encoder that features are taken from: a number from 1, or `last-K`; by default the last
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// How a text's tokens become one vector: mean, first, max, mean-sqrt-len or last
    #[arg(long, value_name = "WAY")]
    pooling: Option<String>,
    /// Height and width to which pictures are resized
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<String>,
    /// Of the network's products: auto, f32, bf16x3 or bf16
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    /// How the network is tuned where terms of alignment tune it: lp-ft (usual), full, last-k, lora, ...
    #[arg(long, value_name = "METHOD")]
    tuning: Option<String>,
    /// Passes over the samples where the network is tuned (of the target by shot, tent, fixmatch and pseudo-label); by default
    /// fewer for many samples
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<String>,
    /// Highest learning rate where the network is tuned; by default the tuning method's
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    lr: Option<String>,
    /// Only say what would be done, and what memory, disk and time it would take
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    columns: Columns,
}

/// The methods are those of the registries, so that none can be missing here.
fn help() -> String {
    let methods = offshoot_transfer::adapt::method::methods();
    let widest = methods.iter().map(|m| m.name.len()).max().unwrap_or(0).max(AUTO.len());
    let line = |name: &str, summary: &str| format!("  {name:widest$}  {summary}\n");
    let mut text = String::from(EXAMPLES);
    text.push_str(&line(
        AUTO,
        "those that the mismatch calls for; the choice needs no target label",
    ));
    methods.iter().for_each(|method| text.push_str(&line(method.name, method.summary)));
    text + COMMANDS
}

fn time(text: &str) -> std::result::Result<f64, String> {
    let given = seconds(text.trim()).filter(|seconds| *seconds > 0.0);
    given.ok_or_else(|| "expected a time, such as `90s`, `5m` or `1h`".into())
}

impl Adapt {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("model", &self.model),
            ("size", &self.size),
            ("precision", &self.precision),
            ("batch", &self.batch),
            ("finetune.epochs", &self.epochs),
            ("finetune.lr", &self.lr),
        ];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let dry = self.dry_run;
        let plan = self.plan(context)?;
        let mut observer = context.observer()?;
        let named = |e| nearest::model(e, &plan.training.model);
        if dry {
            let estimate = adapt_dry_run(&plan, &mut observer).map_err(named)?;
            return show_estimate(context, &estimate);
        }
        let result = adapt(&plan, &mut observer).map_err(named);
        drop(observer);
        judged(context, result)
    }

    fn plan(self, context: &Context) -> Result<AdaptPlan> {
        let settings = &context.settings;
        let run = shift::run_of(&settings.runs_dir, &self.source);
        shift::refuse_model_beside(run.as_deref(), self.model.as_deref())?;
        let of_source = [("layer", &self.layer), ("pooling", &self.pooling), ("size", &self.size)];
        if let (Some(_), Some((flag, _))) = (&run, of_source.iter().find(|f| f.1.is_some())) {
            return Err(TransferError::usage(
                format!("`--{flag}` is given, and the source is a run, whose features are settled"),
                "name the run's data as SOURCE to take other features",
            ));
        }
        Ok(AdaptPlan {
            training: TrainPlan {
                data: if run.is_some() { PathBuf::new() } else { self.source.into() },
                columns: settings.columns.clone(),
                model: settings.model.clone(),
                layer: self.layer,
                pooling: self.pooling,
                size: settings.size,
                precision: Precision::from_name(&settings.precision)?,
                seed: settings.seed,
                val: Some(settings.train.val.unwrap_or(VAL)),
                test: TEST,
                method: match &self.tuning {
                    Some(name) => Method::find(name)?,
                    None => Method::PROBE,
                },
                name: self.name,
                runs_dir: settings.runs_dir.clone(),
                batch: settings.batch,
                cache: settings.cache.clone(),
                finetune: settings.finetune.clone(),
                ..TrainPlan::default()
            },
            source_run: run,
            target: self.target,
            target_domain: self.target_domain,
            method: self.method,
            classes: Classes::find(&self.classes).unwrap_or_default(),
            unknown_share: self.unknown_share,
            time: self.time,
            require: gate::map(&self.require)?,
        })
    }
}

/// Prints what was found, also where it does not reach what `--require` asks for.
pub fn judged(context: &Context, result: Result<AdaptReport>) -> Result<()> {
    match &result {
        Ok(report) => show(context, report)?,
        Err(TransferError::GateFailed { report, .. }) => {
            if let Measured::Adapt(report) = report.as_ref() {
                show(context, report)?;
            }
        }
        Err(_) => {}
    }
    result.map(|_| ())
}

/// Prints the document, or the answer in words and a table.
pub fn show(context: &Context, report: &AdaptReport) -> Result<()> {
    if context.json {
        return context.document(report);
    }
    let mut text: String = report.sentences.iter().map(|s| clean(s) + "\n").collect();
    text.push('\n');
    text.push_str(&candidates(report));
    text.push_str(&domains(report));
    for left in &report.left_out {
        text.push_str(&format!("not tried: {} ({})\n", left.name, clean(&left.reason)));
    }
    let next: Vec<String> = report.next.iter().map(|step| clean(step)).collect();
    text.push_str(&format!("\nnext    {}\n", next.join("\n        ")));
    text.push_str(&format!("run     {}\n", clean(&report.run.display().to_string())));
    text.push_str(&format!(
        "report  {}\n",
        clean(&report.run.join("report.html").display().to_string())
    ));
    context.print(text)?;
    let name = report.run.file_name().unwrap_or_default().to_string_lossy();
    context.say(format_args!(
        "answers for the target: eval/predictions.csv; new inputs: offshoot predict {}",
        clean(&name)
    ));
    Ok(())
}

fn candidates(report: &AdaptReport) -> String {
    let rows: Vec<[String; 6]> = report
        .candidates
        .iter()
        .map(|c| {
            [
                c.name.clone(),
                words::percent(c.source_accuracy),
                words::percent(c.changed),
                words::share(c.accuracy),
                words::seconds(c.seconds),
                standing(c),
            ]
        })
        .collect();
    let right = Align::Right;
    let header = [
        ("method", Align::Left),
        ("source, held out", right),
        ("changed", right),
        ("target", right),
        ("time", right),
        ("", Align::Left),
    ];
    table::text(header, &rows)
}

/// What each of several domains of the source is to the target and to the others.
fn domains(report: &AdaptReport) -> String {
    if report.domains.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 8]> = report
        .domains
        .iter()
        .map(|one| {
            [
                clean(&one.domain),
                words::count(one.samples),
                format!("{:.3}", one.distance),
                words::percent(one.share),
                words::share(one.shipped_accuracy),
                words::share(one.unseen_accuracy),
                one.brings_elsewhere(),
                one.brings_target(),
            ]
        })
        .collect();
    let right = Align::Right;
    let header = [
        ("domain", Align::Left),
        ("samples", right),
        ("distance", right),
        ("share", right),
        ("held out", right),
        ("unseen", right),
        ("brings the others", right),
        ("brings the target", right),
    ];
    format!("\n{}* beyond chance\n\n", table::text(header, &rows))
}

fn standing(candidate: &CandidateReport) -> String {
    match (candidate.shipped, candidate.vetoes.as_slice()) {
        (true, _) => "shipped".into(),
        (false, []) => String::new(),
        (false, vetoes) => format!("vetoed: {}", vetoes.join("; ")),
    }
}

/// Which classes the target is said to have.
fn classes(dry: &AdaptDryRun) -> String {
    match (dry.classes, dry.unknown_share) {
        (Classes::Same, _) => "those of the source".into(),
        (Classes::Partial, _) => "some of the source's".into(),
        (Classes::Open, None) => "those of the source and others, by the mean".into(),
        (Classes::Open, Some(share)) => {
            format!("those of the source and others, {} of the samples", words::percent(share))
        }
    }
}

fn show_estimate(context: &Context, dry: &AdaptDryRun) -> Result<()> {
    if context.json {
        return context.document(dry);
    }
    let side = |side: &offshoot_transfer::shift::document::Side, used: &str| {
        format!(
            "{}: {} samples, {} {used}",
            side.name,
            words::count(side.samples),
            words::count(side.used)
        )
    };
    let estimate = &dry.estimate;
    let rows = [
        ["run", &dry.run.display().to_string()],
        ["source", &side(&dry.source, "to fit and choose on")],
        ["target", &side(&dry.target, "to adapt to")],
        ["methods", &dry.methods.join(", ")],
        ["classes", &classes(dry)],
        [
            "to compute",
            &format!(
                "{}; {} in the cache",
                words::counted(estimate.samples, "row", "rows"),
                words::count(estimate.cached)
            ),
        ],
        ["memory", &words::bytes(estimate.memory_bytes)],
        ["disk", &words::bytes(estimate.disk_bytes)],
        ["features", &words::seconds(estimate.seconds)],
    ]
    .map(|row| row.map(str::to_string));
    context.print(table::text([("plan", Align::Left), ("", Align::Left)], &rows))
}
