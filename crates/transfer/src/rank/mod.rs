//! `rank`: which source to transfer from, before anything is trained.
//!
//! Every source computes the features of the same training samples, and the scores of
//! [`offshoot_stats::scores`] compare them; the test split is never looked at. Intervals of ranks come from halves
//! of the samples. With a time budget that does not suffice for everyone, the worse half leaves after few samples,
//! the rest goes on with twice as many (successive halving, Jamieson & Talwalkar 2016).

mod auto;
mod contest;
mod document;
mod measure;
mod rounds;
mod verify;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use offshoot_data::ColumnNames;
use offshoot_stats::heads::Limit;
use offshoot_stats::scores::{self, Contender, Score};
use offshoot_stats::{average_ranks, kendall_tau};

pub use auto::chosen;
pub use document::{Agreement, LeftOut, RankReport, Ranked, Verified, VerifiedModel};

use crate::cache::Cache;
use crate::documents::SCHEMA;
use crate::fit::Finetune;
use crate::plan::{CachePlan, Method, TrainPlan};
use crate::precision::Precision;
use crate::prepare::{self, Prepared};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};
use measure::{Line, Setting};
use rounds::Outcome;

/// The scores that order where the user names none; several by the mean of their places. Chosen on the targets of
/// `benches/rank`.
pub const USUAL: &[&str] = &["loo", "logme"];
/// All scores, for a comparison.
pub const ALL: &str = "all";
/// `--model` of `train` that takes the first of the ranking.
pub const AUTO: &str = "auto";

/// `offshoot rank`.
#[derive(Debug, Clone, PartialEq)]
pub struct RankPlan {
    /// As in [`TrainPlan::data`].
    pub data: PathBuf,
    /// As in [`TrainPlan::columns`].
    pub columns: ColumnNames,
    /// Who competes (see [`crate::source`]); empty for the whole store and the embedded source.
    pub models: Vec<String>,
    /// Entries of [`offshoot_stats::scores::all`], the first of which orders; `all` for all of them and empty for
    /// none but [`USUAL`], which then order.
    pub scores: Vec<String>,
    /// Rank layers and poolings of text encoders one by one.
    pub layers: bool,
    /// Rank pictures of these heights and widths one by one.
    pub sizes: Vec<usize>,
    /// Also rank raw pixels and random weights, to compare with.
    pub references: bool,
    /// Seconds after which the ranking must stand.
    pub time: Option<f64>,
    /// Training samples that are looked at, at most.
    pub limit: usize,
    /// Halves of the samples behind each interval.
    pub resamples: usize,
    /// The first so many are probed or tuned, and judged on validation.
    pub verify: usize,
    /// How they are transferred for that.
    pub verify_method: Method,
    /// How they are tuned, where the method tunes.
    pub finetune: Finetune,
    /// As in [`TrainPlan::precision`].
    pub precision: Precision,
    /// As in [`TrainPlan::val`].
    pub val: Option<f64>,
    /// As in [`TrainPlan::test`].
    pub test: f64,
    /// Samples a step of the network.
    pub batch: usize,
    /// Keys every random draw.
    pub seed: u64,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
}

impl Default for RankPlan {
    fn default() -> Self {
        let TrainPlan { precision, test, batch, .. } = TrainPlan::default();
        Self {
            data: PathBuf::new(),
            columns: ColumnNames::default(),
            models: Vec::new(),
            scores: Vec::new(),
            layers: false,
            sizes: Vec::new(),
            references: true,
            time: None,
            limit: 1_000,
            resamples: 40,
            verify: 0,
            verify_method: Method::PROBE,
            finetune: Finetune::default(),
            precision,
            val: None,
            test,
            batch,
            seed: 0,
            cache: CachePlan::default(),
        }
    }
}

/// Which scores are computed, and which of them order.
struct Asked {
    order: Vec<&'static Score>,
    all: Vec<&'static Score>,
}

