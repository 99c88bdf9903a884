use std::io::{self, BufReader};
use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::{PredictInput, PredictPlan, Prediction, Result, TransferError, predict};

use super::columns::Columns;
use super::nearest;
use crate::context::{Context, clean};

const EXAMPLES: &str = "\
Prints a line for each input, in order, as soon as it is known: input, class, probability, and the
next classes. With --json each line is a document, and the last line sums up. `unfamiliar` marks
inputs farther from the training data than 99 % of the samples that calibrated the run were, and
`unknown` answers of no known class, where a run was adapted with `--classes open`.

With --sets the classes are those among which the right one is nine times out of ten: one where the
classifier is sure, several where it is not. That holds for inputs like those of the training data,
and was measured on its test split (`offshoot train` and `eval` print it). --promise 0.95 asks for
more. Too few calibration samples promise nothing: every set then holds all classes.

Standard input is a picture, a list of paths, or, for a run on texts: a text a line, JSON lines, or
a CSV with a header. It may go on for ever: no answer waits for more input, and memory does not grow.

Examples:
  offshoot predict photos new.jpg more/
  offshoot predict photos list.csv --json > answers.jsonl      a CSV with a `path` column
  offshoot predict photos new/ --sets --promise 0.95
  find . -name '*.jpg' | offshoot predict photos -
  curl -s https://example.org/a.jpg | offshoot predict photos -
  offshoot predict reviews new.csv --text-column review
  tail -f comments.txt | offshoot predict reviews -";

/// Say what new pictures show, or what new texts are
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Predict {
    /// Name of a run, or its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// Files, folders, CSV files with a `path` column or with texts, or - for standard input
    #[arg(value_name = "INPUT", required = true)]
    input: Vec<PathBuf>,
    /// Classes listed for each input
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<String>,
    /// Print the set of classes that holds the right one as often as promised
    #[arg(long)]
    sets: bool,
    /// Share of sets that should hold the right class [default: 0.9]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    promise: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

impl Predict {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("predict.top", &self.top),
            ("predict.promised", &self.promise),
            ("batch", &self.batch),
        ];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let plan = PredictPlan {
            run: nearest::run(&settings.runs_dir, &self.run)?,
            columns: settings.columns.clone(),
            top: settings.predict.top,
            promised: settings.predict.promised,
            batch: settings.batch,
        };
        let input = if self.input == [PathBuf::from("-")] {
            PredictInput::Stream(Box::new(BufReader::new(io::stdin())))
        } else if self.input.iter().any(|path| path.as_os_str() == "-") {
            return Err(TransferError::usage(
                "`-` stands for standard input and cannot be mixed with files",
                "give either `-` or files and folders",
            ));
        } else {
            PredictInput::Paths(self.input)
        };
        let mut sink = |predictions: &[Prediction]| match context.json {
            true => context.lines(predictions),
            false => {
                let row = |prediction| row(prediction, self.sets);
                context.print(predictions.iter().map(row).collect::<String>())
            }
        };
        let report = predict(&plan, input, &mut context.observer()?, &mut sink)?;
        if context.json {
            return context.line(&report);
        }
        if self.sets && !report.sets {
            context.say(format_args!(
                "warning: nothing was held out to calibrate sets of this run, so there are none"
            ));
        }
        if report.unreadable > 0 {
            context.say(format_args!(
                "warning: {} could not be read",
                words::counted(report.unreadable, "input", "inputs")
            ));
        }
        Ok(())
    }
}

/// Fields between tabs: input, class, probability, the next classes or the set, a remark.
fn row(prediction: &Prediction, sets: bool) -> String {
    let mut fields = vec![clean(&prediction.input)];
    match (&prediction.label, prediction.probability) {
        (Some(label), Some(probability)) => {
            fields.extend([clean(label), words::percent(probability)]);
            let listed: Vec<String> = match (sets, &prediction.set) {
                (true, set) => set.iter().flatten().map(|name| clean(name)).collect(),
                (false, _) => {
                    let others = prediction.top.iter().skip(1);
                    let one = |(name, p): &(String, f64)| {
                        format!("{} {}", clean(name), words::percent(*p))
                    };
                    others.map(one).collect()
                }
            };
            fields.push(listed.join(", "));
            let remarks = [(prediction.unknown, "unknown"), (prediction.unfamiliar, "unfamiliar")];
            let remarks: Vec<&str> = remarks.into_iter().filter(|r| r.0).map(|r| r.1).collect();
            if !remarks.is_empty() {
                fields.push(remarks.join(", "));
            }
        }
        _ => {
            let reason = prediction.error.as_deref().unwrap_or("no answer");
            fields.extend(["-".into(), "-".into(), clean(reason)]);
        }
    }
    fields.join("\t").trim_end().to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_one_input_whatever_its_name() {
        let prediction = Prediction {
            input: "a\tb\nc.png".into(),
            label: Some("cat".into()),
            probability: Some(0.75),
            top: vec![("cat".into(), 0.75), ("dog".into(), 0.25)],
            set: Some(vec!["cat".into(), "dog".into()]),
            unfamiliar: true,
            unknown: false,
            distance: Some(1.2),
            error: None,
        };
        let line = row(&prediction, false).replace('\u{202f}', " ");
        assert_eq!(line, "a\u{fffd}b\u{fffd}c.png\tcat\t75.0 %\tdog 25.0 %\tunfamiliar\n");
        let line = row(&prediction, true).replace('\u{202f}', " ");
        assert_eq!(line, "a\u{fffd}b\u{fffd}c.png\tcat\t75.0 %\tcat, dog\tunfamiliar\n");
    }
}
