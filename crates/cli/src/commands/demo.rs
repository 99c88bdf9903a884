use clap::Args;
use offshoot_transfer::{DemoPlan, Result, demo};

use super::figures;
use crate::context::Context;

const EXAMPLES: &str = "\
Trains on one vendor's drawings of emoji, judges on the same vendor's and on another's, and shows
what the same classifier gets from raw pixels and from an untrained network.

Examples:
  offshoot demo
  offshoot demo --json | jq .accuracy";

/// Do the main job on embedded pictures and weights, offline
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Name of the run folder
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Demo {
    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let plan = DemoPlan {
            seed: settings.seed,
            name: self.name,
            runs_dir: settings.runs_dir.clone(),
            cache: settings.cache.clone(),
        };
        let report = demo(&plan, &mut context.observer()?)?;
        figures::show(context, &report)
    }
}