impl Asked {
    fn of(words: &[String]) -> Result<Self> {
        let find = |name: &str| {
            scores::find(name).ok_or_else(|| {
                let known: Vec<&str> = scores::all().iter().map(|score| score.name).collect();
                TransferError::usage(
                    format!("unknown score `{name}`"),
                    format!("there are {} and {ALL}", known.join(", ")),
                )
            })
        };
        let usual = USUAL.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
        if words.is_empty() {
            return Ok(Self { all: usual.clone(), order: usual });
        }
        if words.iter().any(|word| word == ALL) {
            return Ok(Self { order: usual, all: scores::all().iter().collect() });
        }
        let mut all: Vec<&'static Score> = Vec::new();
        for word in words {
            let score = find(word)?;
            if all.iter().all(|other| other.name != score.name) {
                all.push(score);
            }
        }
        Ok(Self { order: all[..1].to_vec(), all })
    }

    /// Places of lines by the scores that order.
    fn places(&self, lines: &[&Line]) -> Vec<f64> {
        let of = |line: &&Line| -> Vec<Option<f64>> {
            self.order.iter().map(|s| line.scores.get(s.name).copied().flatten()).collect()
        };
        scores::places(&lines.iter().map(of).collect::<Vec<_>>())
    }
}

/// Every word that `--score` takes.
pub fn score_names() -> Vec<&'static str> {
    scores::all().iter().map(|score| score.name).chain([ALL]).collect()
}

/// Refuses a plan that cannot be carried out, before any work.
fn check_plan(plan: &RankPlan) -> Result<Asked> {
    if plan.limit < 2 {
        return Err(TransferError::usage(
            format!("{} samples are too few to rank by", plan.limit),
            "`--limit` is 2 at least; without it, 1000 training samples are looked at",
        ));
    }
    Asked::of(&plan.scores)
}

/// Ranks sources for a data set.
///
/// # Errors
/// Wrong usage, data that no classifier can be trained on, and a store or list of models none of which can be
/// ranked. A single model that cannot is a line of [`RankReport::left_out`].
pub fn rank(plan: &RankPlan, observer: &mut dyn Observer) -> Result<RankReport> {
    let mut watch = Watch::new(observer);
    check_plan(plan)?;
    let train = TrainPlan {
        data: plan.data.clone(),
        columns: plan.columns.clone(),
        val: plan.val,
        test: plan.test,
        seed: plan.seed,
        ..TrainPlan::default()
    };
    let prepared = prepare::prepare(&train, &mut watch)?;
    rank_prepared(plan, &prepared, &mut watch)
}

