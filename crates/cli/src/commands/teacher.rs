//! Flags of learning from a finished run.

use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::{Distill, Result};

use super::nearest;
use crate::settings::Settings;

/// Who teaches, and how much that counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Learning from a teacher")]
pub struct Teacher {
    /// Learn a finished run's answers beside the labels: name a smaller source, or its first layers (--layer)
    #[arg(long, value_name = "RUN")]
    distill_from: Option<String>,
    /// Samples without labels that the teacher labels, and that training learns from as well: data like DATA,
    /// or a .txt file with one text a line
    #[arg(long, value_name = "DATA", requires = "distill_from")]
    distill_data: Option<PathBuf>,
    /// Of the teacher's answers, beside the labels' 1; by default 1
    #[arg(long, value_name = "X", requires = "distill_from")]
    distill_weight: Option<f64>,
    /// At which its answers are softened; by default 2
    #[arg(long, value_name = "T", requires = "distill_from")]
    distill_temperature: Option<f64>,
}

impl Teacher {
    /// `None` where nobody teaches.
    pub fn plan(self, settings: &Settings) -> Result<Option<Distill>> {
        let Some(run) = self.distill_from else { return Ok(None) };
        let usual = Distill::default();
        Ok(Some(Distill {
            run: nearest::run(&settings.runs_dir, &run)?,
            data: self.distill_data,
            weight: self.distill_weight.unwrap_or(usual.weight),
            temperature: self.distill_temperature.unwrap_or(usual.temperature),
        }))
    }
}
