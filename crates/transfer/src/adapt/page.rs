//! `report.html` of an adaptation, and the data from which it can be drawn again.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use offshoot_data::Split;
use offshoot_stats::adapters::View;
use offshoot_stats::{Matrix, Probabilities, pca};
use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Made};
use super::course::Outcome;
use super::document::{AdaptReport, CandidateReport, ClassChange};
use super::judge::Judged;
use super::plots::{self, By};
use super::sides::Sides;
use crate::report::data::{FeatureMap, MapPoint};
use crate::report::svg::{self, Drawing};
use crate::report::words;
use crate::run::record::RunRecord;
use crate::{Result, TransferError};

/// Samples of each side on a map.
const POINTS: usize = 350;
/// Classes in the table that is open from the start.
const CLASSES: usize = 20;

/// What the page shows: `eval/report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageData {
    /// The run's name.
    pub title: String,
    /// UTC, RFC 3339.
    pub created: String,
    /// Version of this program.
    pub version: String,
    /// Keys every random draw.
    pub seed: u64,
    /// Which samples the shipped head was fitted on, in words.
    pub fitted_on: String,
    /// The document.
    pub report: AdaptReport,
    /// Both sides as they are.
    pub before: Option<FeatureMap>,
    /// Both sides as the shipped classifier sees them; absent where features stay as they are.
    pub after: Option<FeatureMap>,
}

impl PageData {
    /// From everything that was found.
    pub fn of(
        record: &RunRecord,
        sides: &Sides,
        outcome: &Outcome,
        judged: Option<&Judged>,
        said: &Probabilities,
        report: &AdaptReport,
    ) -> Result<Self> {
        let chosen = outcome.chosen();
        let points = Points::of(sides, outcome, judged, said);
        Ok(Self {
            title: record.name.clone(),
            created: record.created.clone(),
            version: record.version.clone(),
            seed: record.seed,
            fitted_on: record.fitted_on.clone(),
            report: report.clone(),
            before: points.map(
                outcome.features.of_source.gather(&points.source)?,
                outcome.features.of_target.gather(&points.target)?,
            )?,
            after: points.seen(outcome, chosen)?,
        })
    }
}

/// Which samples are on the maps, and what is known of them.
struct Points {
    source: Vec<usize>,
    target: Vec<usize>,
    told: Vec<MapPoint>,
}

impl Points {
    fn of(sides: &Sides, outcome: &Outcome, judged: Option<&Judged>, said: &Probabilities) -> Self {
        let spread = |places: Vec<usize>| -> Vec<usize> {
            let step = places.len().div_ceil(POINTS).max(1);
            places.into_iter().step_by(step).collect()
        };
        let source = spread(sides.prepared.of(Split::Train));
        let adapting = &outcome.features.adapting;
        let rows = spread((0..adapting.len()).collect());
        let target: Vec<usize> = rows.iter().map(|&row| adapting[row]).collect();
        let right: BTreeMap<usize, bool> = judged.map_or_else(BTreeMap::new, |judged| {
            let Judged { shipped, .. } = judged;
            let right = |(row, &i): (usize, &usize)| {
                (i, shipped.probabilities.predicted(row) == shipped.labels[row])
            };
            shipped.samples.iter().enumerate().map(right).collect()
        });
        let point = |label: u32, correct, split: &str| MapPoint {
            label,
            correct,
            split: split.into(),
            ..MapPoint::default()
        };
        let samples = &sides.prepared.dataset.samples;
        let mut told: Vec<MapPoint> = source
            .iter()
            .map(|&i| point(samples[i].label.unwrap_or_default(), None, plots::SOURCE))
            .collect();
        told.extend(
            rows.iter()
                .zip(&target)
                .map(|(&row, i)| point(said.predicted(row), right.get(i).copied(), plots::TARGET)),
        );
        Self { source, target, told }
    }

    /// Both sides on the principal components that they have together.
    fn map(&self, source: Matrix, target: Matrix) -> Result<Option<FeatureMap>> {
        let (n, d) = (source.rows().n() + target.rows().n(), source.rows().d());
        if n < 3 || d < 2 || target.rows().d() != d {
            return Ok(None);
        }
        let data = [source.rows().data(), target.rows().data()].concat();
        let Some(rows) = Matrix::new(n, d, data) else { return Ok(None) };
        let plane = pca(rows.rows(), 2)?;
        let &[first, second] = plane.explained.as_slice() else { return Ok(None) };
        let place = |(told, xy): (&MapPoint, &[f64; 2])| MapPoint {
            x: xy[0] as f32,
            y: xy[1] as f32,
            ..told.clone()
        };
        let points = self.told.iter().zip(plane.scores.as_chunks::<2>().0).map(place).collect();
        Ok(Some(FeatureMap { explained: [first, second], points }))
    }

