use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::{Result, doctor};

use crate::context::Context;
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Examples:
  offshoot doctor
  offshoot doctor --json        for a report of a mistake";

/// Say what this machine offers and how fast it is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {}

impl Doctor {
    pub fn run(self, context: &Context) -> Result<()> {
        let report = doctor(&context.settings.cache)?;
        if context.json {
            return context.document(&report);
        }
        let memory = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".into(), words::bytes);
        let writable = if report.cache_writable { "" } else { ", cannot be written" };
        let rows = [
            ["version", &report.version],
            ["platform", &report.platform],
            ["instructions", &instructions(&report.cpu)],
            ["threads", &report.threads.to_string()],
            ["memory", &memory(report.memory_bytes)],
            ["memory left", &memory(report.memory_available_bytes)],
            [
                "cache",
                &format!(
                    "{} ({} of {}{writable})",
                    report.cache.display(),
                    words::bytes(report.cache_bytes),
                    words::bytes(report.cache_max_bytes)
                ),
            ],
            [
                "models",
                &format!(
                    "{} ({})",
                    report.store.display(),
                    words::counted(report.store_models, "model", "models")
                ),
            ],
            ["speed", &format!("{} a picture", words::seconds(report.seconds_per_image))],
        ];
        let rows = rows.map(|row| row.map(str::to_string));
        context.print(table::text([("what", Align::Left), ("here", Align::Left)], &rows))
    }
}

/// The level in use, then the others.
fn instructions(levels: &[String]) -> String {
    match levels {
        [used, others @ ..] if !others.is_empty() => format!("{used} (or {})", others.join(", ")),
        _ => levels.concat(),
    }
}
