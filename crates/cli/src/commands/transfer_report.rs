use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::transfer_report::document::{TransferReport, TransferReportDryRun};
use offshoot_transfer::transfer_report::plan::TransferReportPlan;
use offshoot_transfer::{
    Precision, Result, TrainPlan, TransferError, transfer_report, transfer_report_dry_run,
};

use super::columns::Columns;
use super::nearest;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Learning curves with and without a source answer three questions: how many labels does transfer
save, how much time, and does any source hurt? Each point is an ordinary training on a part of the
labels, judged on one test split that all share; every figure has a 95 % interval over test samples
and seeds. The answer is a page, report.html, with report.json and tables beside it.

Methods are those of `offshoot train --help`, and `pixels`: a head on raw pixels. `scratch` and
`pixels` need no source; what transfers is compared with them. Frozen features are computed once, so
probes cost next to nothing; scratch and tuning cost real training. --time does the cells of the
fewest labels first and says what it left out. The same command goes on where it was: after Ctrl-C,
or with more time.

Examples:
  offshoot transfer-report demo:google --size 64 --epochs 10
                                            the embedded emoji, small, in minutes
  offshoot transfer-report photos/ --time 30m
  offshoot transfer-report photos/ --dry-run          what each cell would take
  offshoot transfer-report photos/ --methods probe,pixels --seeds 5
  offshoot transfer-report photos/ scans/ --models efficientnet_lite0,mobilenet_v2
                                            every source on every target";

/// Was transfer worth it? Learning curves with and without a source
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TransferReportArgs {
    /// Data to transfer to, as for `offshoot train`; several make a matrix
    #[arg(value_name = "DATA", required = true)]
    data: Vec<PathBuf>,
    /// Sources to transfer from, separated by commas; by default the embedded one
    #[arg(short, long, value_name = "A,B,...", value_delimiter = ',')]
    models: Vec<String>,
    /// Ways of learning to compare; by default scratch,probe,lp-ft,pixels
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    methods: Vec<String>,
    /// Per cent of the labels to learn from; by default 1,2,5,10,25,50,100
    #[arg(long, value_name = "P,Q,...", value_delimiter = ',')]
    shares: Vec<f64>,
    /// Repetitions, each with other labels and other draws
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: usize,
    /// Time that all cells may take (90s, 10m, 2h); those of the fewest labels come first
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    time: Option<String>,
    /// Passes over the training samples; by default as for `offshoot train`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<String>,
    /// Share of the samples that goes to the test split where the data names none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    test: Option<String>,
    /// Height and width to which pictures are resized; half of the side is a quarter of the work
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<String>,
    /// Of the network's products, as for `offshoot train`
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Name of the report's folder; by default of the data
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only list the cells and what they would take
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    columns: Columns,
}

impl TransferReportArgs {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("finetune.time", &self.time),
            ("finetune.epochs", &self.epochs),
            ("train.test", &self.test),
            ("size", &self.size),
            ("precision", &self.precision),
        ];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let dry = self.dry_run;
        let plan = self.plan(context)?;
        let mut observer = context.observer()?;
        let suggest = |error: TransferError| {
            plan.models.iter().fold(error, |error, model| nearest::model(error, model))
        };
        if dry {
            let found = transfer_report_dry_run(&plan, &mut observer).map_err(suggest)?;
            drop(observer);
            return show_plan(context, &found);
        }
        let report = transfer_report(&plan, &mut observer).map_err(suggest)?;
        drop(observer);
        show(context, &report)
    }

    fn plan(self, context: &Context) -> Result<TransferReportPlan> {
        let settings = &context.settings;
        let usual = TransferReportPlan::default();
        let or = |given: Vec<String>, usual: Vec<String>| match given.is_empty() {
            true => usual,
            false => given,
        };
        let shares: Vec<f64> = self.shares.iter().map(|percent| percent / 100.0).collect();
        let mut finetune = settings.finetune.clone();
        let time = finetune.time.take();
        Ok(TransferReportPlan {
            targets: self.data,
            models: or(self.models, vec![settings.model.clone()]),
            methods: or(self.methods, usual.methods),
            shares: if shares.is_empty() { usual.shares } else { shares },
            seeds: self.seeds,
            time,
            training: TrainPlan {
                columns: settings.columns.clone(),
                size: settings.size,
                precision: Precision::from_name(&settings.precision)?,
                finetune,
                head: settings.train.head.clone(),
                class_weights: settings.train.class_weights,
                seed: settings.seed,
                val: settings.train.val,
                test: settings.train.test,
                refit: settings.train.refit,
                name: self.name,
                runs_dir: settings.runs_dir.clone(),
                batch: settings.batch,
                cache: settings.cache.clone(),
                ..usual.training
            },
        })
    }
}

