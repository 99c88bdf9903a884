use clap::Args;
use offshoot_transfer::{Result, redraw};
use serde::Serialize;

use super::nearest;
use crate::context::{Context, clean};

const EXAMPLES: &str = "\
The page is one file that needs neither a network nor a script; plots/*.svg hold its drawings.

Examples:
  offshoot report photos
  xdg-open $(offshoot report photos)";

/// Draw a run's report again and print where it is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// Name of a run, or its folder
    #[arg(value_name = "RUN")]
    run: String,
}

#[derive(Serialize)]
struct Drawn {
    report: std::path::PathBuf,
}

impl Report {
    pub fn run(self, context: &Context) -> Result<()> {
        let run = nearest::run(&context.settings.runs_dir, &self.run)?;
        let report = redraw(&run)?;
        if context.json {
            return context.body("report", Some(run), Drawn { report });
        }
        context.print(clean(&report.display().to_string()) + "\n")
    }
}
