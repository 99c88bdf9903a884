//! The document of `train`, `eval` and `demo` as text.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use offshoot_transfer::report::{self, ReportData, words};
use offshoot_transfer::{Figures, Measured, Result, TrainReport, TransferError};

use super::adapt;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const PAGE: &str = "report.html";
const PAGE_DATA: &str = "eval/report.json";

/// Prints what was measured, also where it does not reach what `--require` asks for.
pub fn judged(context: &Context, result: Result<TrainReport>) -> Result<()> {
    match &result {
        Ok(report) => show(context, report)?,
        Err(TransferError::GateFailed { report, .. }) => match report.as_ref() {
            Measured::Train(report) => show(context, report)?,
            Measured::Adapt(report) => adapt::show(context, report)?,
        },
        Err(_) => {}
    }
    result.map(|_| ())
}

/// Prints figures: a document, or the answer in words and a table.
pub fn show(context: &Context, report: &TrainReport) -> Result<()> {
    if context.json {
        return context.document(report);
    }
    let mut text = String::new();
    if report.command != "eval"
        && let Some(sentences) = answer(&report.run)
    {
        text.push_str(&sentences.join("\n"));
        text.push_str("\n\n");
    }
    text.push_str(&comparison(report));
    if let Some(sets) = &report.sets {
        text.push_str(&format!("\n{}\n", sets.sentence()));
    }
    if let Some(alarms) = &report.alarms {
        text.push_str(&format!("{}\n", alarms.sentence()));
    }
    if let Some(open) = &report.open {
        text.push_str(&format!("\n{}\n", words::open_set(open)));
    }
    let page = report.run.join(PAGE);
    text.push_str(&format!("\nrun     {}\n", clean(&report.run.display().to_string())));
    if page.is_file() {
        text.push_str(&format!("report  {}\n", clean(&page.display().to_string())));
    }
    context.print(text)?;
    if report.command != "eval" {
        let name = report.run.file_name().unwrap_or_default().to_string_lossy();
        // A run on texts carries its tokenizer.
        let tokenizer = ["export", "export/sources/0"]
            .iter()
            .any(|folder| report.run.join(folder).join("tokenizer.json").is_file());
        let (before, after) = match tokenizer {
            true => ("echo TEXT | ", "-"),
            false => ("", "PICTURE..."),
        };
        context.say(format_args!("next: {before}offshoot predict {} {after}", clean(&name)));
    }
    Ok(())
}

/// What the report says first. Where it cannot be read the figures speak for themselves.
fn answer(run: &Path) -> Option<Vec<String>> {
    let file = BufReader::new(File::open(run.join(PAGE_DATA)).ok()?);
    let data: ReportData = serde_json::from_reader(file).ok()?;
    Some(report::summary(&data).iter().map(|sentence| clean(sentence)).collect())
}

fn comparison(report: &TrainReport) -> String {
    let this = match report.command.as_str() {
        "eval" => format!("{} on {}", report.model, report.data),
        _ if let Some(guard) = report.guard.as_ref().filter(|guard| guard.fell_back) => {
            guard.shipped_summary().into()
        }
        _ if report.tuning.as_ref().is_some_and(|tuning| !tuning.kept_probe) => {
            format!("{}, tuned ({})", report.model, report.method)
        }
        _ => format!("{}, frozen", report.model),
    };
    let mut rows = vec![row(this, &report.figures)];
    rows.extend(report.baselines.iter().map(|b| row(b.summary.clone(), &b.figures)));
    rows.extend(report.domains.iter().map(|(name, f)| row(format!("the first, on {name}"), f)));
    let header = [
        ("features", Align::Left),
        ("samples", Align::Right),
        ("accuracy", Align::Right),
        ("95 %", Align::Right),
        ("macro F1", Align::Right),
        ("log-loss", Align::Right),
        ("ECE", Align::Right),
    ];
    table::text(header, &rows)
}

fn row(name: String, figures: &Figures) -> [String; 7] {
    [
        name,
        words::count(figures.n),
        words::percent(figures.accuracy),
        words::percent_range(figures.accuracy_ci),
        words::percent(figures.macro_f1),
        words::decimal(figures.log_loss),
        words::percent(figures.ece),
    ]
}
