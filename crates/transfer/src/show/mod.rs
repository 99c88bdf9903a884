//! From a finished run to its report: `report.html`, `plots/` and the data behind them.

pub(crate) mod png;
mod texts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offshoot_data::{Filter, Input, Limits, Split};
use offshoot_nn::Isa;
use offshoot_stats::calibrate::{self, reliability};
use offshoot_stats::{Probabilities, metrics, pca};

use crate::monitor::curves;
use crate::prepare::split_name;
use crate::report::data::{
    Calibration, CalibrationBin, ClassCount, ClassFigures, DataSummary, Domain, FeatureMap, Gain,
    MapPoint, Mistake, ModelCard, RunFacts, StrangeBin, TrustShown,
};
use crate::report::{self, ReportData};
use crate::run::RunFolder;
use crate::run::record::{RunRecord, RunState};
use crate::train::adaptation;
use crate::train::folder::Everything;
use crate::{Result, TransferError, figures};

/// The report's content, from which it can be drawn again.
const DATA: &str = "eval/report.json";
const PAGE: &str = "report.html";
/// Longest side of a thumbnail in pixels.
const THUMBNAIL: usize = 96;
const MISTAKES: usize = 12;
/// Points of the feature map, for each of test and training samples.
const POINTS: usize = 400;

/// Writes `report.html`, `plots/` and `eval/report.json`.
pub fn write(folder: &RunFolder, record: &RunRecord, everything: &Everything<'_>) -> Result<()> {
    let data = collect(record, everything)?;
    folder.write_json(DATA, &data)?;
    draw(folder, &data).map(drop)
}