/// Prints the answer, and where the page is.
pub fn show(context: &Context, report: &TransferReport) -> Result<()> {
    if context.json {
        return context.document(report);
    }
    let mut text = format!("{} {}.\n", report.figure, report.headline);
    for sentence in &report.sentences {
        text.push_str(&format!("{sentence}\n"));
    }
    let mut rows = Vec::new();
    for target in &report.targets {
        for curve in &target.curves {
            let cells: Vec<String> = curve
                .points
                .iter()
                .map(|p| {
                    format!("{}: {}", words::count(p.labels), words::whole_percent(p.accuracy))
                })
                .collect();
            let model = curve.model.as_deref().map(words::source).unwrap_or_default();
            rows.push([target.data.clone(), model, curve.method.clone(), cells.join("  ")]);
        }
    }
    let header = [
        ("data", Align::Left),
        ("source", Align::Left),
        ("method", Align::Left),
        ("labels: accuracy", Align::Left),
    ];
    text = clean_lines(&text) + "\n" + &table::text(header, &rows);
    if report.matrix.len() > 1 {
        let rows: Vec<[String; 5]> = report
            .matrix
            .iter()
            .map(|cell| {
                let [low, high] = cell.gap_ci;
                [
                    cell.data.clone(),
                    words::source(&cell.model),
                    format!("{} against {}", cell.method, cell.versus),
                    format!(
                        "{} ({})",
                        words::points(-cell.gap),
                        words::points_range([-high, -low])
                    ),
                    format!("{:?}", cell.verdict).to_lowercase(),
                ]
            })
            .collect();
        let header = [
            ("data", Align::Left),
            ("source", Align::Left),
            ("method", Align::Left),
            ("accuracy (95 %)", Align::Left),
            ("verdict", Align::Left),
        ];
        text.push_str(&format!("\n{}", table::text(header, &rows)));
    }
    let run = clean(&report.run.display().to_string());
    let page = clean(&report.run.join("report.html").display().to_string());
    text.push_str(&format!("\nrun     {run}\nreport  {page}\n"));
    context.print(text)
}

/// Lines of our own, in which names may be anything.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

fn show_plan(context: &Context, plan: &TransferReportDryRun) -> Result<()> {
    if context.json {
        return context.document(plan);
    }
    let rows: Vec<[String; 6]> = plan
        .cells
        .iter()
        .map(|cells| {
            [
                cells.data.clone(),
                cells.model.clone().unwrap_or_default(),
                cells.method.clone(),
                format!("{} ({})", words::count(cells.labels), words::whole_percent(cells.share)),
                words::count(cells.cells),
                match cells.affordable {
                    true => words::seconds(cells.seconds),
                    false => format!("{}, left out", words::seconds(cells.seconds)),
                },
            ]
        })
        .collect();
    let header = [
        ("data", Align::Left),
        ("source", Align::Left),
        ("method", Align::Left),
        ("labels", Align::Right),
        ("trainings", Align::Right),
        ("time", Align::Left),
    ];
    let mut text = table::text(header, &rows);
    let cells: usize = plan.cells.iter().map(|cells| cells.cells).sum();
    text.push_str(&format!(
        "\n{} take about {}\nrun     {}\n",
        words::counted(cells, "training", "trainings"),
        words::seconds(plan.estimate),
        clean(&plan.run.display().to_string())
    ));
    for note in &plan.notes {
        context.say(clean(note));
    }
    context.print(text)
}
