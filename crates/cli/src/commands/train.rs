use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::{
    AdaptMlm, DryRun, Guard, Method, PhaseEstimate, Precision, Result, TrainPlan, dry_run, train,
};

use super::columns::Columns;
use super::{figures, gate, nearest};
use crate::context::Context;
use crate::table::{self, Align};

const EXAMPLES: &str = "\
DATA is a folder (DATA/CLASS/* or DATA/{train,val,test}/CLASS/*), a manifest
(path,label[,split,domain,group].csv), an IDX file or folder, npy or npz; demo:google is embedded.
Splits that the data does not name are drawn, stratified by class and never apart from their group.
The test split judges once, at the end; each figure has a 95 % interval from 1000 bootstrap
resamples, fewer beyond 5,000 test samples and 200 from 25,000 on.

Methods:
  probe           keep the network frozen, fit a head on its features
  lp-ft           fit the head first, then tune everything
  full            a new head, and everything learns at once
  last-k          tune the last stages (--layers) and the head
  gradual         unfreeze stage by stage, the last one first
  discriminative  everything learns, earlier stages slower (--decay)
  surgical        tune one part only (--block first|middle|last|STAGE|auto)
  bitfit          tune biases only
  norm-tune       tune the scales and shifts of norms only
  lora            add low-rank products to matrices and tune those (--rank, --alpha)
  setfit          contrast pairs of few labelled samples, then fit the head
  scratch         random weights, everything learns: what transfer is compared with
  auto            probe below 4 training samples a class, else lp-ft
What lies before the first stage that learns is computed once and cached. The probe is measured,
too, and kept where tuning is worse on validation by more than chance. Below 1,000 training
samples, the network is then trained as long once more on train and validation (--no-refit leaves
that out). --augment takes light, standard, strong or a list of crop, erasing, flip, jitter,
pad-crop, rand-augment; --regularize a list of bss, co-tuning, cutmix, delta, l2-sp, lwf, mixup,
r-drop; --average ema, swa, soup or wise-ft.

The guard fits the same head on raw pixels (or words), which need no source. On samples that are
held out of training it is decided what is shipped: where the source is behind, the head without it.
The test split then says by how much the source helps or hurts (the negative-transfer gap). While a
network learns, a run that is provably worse than the probe is stopped.

Several sources (--model A,B,C) make one row of features, each scaled to a common variance. The
same head without each of them says whether it harms; one that surely does is named and left out,
decided on held-out training and validation samples. --weighting says how the others count. They
stay frozen.

Examples:
  offshoot train photos/ --name photos               for `offshoot predict photos new.jpg`
  offshoot train photos/ --baselines                 was transfer worth it?
  offshoot train photos/ --model mobilenet_v2 --head lda --name second
  offshoot train photos/ --method lp-ft --time 5m    tune everything, in five minutes at most
  offshoot train texts.csv --layer 2 --method full --distill-from big --distill-data more.txt
                                                     a small network learns what run `big` says
  offshoot train photos/ --model efficientnet_lite0,mobilenet_v2   is each of two sources worth it?
  offshoot train photos/ --dry-run                   what it would take
  offshoot train photos/ --require accuracy=0.9      exit code 7 where it is not reached
  offshoot train photos/ --guard full --require no-harm  exit code 7 where the source hurts";

/// Train, calibrate and judge a classifier on the features of a frozen network
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// Folder, manifest, table of texts, IDX, npy or npz
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Source of the features: a name of `offshoot models list`, a checkpoint, random:RECIPE, or `auto` for the
    /// first of `offshoot rank DATA`; A,B,C puts several sources side by side
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// How much each of several sources counts: `cv` finds weights by leaving samples out, `alignment` asks how
    /// far each agrees with the labels, `equal` takes all alike
    #[arg(long, value_name = "HOW", value_parser = ["alignment", "cv", "equal"])]
    weighting: Option<String>,
    /// Layer of a text encoder that features are taken from: a number from 1, `last-K` for the mean of the
    /// last K, or `auto` for what is best on validation; by default the last
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// How a text's tokens become one vector: mean, first, max, mean-sqrt-len, last or auto; by default the
    /// source's own way
    #[arg(long, value_name = "WAY")]
    pooling: Option<String>,
    /// Before all else, let a text encoder guess hidden words of these unlabelled texts: a table or folder of
    /// texts, or a .txt file with one a line. Whether the run goes on with that is judged by a head on
    /// labelled samples that were held out; with `--guard off` it does
    #[arg(long, value_name = "TEXTS", help_heading = "Adapting a text encoder")]
    adapt_mlm: Option<PathBuf>,
    /// Passes over them at most; by default 3, fewer where held-out texts say that it helps no more
    #[arg(
        long,
        value_name = "N",
        requires = "adapt_mlm",
        help_heading = "Adapting a text encoder"
    )]
    mlm_epochs: Option<usize>,
    /// Highest learning rate; by default 5e-5
    #[arg(
        long,
        value_name = "RATE",
        requires = "adapt_mlm",
        help_heading = "Adapting a text encoder"
    )]
    mlm_lr: Option<f64>,
    /// How to transfer: probe keeps the network frozen; see below for those that tune it
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Classifier on the features: logistic, ridge, lda, knn or centroid
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
    /// Weigh rare classes up
    #[arg(long)]
    class_weights: bool,
    /// Share of the training part that goes to validation where the data names none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    val: Option<String>,
    /// Share of the samples that goes to the test split where the data names none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    test: Option<String>,
    /// Do not fit once more on train and validation in the end
    #[arg(long)]
    no_refit: bool,
    /// Also measure the same head on raw pixels and on the untrained network
    #[arg(long)]
    baselines: bool,
    /// Also judge on other data with the same classes
    #[arg(long, value_name = "NAME=DATA", value_parser = named)]
    also_eval: Vec<(String, PathBuf)>,
    /// Whether something without the source is fitted beside it, and shipped where the source hurts: `on`
    /// takes raw pixels or words, `full` also the network with random weights and from scratch, `off` nothing
    #[arg(long, value_name = "GUARD", value_parser = ["off", "on", "full"])]
    guard: Option<String>,
    /// Fail with exit code 7 where a test figure is worse (accuracy, macro_f1, log_loss or ece), or with
    /// `no-harm` where the guard finds that the source hurts
    #[arg(long, value_name = "METRIC=VALUE", value_parser = gate::parse_with_guard)]
    require: Vec<(String, f64)>,
    /// Name of the run folder; by default of the data and the model
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Height and width to which pictures are resized; by default what the weights were
    /// trained with. Half of the side is a quarter of the work
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<String>,
    /// Of the network's products: `auto` takes bf16 where the processor has tiles for it and a first
    /// batch in both agrees, else what is as good as f32
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    /// Only say what would be done, and what memory, disk and time it would take
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    teacher: super::teacher::Teacher,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    tuning: super::tuning::Tuning,
}