/// The same for data that has been read and split.
pub fn rank_prepared(
    plan: &RankPlan,
    prepared: &Prepared,
    watch: &mut Watch<'_>,
) -> Result<RankReport> {
    let asked = check_plan(plan)?;
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let setting = Setting { plan, prepared, cache: &cache };
    let entrants = contest::entrants(plan, &prepared.dataset.samples)?;
    let deadline = plan.time.map(|seconds| {
        Instant::now() + Duration::from_secs_f64((seconds - watch.seconds()).max(0.0))
    });
    let Outcome { lines, samples, left_out, mut notes } =
        rounds::run(&setting, &asked, entrants, deadline, watch)?;
    if lines.is_empty() {
        let first = left_out.first();
        let reason = first.map_or(String::new(), |l| format!("; `{}`: {}", l.model, l.reason));
        return Err(TransferError::usage(
            format!("none of the models can be ranked{reason}"),
            "`offshoot models list` shows what is there",
        ));
    }
    let labels = setting.labels(&samples);
    let whole = lines.iter().filter(|line| line.readable.len() == samples.len()).count();
    let intervals = watch.phase(Phase::Evaluate, None, |watch| {
        watch.listening(|stop| {
            let contenders: Vec<Contender<'_>> = lines[..whole]
                .iter()
                .map(|line| Contender { rows: line.rows.rows(), source: line.answers.as_ref() })
                .collect();
            let limit = Limit { stop: Some(stop.clone()), until: deadline };
            let draws = (plan.resamples, plan.seed);
            let classes = setting.n_classes();
            scores::intervals(&contenders, &labels, classes, &asked.order, draws, &limit)
        })
    })??;
    if intervals.is_none() && plan.resamples > 0 {
        notes.push("no time was left for the intervals of the ranks".into());
    }
    let mut ranking: Vec<Ranked> = Vec::with_capacity(lines.len());
    let among_whole = asked.places(&lines[..whole].iter().collect::<Vec<_>>());
    for (at, line) in lines.iter().enumerate() {
        ranking.push(Ranked {
            model: line.name.clone(),
            variant: line.variant(),
            flags: line.flags(),
            rank: among_whole.get(at).copied().unwrap_or(at as f64 + 1.0),
            ci: intervals.as_ref().and_then(|intervals| intervals.get(at).copied()),
            score: asked.order.first().and_then(|s| line.scores.get(s.name).copied().flatten()),
            scores: line.scores.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
            reference: line.entrant.reference,
            samples: line.readable.len(),
            dim: line.rows.rows().d(),
            weights: line.weights,
            licence: line.licence.clone(),
            trained_on: line.trained_on.clone(),
            seconds: line.seconds_features + line.seconds_scores,
            seconds_features: line.seconds_features,
            seconds_scores: line.seconds_scores,
        });
    }
    let agreement = agreements(&lines[..whole], &asked);
    let verified = match plan.verify {
        0 => None,
        k => {
            let (first, drawn) = ((&among_whole[..], k), (&samples[..], &labels[..]));
            Some(verify::verify(&setting, &lines[..whole], first, drawn, watch)?)
        }
    };
    Ok(RankReport {
        schema: SCHEMA,
        command: "rank".into(),
        run: None,
        seconds: watch.seconds(),
        data: prepared.dataset.name.clone(),
        samples: samples.len(),
        classes: setting.n_classes(),
        ordered_by: asked.order.iter().map(|score| score.name.into()).collect(),
        ranking,
        left_out,
        agreement,
        verified,
        notes,
    })
}

/// Kendall's τ of every two scores, and of each with the order by size.
fn agreements(lines: &[Line], asked: &Asked) -> Vec<Agreement> {
    let of = |name: &str| -> Vec<Option<f64>> {
        lines.iter().map(|line| line.scores.get(name).copied().flatten()).collect()
    };
    let mut orders: Vec<(&str, Vec<Option<f64>>)> =
        asked.all.iter().map(|score| (score.name, of(score.name))).collect();
    orders.push(("weights", lines.iter().map(|line| Some(line.weights as f64)).collect()));
    let mut all = Vec::new();
    for (at, (b, second)) in orders.iter().enumerate() {
        for (a, first) in &orders[..at] {
            let both: Vec<(f64, f64)> =
                first.iter().zip(second).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
            let (x, y): (Vec<f64>, Vec<f64>) = both.iter().copied().unzip();
            let tau = kendall_tau(&x, &y);
            all.push(Agreement { a: (*a).into(), b: (*b).into(), tau, models: both.len() });
        }
    }
    all
}

/// Lines best first by the scores that order; equals in the order in which they came.
fn sort(lines: &mut Vec<Line>, asked: &Asked) {
    let places = asked.places(&lines.iter().collect::<Vec<_>>());
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let mut taken: Vec<Option<Line>> = lines.drain(..).map(Some).collect();
    lines.extend(order.into_iter().filter_map(|i| taken[i].take()));
}

/// Opposite numbers for places, so that more is better.
fn by_place(places: &[f64]) -> Vec<f64> {
    average_ranks(&places.iter().map(|place| -place).collect::<Vec<_>>())
}
