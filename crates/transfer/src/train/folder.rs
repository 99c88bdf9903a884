//! What a run leaves: everything in the folder but the report.

use std::fmt::Write;

use offshoot_data::Dataset;
use offshoot_stats::calibrate::reliability;
use offshoot_stats::metrics::Confusion;

use crate::digest::Sha;
use crate::documents::{DataProblem, TrainReport};
use crate::durable::Growing;
use crate::extract::Extraction;
use crate::monitor::{History, line};
use crate::plan::{Method, TrainPlan};
use crate::prepare::{Prepared, split_name};
use crate::run::RunFolder;
use crate::run::record::{ModelFacts, RunRecord, RunState, Usage};
use crate::source::Source;
use crate::train::adaptation;
use crate::watch::Watch;
use crate::{Phase, Result, figures, machine, table};

use super::baselines::Measured;
use super::evaluate::Evaluated;
use super::probe::Probe;

pub const MANIFEST: &str = "data/manifest.csv";
/// One line for each thing that training told.
pub const METRICS: &str = "metrics.jsonl";

/// What there is to write.
pub struct Everything<'a> {
    pub plan: &'a TrainPlan,
    pub prepared: &'a Prepared,
    pub extraction: &'a Extraction,
    pub source: &'a Source,
    pub probe: &'a Probe,
    pub evaluated: &'a Evaluated,
    pub baselines: &'a [Measured],
    /// What tuning told, where the network was tuned.
    pub history: Option<&'a History>,
}

/// Writes `data/`.
pub fn write_data(folder: &RunFolder, prepared: &Prepared, extraction: &Extraction) -> Result<()> {
    write_sides(folder, &[(&prepared.dataset, extraction)], &prepared.problems)
}

/// Writes `data/` of one data set, or of several with the same classes.
pub fn write_sides(
    folder: &RunFolder,
    sides: &[(&Dataset, &Extraction)],
    problems: &[DataProblem],
) -> Result<()> {
    let rows = sides.iter().flat_map(|(dataset, extraction)| {
        let class = |label: Option<u32>| {
            label.and_then(|l| dataset.classes.get(l as usize)).cloned().unwrap_or_default()
        };
        dataset.samples.iter().zip(&extraction.keys).map(move |(s, key)| {
            [
                s.id.clone(),
                class(s.label),
                s.split.map(split_name).unwrap_or_default().to_string(),
                s.domain.clone().unwrap_or_default(),
                s.group.clone().unwrap_or_default(),
                key.as_ref().map(Sha::to_string).unwrap_or_default(),
            ]
        })
    });
    let header = ["path", "label", "split", "domain", "group", "sha256"];
    folder.write(MANIFEST, &table::csv(&header, rows)?)?;
    let problems = problems
        .iter()
        .map(|p| [p.path.clone(), p.kind.clone(), p.severity.clone(), p.detail.clone()]);
    let header = ["path", "kind", "severity", "detail"];
    folder.write("data/problems.csv", &table::csv(&header, problems)?)?;
    let classes = sides.first().map(|(dataset, _)| dataset.classes.as_slice());
    folder.write_json("data/classes.json", &classes.unwrap_or_default())
}

