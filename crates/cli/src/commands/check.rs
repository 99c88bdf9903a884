use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::{CheckPlan, CheckReport, Result, TransferError, check};

use super::columns::Columns;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
DATA is a folder of pictures or of .txt files (DATA/CLASS/* or DATA/{train,val,test}/CLASS/*), a
manifest of pictures (path,label[,split,domain,group].csv), a table of texts (.csv, .tsv, .tab,
.jsonl, or .parquet where built with it, with columns such as text,label), a folder of such tables
(train.csv, test.csv), an IDX file or folder (MNIST family, also gzipped), npy or npz. Nothing is
changed. The exit code is 3 when `train` would refuse the data.

Examples:
  offshoot check photos/
  offshoot check reviews.csv --text-column review --model all-minilm-l6-v2
  offshoot check labels.csv --json | jq '.problems[] | select(.severity == \"error\")'";

/// Find what is wrong with the data, file by file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// Folder, manifest, table of texts, IDX, npy or npz
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Leave out the search for near duplicates, which takes longest
    #[arg(long)]
    fast: bool,
    /// Measure texts by this encoder's tokenizer: how many are longer than it reads, and how much is lost
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

impl Check {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        self.columns.flags()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let plan = CheckPlan {
            data: self.data,
            columns: context.settings.columns.clone(),
            near_duplicates: !self.fast,
            model: self.model,
        };
        let report = check(&plan, &mut context.observer()?)?;
        if context.json {
            context.document(&report)?;
        } else {
            context.print(text(&report))?;
        }
        match &report.reason {
            None => Ok(()),
            Some(reason) => Err(TransferError::Unusable(format!(
                "`train` would refuse this data: {}",
                clean(reason)
            ))),
        }
    }
}

fn text(report: &CheckReport) -> String {
    let mut text = format!(
        "{}: {} in {}\n\n",
        clean(&report.data),
        words::counted(report.samples, "sample", "samples"),
        words::counted(report.classes.len(), "class", "classes")
    );
    let counts = |counts: &std::collections::BTreeMap<String, usize>| -> Vec<[String; 2]> {
        counts.iter().map(|(name, n)| [name.clone(), words::count(*n)]).collect()
    };
    let samples = ("samples", Align::Right);
    text.push_str(&table::text([("class", Align::Left), samples], &counts(&report.classes)));
    if !report.splits.is_empty() {
        text.push('\n');
        text.push_str(&table::text([("split", Align::Left), samples], &counts(&report.splits)));
    }
    text.push('\n');
    if report.problems.is_empty() {
        text.push_str("no fault found\n");
        return text;
    }
    let rows: Vec<[String; 4]> = report
        .problems
        .iter()
        .map(|p| [p.severity.clone(), p.kind.clone(), p.path.clone(), p.detail.clone()])
        .collect();
    let header = ["severity", "kind", "where", "what"].map(|name| (name, Align::Left));
    text.push_str(&table::text(header, &rows));
    text
}
