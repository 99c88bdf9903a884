use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::rank::{Ranked, Verified, score_names};
use offshoot_transfer::report::words;
use offshoot_transfer::{Method, Precision, RankPlan, RankReport, Result, TransferError, rank};

use super::columns::Columns;
use crate::context::{Context, clean};
use crate::settings::seconds;
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Every model computes the features of the same training samples; a score compares them. Nothing is
trained and the test split is not looked at. Ranks have 95 % intervals over halves of the samples:
where intervals overlap, either model may be the better one. Raw pixels and random weights are
ranked along, to compare with: a model that is no better brings nothing.

Scores (more is better; --score all computes every one). The usual order is the mean of the places
by loo and logme:
  loo        log-likelihood of a ridge probe that leaves one out, in closed form
  probe      cross-validated log-likelihood of a logistic head: slow and honest
  knn        leave-one-out accuracy of the five nearest neighbours
  logme, hscore, transrate, gbc, parc, nleep     as published, from features and labels alone
  leep, nce  from what the source's own classifier says, where the weights hold one

With --time, where the time does not suffice for everyone, all models are scored on few samples and
the worse half leaves, and so on.

Examples:
  offshoot rank photos/                              everything in the store
  offshoot rank photos/ --models efficientnet_lite0,resnet18 --score all
  offshoot rank photos/ --time 2m --verify 3         and probe the first three
  offshoot rank photos/ --verify 2 --verify-method lp-ft   tune the first two whole
  offshoot rank photos/ --sizes 96,160,224           at which size of pictures?
  offshoot rank reviews.csv --layers                 which layer and pooling of text encoders?
  offshoot train photos/ --model auto                train on the first of the ranking";

/// Find out which model to transfer from, before anything is trained
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rank {
    /// Folder, manifest, table of texts or IDX
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Who competes: names of `offshoot models list`, checkpoints, random:RECIPE, pixels; by default the whole
    /// store and the embedded model
    #[arg(short, long, value_name = "A,B", value_delimiter = ',')]
    models: Vec<String>,
    /// Scores, the first of which orders, or `all`
    #[arg(long, value_name = "SCORES", value_delimiter = ',')]
    score: Vec<String>,
    /// Rank every layer and pooling of text encoders
    #[arg(long)]
    layers: bool,
    /// Rank models at these heights and widths of pictures
    #[arg(long, value_name = "PIXELS", value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Leave raw pixels and random weights out
    #[arg(long)]
    no_references: bool,
    /// Have a ranking within this time (90s, 5m), if need be from fewer samples
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<f64>,
    /// Training samples that are looked at, at most
    #[arg(long, value_name = "N", default_value_t = RankPlan::default().limit)]
    limit: usize,
    /// Halves of the samples behind each interval
    #[arg(long, value_name = "N", default_value_t = RankPlan::default().resamples)]
    resamples: usize,
    /// Probe or tune the first K, judge them on validation samples, and say how well that agrees
    #[arg(long, value_name = "K", default_value_t = 0, hide_default_value = true)]
    verify: usize,
    /// How they are transferred for that: probe, or a method of `train` that tunes (`lp-ft`, `full`, ...), by the
    /// `finetune` settings
    #[arg(long, value_name = "METHOD", default_value = "probe", hide_default_value = true)]
    verify_method: String,
    /// As in `train`
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

fn time(text: &str) -> std::result::Result<f64, String> {
    seconds(text).ok_or_else(|| "expected a time such as 90s, 5m or 1h".into())
}

impl Rank {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [("precision", &self.precision), ("batch", &self.batch)];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let plan = RankPlan {
            data: self.data,
            columns: settings.columns.clone(),
            models: self.models,
            scores: self.score,
            layers: self.layers,
            sizes: self.sizes,
            references: !self.no_references,
            time: self.time,
            limit: self.limit,
            resamples: self.resamples,
            verify: self.verify,
            verify_method: Method::find(&self.verify_method)?,
            finetune: settings.finetune.clone(),
            precision: Precision::from_name(&settings.precision)?,
            val: settings.train.val,
            test: settings.train.test,
            batch: settings.batch,
            seed: settings.seed,
            cache: settings.cache.clone(),
        };
        let mut observer = context.observer()?;
        let report = rank(&plan, &mut observer).map_err(near_score)?;
        drop(observer);
        if context.json {
            return context.document(&report);
        }
        show(context, &report)
    }
}