/// Draws the report of a finished run again, with this version of the program. Returns its path.
pub fn redraw(run: &Path) -> Result<PathBuf> {
    let (folder, record) = RunFolder::open(run)?;
    if record.command == crate::transfer_report::COMMAND {
        return crate::transfer_report::redraw(run);
    }
    if record.command == crate::adapt::COMMAND {
        return crate::adapt::redraw(run);
    }
    let path = folder.file(DATA);
    let name = folder.name();
    if !path.is_file() && record.state == RunState::Complete {
        return Err(TransferError::usage(
            format!("run `{name}` is of `{}`, which this does not show", record.command),
            "`offshoot rl report RUN` shows a transfer of policies",
        ));
    }
    if !path.is_file() {
        return Err(TransferError::usage(
            format!("run `{name}` has no report yet"),
            format!("`offshoot runs resume {name}` goes on with it"),
        ));
    }
    let text = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    let data: ReportData = serde_json::from_slice(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {e}", path.display())))?;
    draw(&folder, &data)
}

fn draw(folder: &RunFolder, data: &ReportData) -> Result<PathBuf> {
    folder.write(PAGE, report::render(data)?.as_bytes())?;
    for (name, text) in report::plots(data) {
        folder.write(&format!("plots/{name}"), text.as_bytes())?;
    }
    Ok(folder.file(PAGE))
}

fn collect(record: &RunRecord, everything: &Everything<'_>) -> Result<ReportData> {
    let Everything { plan, prepared, extraction, source, evaluated, baselines, .. } = everything;
    let report = record.report.as_ref().ok_or_else(|| {
        TransferError::Internal("a report was asked for before the results".into())
    })?;
    let dataset = &prepared.dataset;
    let pictures = !matches!(
        dataset.samples.first().map(|s| &s.input),
        Some(Input::Vector(_) | Input::Text(_) | Input::TextFile(_))
    );
    let gain = |p: &Probabilities| -> Result<Gain> {
        let (accuracy, ci) =
            figures::accuracy_gain(&evaluated.probabilities, p, &evaluated.labels, plan.seed)?;
        Ok(Gain { accuracy, ci })
    };
    let gains = baselines
        .iter()
        .map(|m| Ok((m.baseline.name.clone(), gain(&m.probabilities)?)))
        .collect::<Result<BTreeMap<String, Gain>>>()?;
    let domains = report
        .domains
        .iter()
        .map(|(name, figures)| Domain { name: name.clone(), figures: figures.clone() });
    let confusion = metrics::Confusion::of(&evaluated.probabilities, &evaluated.labels);
    Ok(ReportData {
        title: record.name.clone(),
        command: record.command.clone(),
        run: RunFacts {
            created: record.created.clone(),
            seconds: record.usage.seconds,
            memory_bytes: record.usage.memory_bytes,
            version: record.version.clone(),
            platform: record.platform.clone(),
            isa: (source.network.is_some() || !source.parts.is_empty())
                .then(|| Isa::detect().name().into()),
            threads: record.threads,
            seed: record.seed,
            method: plan.method.name().into(),
            head: plan.head.clone(),
            lambda: record.lambda,
            temperature: record.temperature,
            fitted_on: record.fitted_on.clone(),
            cached: extraction.cached,
        },
        data: DataSummary {
            name: dataset.name.clone(),
            pictures,
            classes: class_counts(everything),
            unreadable: extraction.unreadable.len(),
            problems: prepared.problems.clone(),
            manifest_sha256: record.data.manifest_sha256.clone(),
        },
        model: ModelCard {
            name: record.model.name.clone(),
            recipe: record.model.architecture(),
            origin: source.origin.clone(),
            trained_on: source.trained_on.clone(),
            adapted: report.adapted.as_ref().map(adaptation::words),
            licence: record.model.licence.clone(),
            sha256: record.model.weights_sha256.clone(),
            dim: record.model.dim,
            preprocessing: record.model.preprocessing.clone(),
            precision: record.model.precision.clone(),
        },
        figures: report.figures.clone(),
        baselines: report.baselines.clone(),
        gains,
        domains: domains.collect(),
        per_class: per_class(&dataset.classes, &confusion),
        confusion: (0..confusion.n_classes()).flat_map(|c| confusion.row(c).to_vec()).collect(),
        calibration: calibration(everything)?,
        trust: trust(everything),
        mistakes: mistakes(everything)?,
        examples: texts::examples(everything)?,
        lengths: texts::lengths(everything),
        map: map(everything)?,
        guard: report.guard.clone(),
        sources: report.sources.clone(),
        training: report.tuning.as_ref().zip(everything.history).map(|(t, h)| curves(h, t)),
        phases: record.phases.clone(),
        warnings: report.warnings.clone(),
    })
}

fn class_counts(everything: &Everything<'_>) -> Vec<ClassCount> {
    let dataset = &everything.prepared.dataset;
    let named = |name: &String| ClassCount { name: name.clone(), ..ClassCount::default() };
    let mut counts: Vec<ClassCount> = dataset.classes.iter().map(named).collect();
    for sample in &dataset.samples {
        let Some(count) = sample.label.and_then(|l| counts.get_mut(l as usize)) else { continue };
        match sample.split {
            Some(Split::Train) => count.train += 1,
            Some(Split::Val) => count.val += 1,
            Some(Split::Test) => count.test += 1,
            None => {}
        }
    }
    counts
}

fn per_class(names: &[String], confusion: &metrics::Confusion) -> Vec<ClassFigures> {
    let one = |(name, f): (&String, metrics::ClassFigures)| ClassFigures {
        name: name.clone(),
        n: f.support,
        precision: (f.predicted > 0).then_some(f.precision),
        recall: (f.support > 0).then_some(f.recall),
        f1: (f.predicted + f.support > 0).then_some(f.f1),
    };
    names.iter().zip(confusion.by_class()).map(one).collect()
}

fn calibration(everything: &Everything<'_>) -> Result<Option<Calibration>> {
    let evaluated = everything.evaluated;
    let Some(ece) = metrics::find("ece") else { return Ok(None) };
    let bins = |p: &Probabilities| {
        let bin = |b: calibrate::Bin| CalibrationBin {
            n: b.count,
            confidence: b.confidence,
            accuracy: b.accuracy,
        };
        reliability(p, &evaluated.labels, figures::BINS).into_iter().map(bin).collect()
    };
    Ok(Some(Calibration {
        before: bins(&evaluated.uncalibrated),
        after: bins(&evaluated.probabilities),
        ece_before: ece.of(&evaluated.uncalibrated, &evaluated.labels)?,
        ece_after: ece.of(&evaluated.probabilities, &evaluated.labels)?,
    }))
}

/// Bins of the histogram of distances, and the ratios to the threshold where it begins and ends.
const STRANGE_BINS: usize = 24;
const STRANGE: [f64; 2] = [1e-3, 1e3];

/// Prediction sets and the alarm; samples by the logarithm of their distance over the threshold, which is the
/// border of two bins.
fn trust(everything: &Everything<'_>) -> Option<TrustShown> {
    let evaluated = everything.evaluated;
    let alarms = evaluated.alarms.clone()?;
    let logs: Vec<f64> =
        evaluated.distances.iter().map(|d| d.clamp(STRANGE[0], STRANGE[1]).ln()).collect();
    let low = logs.iter().copied().fold(0.0, f64::min);
    let high = logs.iter().copied().fold(0.0, f64::max);
    let width = ((high - low) / (STRANGE_BINS - 2) as f64).max(1e-3);
    let first = (low / width).floor();
    let place = |log: f64| ((log / width).ceil() - first - 1.0).max(0.0) as usize;
    let mut strange: Vec<StrangeBin> = (0..=place(high))
        .map(|i| StrangeBin {
            from: ((first + i as f64) * width).exp(),
            to: ((first + (i + 1) as f64) * width).exp(),
            right: 0,
            wrong: 0,
        })
        .collect();
    for (row, &log) in logs.iter().enumerate() {
        let Some(bin) = strange.get_mut(place(log)) else { continue };
        match evaluated.probabilities.predicted(row) == evaluated.labels[row] {
            true => bin.right += 1,
            false => bin.wrong += 1,
        }
    }
    if alarms.calibration == 0 {
        strange.clear();
    }
    Some(TrustShown { sets: evaluated.sets.clone(), alarms, strange })
}

/// The most confident wrong answers on the test split.
fn mistakes(everything: &Everything<'_>) -> Result<Vec<Mistake>> {
    let Everything { prepared, evaluated, .. } = everything;
    let p = &evaluated.probabilities;
    let confidence = |row: usize| p.row(row)[p.predicted(row) as usize];
    let mut wrong: Vec<usize> =
        (0..evaluated.samples.len()).filter(|&r| p.predicted(r) != evaluated.labels[r]).collect();
    wrong.sort_by(|&a, &b| confidence(b).total_cmp(&confidence(a)).then(a.cmp(&b)));
    let name = |label: u32| prepared.dataset.classes.get(label as usize).cloned();
    let one = |&row: &usize| {
        let sample = &prepared.dataset.samples[evaluated.samples[row]];
        Ok(Mistake {
            id: sample.id.clone(),
            label: name(evaluated.labels[row]).unwrap_or_default(),
            predicted: name(p.predicted(row)).unwrap_or_default(),
            confidence: confidence(row),
            thumbnail: thumbnail(&sample.input).unwrap_or_default(),
            words: texts::highlighted(everything, sample, p.predicted(row))?,
        })
    };
    wrong.iter().take(MISTAKES).map(one).collect()
}

/// A small PNG; `None` where there is no picture.
fn thumbnail(input: &Input) -> Option<Vec<u8>> {
    let picture = offshoot_data::decode(input, &Limits::default()).ok()?;
    let longest = picture.width.max(picture.height).max(1);
    let side = |n: usize| (n * THUMBNAIL).div_ceil(longest).max(1);
    let small = if longest > THUMBNAIL {
        let (width, height) = (side(picture.width), side(picture.height));
        offshoot_data::resize(&picture, width, height, Filter::Bilinear)
    } else {
        picture
    };
    png::encode(&small)
}

/// Test samples and as many training samples on two principal components.
fn map(everything: &Everything<'_>) -> Result<Option<FeatureMap>> {
    let Everything { prepared, extraction, evaluated, .. } = everything;
    let spread = |samples: &[usize]| -> Vec<usize> {
        let step = samples.len().div_ceil(POINTS).max(1);
        samples.iter().copied().step_by(step).collect()
    };
    let mut samples = spread(&evaluated.samples);
    samples.extend(spread(&prepared.of(Split::Train)));
    if samples.len() < 3 || extraction.dim() < 2 {
        return Ok(None);
    }
    let rows = extraction.gather(&samples)?;
    let plane = pca(rows.rows(), 2)?;
    let &[first, second] = plane.explained.as_slice() else { return Ok(None) };
    let row_of: BTreeMap<usize, usize> =
        evaluated.samples.iter().enumerate().map(|(row, &i)| (i, row)).collect();
    let point = |(&i, xy): (&usize, &[f64; 2])| {
        let sample = &prepared.dataset.samples[i];
        MapPoint {
            x: xy[0] as f32,
            y: xy[1] as f32,
            label: sample.label.unwrap_or_default(),
            correct: row_of
                .get(&i)
                .map(|&row| evaluated.probabilities.predicted(row) == evaluated.labels[row]),
            split: sample.split.map(split_name).unwrap_or_default().into(),
            domain: sample.domain.clone(),
        }
    };
    let points = samples.iter().zip(plane.scores.as_chunks::<2>().0).map(point).collect();
    Ok(Some(FeatureMap { explained: [first, second], points }))
}