fn named(text: &str) -> std::result::Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.into(), path.into()))
        }
        _ => Err("expected NAME=DATA".into()),
    }
}

impl Train {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("model", &self.model),
            ("size", &self.size),
            ("precision", &self.precision),
            ("train.method", &self.method),
            ("train.guard", &self.guard),
            ("train.head", &self.head),
            ("train.weighting", &self.weighting),
            ("train.val", &self.val),
            ("train.test", &self.test),
            ("batch", &self.batch),
        ];
        let mut flags: Vec<(&'static str, String)> =
            given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?))).collect();
        let switches = [
            (self.class_weights, "train.class_weights", "true"),
            (self.no_refit, "train.refit", "false"),
            (self.baselines, "train.baselines", "true"),
        ];
        let on = switches.into_iter().filter(|(on, _, _)| *on);
        flags.extend(on.map(|(_, key, value)| (key, value.to_string())));
        flags.extend(self.columns.flags());
        flags.extend(self.tuning.flags());
        flags
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let dry = self.dry_run;
        let tuning = self.tuning.clone();
        let plan = self.plan(context)?;
        tuning.refuse_unheeded(plan.method)?;
        let mut observer = context.observer()?;
        if dry {
            let estimate =
                dry_run(&plan, &mut observer).map_err(|e| nearest::model(e, &plan.model))?;
            return show_estimate(context, &plan, &estimate);
        }
        let result = train(&plan, &mut observer).map_err(|e| nearest::model(e, &plan.model));
        drop(observer);
        figures::judged(context, result)
    }

    fn plan(self, context: &Context) -> Result<TrainPlan> {
        let settings = &context.settings;
        let train = &settings.train;
        Ok(TrainPlan {
            data: self.data,
            columns: settings.columns.clone(),
            model: settings.model.clone(),
            weighting: train.weighting.clone(),
            model_chosen: None,
            size: settings.size,
            layer: self.layer,
            pooling: self.pooling,
            adapt_mlm: self.adapt_mlm.map(|texts| {
                let usual = AdaptMlm::default();
                let epochs = self.mlm_epochs.unwrap_or(usual.epochs);
                AdaptMlm { texts, epochs, lr: self.mlm_lr.unwrap_or(usual.lr), ..usual }
            }),
            precision: Precision::from_name(&settings.precision)?,
            method: Method::find(&train.method)?,
            finetune: settings.finetune.clone(),
            head: train.head.clone(),
            class_weights: train.class_weights,
            seed: settings.seed,
            val: train.val,
            test: train.test,
            refit: train.refit,
            baselines: train.baselines,
            guard: Guard::from_name(&train.guard)?,
            also_eval: self.also_eval.into_iter().collect(),
            require: gate::map(&self.require)?,
            begun_in: None,
            name: self.name,
            runs_dir: settings.runs_dir.clone(),
            batch: settings.batch,
            cache: settings.cache.clone(),
            distill: self.teacher.plan(settings)?,
            command: "train".into(),
        })
    }
}

fn show_estimate(context: &Context, plan: &TrainPlan, dry: &DryRun) -> Result<()> {
    if context.json {
        return context.document(dry);
    }
    let estimate = &dry.estimate;
    let splits: Vec<String> =
        dry.splits.iter().map(|(name, n)| format!("{} {name}", words::count(*n))).collect();
    let phases: Vec<&str> = dry.phases.iter().map(|phase| phase.verb()).collect();
    let mut rows = vec![
        ["run", &dry.run.display().to_string()],
        ["samples", &splits.join(", ")],
        ["features", &format!("{} (head {})", plan.model, plan.head)],
        ["steps", &phases.join(", ")],
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
        ["time", &words::seconds(estimate.seconds)],
    ]
    .into_iter()
    .map(|row| row.map(str::to_string))
    .collect::<Vec<_>>();
    if let Some(tuning) = &estimate.tuning {
        let phase = |phase: &PhaseEstimate| {
            let epochs = words::counted(phase.epochs, "epoch", "epochs");
            format!("{}: {epochs} of {}", phase.name, words::seconds(phase.seconds_per_epoch))
        };
        let mut phases: Vec<String> = tuning.phases.iter().map(phase).collect();
        if tuning.refit {
            phases.push("then once more on train and validation".into());
        }
        rows.insert(5, ["tuning".into(), phases.join(", ")]);
    }
    let header = [("plan", Align::Left), ("", Align::Left)];
    context.print(table::text(header, &rows))
}
