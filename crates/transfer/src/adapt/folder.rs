//! What an adaptation leaves: a run folder like any other.

use std::fmt::Write;

use offshoot_data::Dataset;

use super::course::Outcome;
use super::document::AdaptReport;
use super::judge::Judged;
use super::sides::Sides;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::train::folder::{write_judged, write_sides};
use crate::{Result, table};

const HEAD: &str = "logistic";

/// Writes `data/`: the samples of both sides.
pub fn write_data(folder: &RunFolder, sides: &Sides, outcome: &Outcome) -> Result<()> {
    let features = &outcome.features;
    let of = |dataset: &Dataset, side: &str| {
        let mut dataset = dataset.clone();
        for sample in &mut dataset.samples {
            sample.domain.get_or_insert_with(|| side.into());
        }
        dataset
    };
    let source = of(&sides.prepared.dataset, "source");
    let target = of(&sides.target.dataset, "target");
    let problems = [sides.prepared.problems.as_slice(), &sides.target.problems].concat();
    let both = [(&source, &features.of_source), (&target, &features.of_target)];
    write_sides(folder, &both, &problems)
}

/// Writes `eval/` and `export/`.
pub fn write_results(
    folder: &RunFolder,
    sides: &Sides,
    outcome: &Outcome,
    judged: Option<&Judged>,
    report: &AdaptReport,
    record: &RunRecord,
) -> Result<()> {
    write_answers(folder, sides, outcome)?;
    write_candidates(folder, report)?;
    if let Some(judged) = judged {
        write_judged(folder, &sides.target.dataset.classes, &judged.shipped)?;
    }
    folder.write_json("eval/metrics.json", report)?;
    let trained = &outcome.shipped.trained;
    trained.save(folder, outcome.place().0, HEAD, record.seed)?;
    folder.write("export/README.md", card(record, report).as_bytes())
}

/// What is said of every readable target sample, by what is shipped and by the source's classifier.
fn write_answers(folder: &RunFolder, sides: &Sides, outcome: &Outcome) -> Result<()> {
    let readable = outcome.features.of_target.readable();
    let said = super::judge::answers(outcome, &readable)?;
    let dataset = &sides.target.dataset;
    // Of the source: a target without labels names no class.
    let classes = &outcome.shipped.trained.classes;
    let name = |label: u32| classes.get(label as usize).cloned().unwrap_or_default();
    let unknown = outcome.shipped.trained.unknown;
    let rows = readable.iter().enumerate().map(|(place, &i)| {
        let sample = &dataset.samples[i];
        let best = said[0].predicted(place);
        let correct = sample.label.map(|label| (label == best).to_string());
        let mut row = vec![
            sample.id.clone(),
            sample.label.map(name).unwrap_or_default(),
            name(best),
            format!("{:.6}", said[0].row(place)[best as usize]),
            name(said[1].predicted(place)),
            correct.unwrap_or_default(),
        ];
        row.extend(unknown.map(|rule| rule.says(said[0].row(place)).to_string()));
        row
    });
    let mut header = vec!["path", "label", "predicted", "probability", "source_only", "correct"];
    header.extend(unknown.map(|_| "unknown"));
    folder.write("eval/predictions.csv", &table::csv(&header, rows)?)
}

/// Every candidate with what validators say of it.
fn write_candidates(folder: &RunFolder, report: &AdaptReport) -> Result<()> {
    let validators = super::page::validators(report);
    let optional = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.6}"));
    let rows = report.candidates.iter().map(|c| {
        let mut row = vec![c.name.clone(), c.family.clone(), c.shipped.to_string()];
        row.extend(validators.iter().map(|name| optional(c.scores.get(*name).copied())));
        row.extend([
            format!("{:.6}", c.source_accuracy),
            format!("{:.6}", c.changed),
            optional(c.accuracy),
            c.vetoes.join("; "),
        ]);
        row
    });
    let mut header = vec!["method", "family", "shipped"];
    header.extend(&validators);
    header.extend(["source_accuracy", "changed", "target_accuracy", "vetoes"]);
    folder.write("eval/candidates.csv", &table::csv(&header, rows)?)
}

/// `export/README.md`.
fn card(record: &RunRecord, report: &AdaptReport) -> String {
    // Names come from the user's files; in Markdown they are shown as code.
    let code = |text: &str| format!("`{}`", text.replace(['`', '\n', '\r'], "'"));
    let mut out = format!(
        "# {}\n\nA head on features of {} (weights sha256 `{}`, licence {}), adapted from {} to {} by {}.\n\n",
        code(&record.name),
        code(&record.model.name),
        record.model.weights_sha256,
        record.model.licence.as_deref().unwrap_or("unknown"),
        code(&report.source.name),
        code(&report.target.name),
        code(&report.method)
    );
    for sentence in &report.sentences {
        let _ = writeln!(out, "- {}", sentence.replace(['`', '\n', '\r', '<', '>'], "'"));
    }
    let classes: Vec<String> = record.data.classes.iter().map(|c| code(c)).collect();
    let _ =
        writeln!(out, "\nClasses: {}.\n\nFitted on {}.\n", classes.join(", "), record.fitted_on);
    let _ = writeln!(
        out,
        "Labels: {}.\n\nProbabilities are calibrated on held-out samples of the source; without target labels \
         nothing promises that they hold there, so there are no prediction sets.",
        report.labels
    );
    out
}
