use std::path::{Path, PathBuf};

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::shift::document::ShiftReport;
use offshoot_transfer::shift::{ShiftPlan, ShiftSource, shift, size_in_words};
use offshoot_transfer::{Precision, Result, TransferError};

use super::columns::Columns;
use super::nearest;
use crate::context::{Context, clean};
use crate::table::{Align, text};

const EXAMPLES: &str = "\
The verdict is one or more of
  covariate   inputs look different
  label       classes are more or less frequent, and look as they did
  concept     the same inputs have other labels (found only where both sides have labels)
or none. Tests are by permutation; the p-value is that of all of them together. The prescription is
what to do: nothing, reweight_labels, align_features, fine_tune, collect_labels.

Examples:
  offshoot shift demo:google demo:twitter          one vendor's emoji against another's
  offshoot shift photos-efficientnet_lite0 new/    what a trained run has learnt from, against new pictures
  offshoot shift reviews.csv tweets.csv --model all-minilm-l6-v2 -o shift.html";

/// Classes that the table shows.
const CLASSES: usize = 10;

/// Tell what kind of mismatch lies between two sets of data, and what to do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Shift {
    /// Data (folder, manifest, table of texts, IDX, npy or npz), or a trained run: then its own model and
    /// data are taken
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Data, with or without labels
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// Source of the features: a name of `offshoot models list`, a checkpoint, or random:RECIPE
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Write the findings as one HTML page
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Samples of each side at most, drawn at random
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    samples: usize,
    /// Permutations behind each p-value
    #[arg(long, value_name = "N", default_value_t = 999)]
    permutations: usize,
    /// Height and width to which pictures are resized
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<String>,
    /// Of the network's products: auto, f32, bf16x3 or bf16
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

impl Shift {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("model", &self.model),
            ("size", &self.size),
            ("precision", &self.precision),
            ("batch", &self.batch),
        ];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let run = run_of(&settings.runs_dir, &self.source);
        refuse_model_beside(run.as_deref(), self.model.as_deref())?;
        let plan = ShiftPlan {
            source: run.map_or_else(|| ShiftSource::Data(self.source.into()), ShiftSource::Run),
            target: self.target,
            columns: settings.columns.clone(),
            model: settings.model.clone(),
            size: settings.size,
            precision: Precision::from_name(&settings.precision)?,
            samples: self.samples,
            permutations: self.permutations,
            out: self.out,
            batch: settings.batch,
            seed: settings.seed,
            cache: settings.cache.clone(),
        };
        let mut observer = context.observer()?;
        let report = shift(&plan, &mut observer).map_err(|e| nearest::model(e, &plan.model))?;
        if context.json {
            return context.document(&report);
        }
        context.print(written(&report))?;
        if let Some(path) = &plan.out {
            context.say(format_args!("page: {}", clean(&path.display().to_string())));
        }
        Ok(())
    }
}

/// The run of that name or in that folder, where there is one; else it is data.
pub fn run_of(runs_dir: &Path, name: &str) -> Option<PathBuf> {
    let folders = [PathBuf::from(name), runs_dir.join(name)];
    folders.into_iter().find(|folder| folder.join("run.json").is_file())
}

/// A run has a network of its own, and `--model` would be ignored.
pub fn refuse_model_beside(run: Option<&Path>, model: Option<&str>) -> Result<()> {
    let (Some(_), Some(model)) = (run, model) else { return Ok(()) };
    Err(TransferError::usage(
        format!(
            "`--model {model}` is given, and the source is a run, which has a network of its own"
        ),
        "name the run's data as SOURCE to take another network",
    ))
}

fn written(r: &ShiftReport) -> String {
    let mut out = format!(
        "{} ({} samples) → {} ({}), features of {}\n\n",
        r.source.name,
        words::count(r.source.samples),
        r.target.name,
        words::count(r.target.samples),
        r.model
    );
    out.push_str(&format!("verdict    {}: {}\n", r.verdict.join(" + "), r.sentence));
    out.push_str(&format!("how large  {}\n", size_in_words(r)));
    let then: Vec<&str> = r.prescription.then.iter().map(|a| a.name()).collect();
    let then = if then.is_empty() { String::new() } else { format!(" Then: {}.", then.join(", ")) };
    out.push_str(&format!(
        "what to do {}: {}.{then}\n",
        r.prescription.action.name(),
        r.prescription.reason
    ));
    let optional = |value: Option<f64>| value.map_or_else(|| "–".into(), words::digits);
    let rows: Vec<[String; 5]> = r
        .measures
        .iter()
        .map(|m| {
            let ci = m.ci.map_or_else(
                || "–".into(),
                |[a, b]| format!("{} to {}", words::digits(a), words::digits(b)),
            );
            let p = m.p_value.map_or_else(|| "–".into(), words::decimal);
            [m.name.clone(), words::digits(m.value), ci, optional(m.chance), p]
        })
        .collect();
    let right = Align::Right;
    let header = [
        ("distance", Align::Left),
        ("value", right),
        ("95 % interval", right),
        ("by chance", right),
        ("p", right),
    ];
    out.push_str(&format!("\n{}", text(header, &rows)));
    if !r.classes.is_empty() {
        let rows: Vec<[String; 6]> = r
            .classes
            .iter()
            .take(CLASSES)
            .map(|c| {
                [
                    c.class.clone(),
                    words::percent(c.source_share),
                    words::percent(c.target_share),
                    optional(c.distance),
                    c.p_value.map_or_else(|| "–".into(), words::decimal),
                    c.accuracy.map_or_else(|| "–".into(), words::whole_percent),
                ]
            })
            .collect();
        let target = if r.target.labelled > 0 { "in target" } else { "estimated in target" };
        let header = [
            ("class", Align::Left),
            ("in source", right),
            (target, right),
            ("moved by", right),
            ("p", right),
            ("right there", right),
        ];
        out.push_str(&format!("\n{}", text(header, &rows)));
        let more = r.classes.len().saturating_sub(CLASSES);
        if more > 0 {
            out.push_str(&format!(
                "{} moved less\n",
                words::counted(more, "more class", "more classes")
            ));
        }
    }
    if !r.properties.is_empty() {
        let rows: Vec<[String; 4]> = r
            .properties
            .iter()
            .map(|p| {
                [
                    p.name.clone(),
                    words::digits(p.source),
                    words::digits(p.target),
                    words::signed(p.difference),
                ]
            })
            .collect();
        let header =
            [("property", Align::Left), ("source", right), ("target", right), ("in sd", right)];
        out.push_str(&format!("\n{}", text(header, &rows)));
    }
    out.push_str(&format!(
        "\n{} of {} features moved; {}\n",
        words::count(r.features.moved),
        words::count(r.features.of),
        words::seconds(r.seconds)
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_run_is_a_run() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mine")).unwrap();
        std::fs::write(dir.path().join("mine/run.json"), "{}").unwrap();
        assert_eq!(run_of(dir.path(), "mine"), Some(dir.path().join("mine")));
        assert_eq!(run_of(dir.path(), "demo:google"), None);
        assert!(refuse_model_beside(None, Some("resnet18")).is_ok());
        let refused = refuse_model_beside(Some(dir.path()), Some("resnet18"));
        assert_eq!(refused.map_err(|e| e.exit_code()), Err(2));
    }

    #[test]
    fn numbers_keep_three_digits() {
        let told = [0.0, 0.00031, 0.1234, 45.67, 12345.6].map(words::digits);
        assert_eq!(told, ["0", "3.10e-4", "0.123", "45.7", "12346"]);
    }
}