/// Adds the nearest name to an error about a score.
fn near_score(error: TransferError) -> TransferError {
    let TransferError::Usage { detail, hint } = error else { return error };
    let typed = detail.strip_prefix("unknown score `").and_then(|rest| rest.strip_suffix('`'));
    let alike = |name: &&&str| typed.map_or(0.0, |typed| strsim::jaro_winkler(name, typed));
    let names = score_names();
    let near = names.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|n| alike(n) > 0.8);
    let meant = near.map(|near| format!("did you mean `{near}`?"));
    let hint = [meant, hint].into_iter().flatten().collect::<Vec<_>>().join(" ");
    TransferError::Usage { detail, hint: Some(hint).filter(|hint| !hint.is_empty()) }
}

fn show(context: &Context, report: &RankReport) -> Result<()> {
    let order = report.ordered_by.first().map_or("", String::as_str);
    let mut scores: Vec<&String> = report.ranking.iter().flat_map(|r| r.scores.keys()).collect();
    scores.sort();
    scores.dedup();
    let several = scores.len() > 1;
    let rows: Vec<[String; 9]> = report.ranking.iter().map(|r| row(r, report)).collect();
    let header = [
        ("rank", Align::Right),
        ("model", Align::Left),
        (order, Align::Right),
        ("95 % of rank", Align::Left),
        ("features", Align::Right),
        ("weights", Align::Right),
        ("licence", Align::Left),
        ("to compute", Align::Right),
        ("to score", Align::Right),
    ];
    let mut text = table::text(header, &rows);
    for left in &report.left_out {
        text.push_str(&format!("  –  {}: {}\n", clean(&left.model), clean(&left.reason)));
    }
    if several {
        text.push('\n');
        text.push_str(&matrix(report, &scores));
    }
    if let Some(verified) = &report.verified {
        text.push('\n');
        text.push_str(&truth(verified));
    }
    text.push('\n');
    text.push_str(&summary(report));
    for note in &report.notes {
        text.push_str(&clean(note));
        text.push('\n');
    }
    context.print(text)
}

fn title(model: &str, variant: Option<&str>) -> String {
    match variant {
        Some(variant) => format!("{model}, {variant}"),
        None => model.into(),
    }
}

fn place(rank: f64) -> String {
    if rank.fract() == 0.0 { format!("{rank:.0}") } else { format!("{rank:.1}") }
}

fn row(r: &Ranked, report: &RankReport) -> [String; 9] {
    let name = title(&r.model, r.variant.as_deref());
    [
        place(r.rank),
        if r.reference { format!("({name})") } else { name },
        r.score.map_or("–".into(), |score| format!("{score:.4}")),
        match r.ci {
            Some([low, high]) => format!("{} to {}", place(low), place(high)),
            None if r.samples < report.samples => format!("after {}", words::count(r.samples)),
            None => String::new(),
        },
        words::count(r.dim),
        if r.weights > 0 { words::count(r.weights) } else { "–".into() },
        r.licence.clone().unwrap_or_else(|| if r.reference { "–" } else { "unknown" }.into()),
        words::seconds(r.seconds_features),
        words::seconds(r.seconds_scores),
    ]
}