/// Writes `eval/`, `export/`, the report and `run.json`. Returns the finished document.
pub fn write_results(
    folder: &RunFolder,
    everything: Everything<'_>,
    mut report: TrainReport,
    record: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<TrainReport> {
    let Everything { plan, prepared, source, probe, evaluated, .. } = &everything;
    record.data.manifest_sha256 = Sha::of_file(&folder.file(MANIFEST))?.to_string();
    watch.phase(Phase::Export, None, |_| {
        write_eval(folder, prepared, evaluated, &report)?;
        write_metrics(folder, probe, &report)?;
        probe.trained.save(folder, source, &plan.head, plan.seed)?;
        folder.write("export/README.md", model_card(record, &report).as_bytes())
    })?;
    report.seconds = watch.seconds();
    record.files = folder.digests()?;
    record.state = RunState::Complete;
    record.report = Some(report.clone());
    finish_record(folder, record, watch);
    // The report shows the record, so the record is there first; it is written again with the
    // report's own time.
    folder.save(record)?;
    watch.phase(Phase::Report, None, |_| crate::show::write(folder, record, &everything))?;
    report.seconds = watch.seconds();
    record.report = Some(report.clone());
    finish_record(folder, record, watch);
    folder.save(record)?;
    Ok(report)
}

pub fn finish_record(folder: &RunFolder, record: &mut RunRecord, watch: &Watch<'_>) {
    record.phases.clone_from(&watch.phases);
    record.usage = Usage {
        memory_bytes: machine::peak_resident_bytes(),
        disk_bytes: folder.bytes(),
        seconds: watch.seconds(),
    };
}

/// `eval/` for these predictions.
pub fn write_eval(
    folder: &RunFolder,
    prepared: &Prepared,
    evaluated: &Evaluated,
    report: &TrainReport,
) -> Result<()> {
    let classes = &prepared.dataset.classes;
    let name = |label: usize| classes.get(label).cloned().unwrap_or_default();
    let predictions = evaluated.samples.iter().enumerate().map(|(row, &i)| {
        let probabilities = evaluated.probabilities.row(row);
        let best = evaluated.probabilities.predicted(row) as usize;
        let label = evaluated.labels[row] as usize;
        [
            prepared.dataset.samples[i].id.clone(),
            name(label),
            name(best),
            format!("{:.6}", probabilities[best]),
            format!("{:.6}", probabilities[label]),
            (best == label).to_string(),
            format!("{:.4}", evaluated.distances[row]),
        ]
    });
    let header =
        ["path", "label", "predicted", "probability", "label_probability", "correct", "distance"];
    folder.write("eval/predictions.csv", &table::csv(&header, predictions)?)?;
    write_judged(folder, classes, evaluated)?;
    folder.write_json(
        "eval/metrics.json",
        &serde_json::json!({
            "test": report.figures,
            "baselines": report.baselines,
            "domains": report.domains,
            "guard": report.guard,
        }),
    )
}

/// Who is taken for whom, and how far confidence can be trusted.
pub fn write_judged(folder: &RunFolder, classes: &[String], evaluated: &Evaluated) -> Result<()> {
    let name = |label: usize| classes.get(label).cloned().unwrap_or_default();
    let confusion = Confusion::of(&evaluated.probabilities, &evaluated.labels);
    let header: Vec<String> = std::iter::once("label \\ predicted".into())
        .chain(classes.iter().map(|c| table::neutral(c)))
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = (0..classes.len()).map(|label| {
        let counts = confusion.row(label).iter().map(usize::to_string);
        std::iter::once(name(label)).chain(counts).collect::<Vec<_>>()
    });
    folder.write("eval/confusion.csv", &table::csv(&header, rows)?)?;

    let bins = reliability(&evaluated.probabilities, &evaluated.labels, figures::BINS);
    let rows = bins.iter().map(|b| {
        [b.count.to_string(), format!("{:.6}", b.confidence), format!("{:.6}", b.accuracy)]
    });
    let header = ["samples", "mean_confidence", "accuracy"];
    folder.write("eval/calibration.csv", &table::csv(&header, rows)?)
}

/// The whole of `metrics.jsonl`: what tuning told is there already and stays where it is.
fn write_metrics(folder: &RunFolder, probe: &Probe, report: &TrainReport) -> Result<()> {
    let figures = &report.figures;
    let last = serde_json::json!({ "phase": "evaluate", "split": "test", "figures": figures });
    let lines: Result<Vec<String>> = probe.history.iter().chain([&last]).map(line).collect();
    Growing::lines(&folder.file(METRICS), &lines?)?.sync()
}

/// `export/README.md`: what the classifier is, what it was trained on, how good it is.
fn model_card(record: &RunRecord, report: &TrainReport) -> String {
    // Class and data names come from the user's files; in Markdown they are shown as code.
    let code = |text: &str| format!("`{}`", text.replace(['`', '\n', '\r'], "'"));
    let mut card = String::from("---\n");
    let licence = record.model.licence.as_deref().unwrap_or("unknown");
    let _ = writeln!(card, "base_model: {}", code(&record.model.architecture()).trim_matches('`'));
    let encoder = |model: &ModelFacts| model.encoder.is_some();
    let text = encoder(&record.model) || record.model.parts.iter().any(|part| encoder(&part.model));
    let task = if text { "text" } else { "image" };
    let _ = writeln!(card, "tags: [{task}-classification, transfer-learning]\n---\n");
    let _ = writeln!(card, "# {}\n", code(&record.name));
    let name = code(&record.model.name);
    let _ = writeln!(
        card,
        "{} (weights sha256 `{}`, licence {licence}).\n",
        match &record.model.tuned_from_sha256 {
            Some(_) if report.method != Method::PROBE.name() =>
                format!("{name}, tuned by {}", report.method),
            _ => format!("A head on frozen features of {name}"),
        },
        record.model.weights_sha256
    );
    if let Some(adapted) = &report.adapted {
        let _ = writeln!(card, "Adapted {}.\n", adaptation::words(adapted));
    }
    let _ = writeln!(
        card,
        "## Data\n\n{}: {} classes, {}.\n",
        code(&record.data.name),
        record.data.classes.len(),
        report.splits.iter().map(|(s, n)| format!("{n} {s}")).collect::<Vec<_>>().join(", ")
    );
    let classes: Vec<String> = record.data.classes.iter().map(|c| code(c)).collect();
    let _ = writeln!(card, "Classes: {}.\n", classes.join(", "));
    let _ = writeln!(card, "Fitted on {}.\n", record.fitted_on);
    card.push_str(
        "## Test figures\n\n| | accuracy | macro F1 | log-loss | ECE |\n|---|---|---|---|---|\n",
    );
    let mut row = |name: &str, f: &crate::Figures| {
        let cell = |v: f64, ci: [f64; 2]| format!("{v:.3} ({:.3}–{:.3})", ci[0], ci[1]);
        let _ = writeln!(
            card,
            "| {name} | {} | {} | {} | {} |",
            cell(f.accuracy, f.accuracy_ci),
            cell(f.macro_f1, f.macro_f1_ci),
            cell(f.log_loss, f.log_loss_ci),
            cell(f.ece, f.ece_ci)
        );
    };
    row("this classifier", &report.figures);
    for baseline in &report.baselines {
        row(&baseline.summary, &baseline.figures);
    }
    for (name, figures) in &report.domains {
        row(&format!("this classifier on {}", code(name)), figures);
    }
    card.push_str(&format!(
        "\nIntervals are 95 %, by bootstrap ({} resamples) of the test samples, which took part in no \
         choice.\n\n",
        report.figures.resamples
    ));
    card.push_str(
        "## Files\n\n\
         - `config.json`: classes, temperature, source\n\
         - `model.safetensors`: `head.weight` `[classes, features]`, `head.bias`, class means\n",
    );
    card.push_str(match text {
        true => "- `tokenizer.json`: how a text becomes the network's input\n",
        false => "- `preprocessor_config.json`: how a picture becomes the network's input\n",
    });
    card.push_str("- `selftest.json`: an input anyone can make, and the answer to it\n");
    card
}
