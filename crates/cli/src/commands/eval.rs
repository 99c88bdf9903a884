use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::{EvalPlan, Result, evaluate};

use super::columns::Columns;
use super::{figures, gate, nearest};
use crate::context::Context;

const EXAMPLES: &str = "\
All labelled samples are judged, or only the test split where the data names one. Classes are
matched by name. Each figure comes with a 95 % bootstrap interval, from 1000 resamples, fewer beyond
5,000 samples and 200 from 25,000 on. Below the table: how often prediction sets that promise
90 % held the right class, and how many samples are unlike the training data. On data of another
kind the promise may be broken, and this is where it shows.

Examples:
  offshoot eval photos-efficientnet_lite0 new-photos/
  offshoot eval runs/second labels.csv --require accuracy=0.9";

/// Judge a trained run on labelled data
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Eval {
    /// Name of a run, or its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// Folder, manifest, table of texts, IDX, npy or npz
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Fail with exit code 7 where a figure is worse: accuracy, macro_f1, log_loss or ece
    #[arg(long, value_name = "METRIC=VALUE", value_parser = gate::parse)]
    require: Vec<(String, f64)>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

impl Eval {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let batch = self.batch.iter().map(|batch| ("batch", batch.clone()));
        batch.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let plan = EvalPlan {
            run: nearest::run(&settings.runs_dir, &self.run)?,
            data: self.data,
            columns: settings.columns.clone(),
            require: gate::map(&self.require)?,
            batch: settings.batch,
            cache: settings.cache.clone(),
        };
        let result = evaluate(&plan, &mut context.observer()?);
        figures::judged(context, result)
    }
}