/// Every score of every model, and how far the scores' orders agree with the first's and with size.
fn matrix(report: &RankReport, scores: &[&String]) -> String {
    let order = report.ordered_by.first().map_or("", String::as_str);
    let tau = |a: &str, b: &str| {
        let of = |x: &str, y: &str| report.agreement.iter().find(|g| g.a == x && g.b == y);
        of(a, b).or_else(|| of(b, a)).and_then(|g| g.tau)
    };
    let shown = |tau: Option<f64>| tau.map_or("–".into(), |tau| format!("{tau:.2}"));
    let best = |score: &str| {
        let value = |r: &&Ranked| r.scores.get(score).copied().flatten();
        let models = report.ranking.iter().filter(|r| value(r).is_some());
        models.max_by(|a, b| value(a).unwrap_or(f64::MIN).total_cmp(&value(b).unwrap_or(f64::MIN)))
    };
    let rows: Vec<[String; 4]> = scores
        .iter()
        .map(|score| {
            let first = best(score).map(|r| title(&r.model, r.variant.as_deref()));
            let with = if *score == order { "1.00".into() } else { shown(tau(score, order)) };
            [
                (*score).clone(),
                first.unwrap_or_else(|| "–".into()),
                with,
                shown(tau(score, "weights")),
            ]
        })
        .collect();
    let header = [
        ("score", Align::Left),
        ("its first", Align::Left),
        (&format!("τ with {order}"), Align::Right),
        ("τ with size", Align::Right),
    ];
    table::text(header, &rows)
}

fn truth(verified: &Verified) -> String {
    let rows: Vec<[String; 4]> = verified
        .models
        .iter()
        .map(|m| {
            [
                title(&m.model, m.variant.as_deref()),
                words::percent(m.accuracy),
                format!("{:.4}", m.log_loss),
                words::seconds(m.seconds),
            ]
        })
        .collect();
    let (how, high) = match verified.method.as_str() {
        "probe" => ("probed".into(), ""),
        method => (
            format!("tuned by {method}"),
            ", which also chose the epochs: these accuracies are a little high, for all alike",
        ),
    };
    let header = [
        (how.as_str(), Align::Left),
        ("accuracy", Align::Right),
        ("log-loss", Align::Right),
        ("time", Align::Right),
    ];
    let agreement = match verified.weighted_tau {
        Some(tau) => format!("weighted τ between the ranking and these accuracies: {tau:.2}"),
        None => "the accuracies are no order to compare the ranking with".into(),
    };
    let samples = words::counted(verified.samples, "validation sample", "validation samples");
    format!("{}{agreement} ({samples}{high})\n", table::text(header, &rows))
}

/// What a reader should do.
fn summary(report: &RankReport) -> String {
    let Some(first) = report.ranking.iter().find(|r| !r.reference) else {
        return "nothing but references was ranked\n".into();
    };
    let samples = words::counted(report.samples, "training sample", "training samples");
    let mut text = format!("ranked on {samples} of {}", clean(&report.data));
    let flags: Vec<&str> = first.flags.iter().map(String::as_str).collect();
    let name = title(&first.model, first.variant.as_deref());
    let ahead: Vec<&str> = report
        .ranking
        .iter()
        .filter(|r| r.reference && r.rank < first.rank && r.samples == first.samples)
        .map(|r| r.model.as_str())
        .collect();
    if !ahead.is_empty() {
        text.push_str(&format!(
            "; {} {} better than every model: transfer is unlikely to help here",
            ahead.join(" and "),
            if ahead.len() == 1 { "is" } else { "are" }
        ));
    }
    let near = report.ranking.iter().filter(|r| {
        let overlap = r.ci.zip(first.ci).is_some_and(|(own, best)| own[0] <= best[1]);
        !r.reference && overlap && (&r.model, &r.variant) != (&first.model, &first.variant)
    });
    match near.count() {
        0 => text.push_str(&format!("; {name} is first")),
        n => text.push_str(&format!("; {name} is first, and {n} more may be as good")),
    }
    let command = [&["--model", first.model.as_str()][..], &flags].concat().join(" ");
    format!("{}: offshoot train DATA {}\n", clean(&text), clean(&command))
}