    /// The map of what the candidate's last layer sees; `None` where that is what there was before.
    fn seen(&self, outcome: &Outcome, candidate: &Candidate) -> Result<Option<FeatureMap>> {
        let (_, of_source, of_target) = candidate.place(&outcome.features);
        let (source, target) = (of_source.gather(&self.source)?, of_target.gather(&self.target)?);
        let (source, target) = match &candidate.made {
            Made::Network(_) => (source, target),
            Made::Shallow { adapted, .. } => {
                if matches!((&adapted.source, &adapted.target), (View::Raw, View::Raw)) {
                    return Ok(None);
                }
                (adapted.source.apply(source.rows())?, adapted.target.apply(target.rows())?)
            }
        };
        self.map(source, target)
    }
}

/// Names of all validators that scored a candidate, in alphabetical order.
pub fn validators(report: &AdaptReport) -> Vec<&str> {
    let names: BTreeSet<&str> =
        report.candidates.iter().flat_map(|c| c.scores.keys().map(String::as_str)).collect();
    names.into_iter().collect()
}

#[derive(Template)]
#[template(path = "adapt.html")]
struct Page<'a> {
    d: &'a PageData,
    r: &'a AdaptReport,
    plot_style: &'static str,
    page_style: &'static str,
    figure: String,
    headline: String,
    harmful: bool,
    sentences: Vec<&'a str>,
    validators: Vec<&'a str>,
    /// Of the table of candidates.
    columns: usize,
    rows: Vec<Row<'a>>,
    classes: Vec<&'a ClassChange>,
    more_classes: Vec<&'a ClassChange>,
    judged: bool,
    maps: Vec<[Drawing; 2]>,
    training: Vec<Drawing>,
    candidates: Option<Drawing>,
    shares: Option<Drawing>,
}

/// A line of the table of candidates.
struct Row<'a> {
    told: &'a CandidateReport,
    /// In the order of validators, with whether it is the highest.
    scores: Vec<(String, bool)>,
}

/// The page and the drawings on it.
pub fn render(data: &PageData) -> Result<(String, Vec<Drawing>)> {
    let report = &data.report;
    let validators = validators(report);
    let highest = |name: &str| {
        let scores = report.candidates.iter().filter_map(|c| c.scores.get(name).copied());
        scores.fold(f64::NEG_INFINITY, f64::max)
    };
    let row = |told| Row {
        told,
        scores: validators
            .iter()
            .map(|name| match told.scores.get(*name) {
                Some(&score) => (words::digits(score), score >= highest(name)),
                None => ("–".into(), false),
            })
            .collect(),
    };
    let names: Vec<String> = report.classes.iter().map(|c| c.class.clone()).collect();
    let mut maps = Vec::new();
    let pair = |map: &FeatureMap, of: [&'static str; 2], titles: [&str; 2]| {
        let by_domain = plots::map(of[0], titles[0], map, By::Domain, &names)?;
        Some([by_domain, plots::map(of[1], titles[1], map, By::Class, &names)?])
    };
    let before = data.before.as_ref().and_then(|map| {
        let titles = ["Features before, by side", "Features before, by class"];
        pair(map, ["before-by-side", "before-by-class"], titles)
    });
    let after = data.after.as_ref().and_then(|map| {
        let titles = ["Features after, by side", "Features after, by class"];
        pair(map, ["after-by-side", "after-by-class"], titles)
    });
    maps.extend(before);
    maps.extend(after);
    let mut classes: Vec<&ClassChange> = report.classes.iter().collect();
    let moved = |c: &ClassChange| match (c.recall, c.source_only_recall) {
        (Some(after), Some(before)) => (after - before).abs(),
        _ => (c.share - c.source_only_share).abs(),
    };
    classes.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    let more_classes = classes.split_off(classes.len().min(CLASSES));
    let (figure, headline) = super::words::headline(report);
    let training = plots::training(report);
    let page = Page {
        d: data,
        r: report,
        plot_style: svg::STYLE,
        page_style: include_str!("../../templates/page.css"),
        figure,
        headline,
        harmful: report.verdict == "hurts",
        sentences: report.sentences.iter().skip(1).map(String::as_str).collect(),
        rows: report.candidates.iter().map(row).collect(),
        columns: 3 + usize::from(report.target_figures.is_some()) + validators.len(),
        validators,
        classes,
        more_classes,
        judged: report.target_figures.is_some(),
        maps,
        training,
        candidates: plots::candidates(report),
        shares: plots::shares(report),
    };
    let text = page.render().map_err(|e| TransferError::Internal(format!("adapt.html: {e}")))?;
    let mut drawings: Vec<Drawing> = page.maps.into_iter().flatten().collect();
    drawings.extend(page.training);
    drawings.extend(page.candidates);
    drawings.extend(page.shares);
    Ok((text, drawings))
}
