use std::path::PathBuf;

use clap::{Args, Subcommand};
use offshoot_transfer::Result;
use offshoot_transfer::adapt as adaptation;
use offshoot_transfer::report::words;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::runs::{self, RunSummary};
use offshoot_transfer::transfer_report as reports;
use serde::Serialize;

use super::{adapt, figures, nearest, rl, transfer_report};
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Examples:
  offshoot runs list
  offshoot runs compare first second
  offshoot runs resume first        go on with a run that was stopped or killed
  offshoot runs rm first
  offshoot runs gc                  remove what killed processes left, and shrink the cache";

/// List, compare, resume and remove runs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Runs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All runs with their figures
    List,
    /// Runs side by side
    Compare {
        /// Names of runs, or their folders
        #[arg(value_name = "RUN", required = true, num_args = 2..)]
        runs: Vec<String>,
    },
    /// Go on with a run that was stopped or killed
    Resume {
        /// Name of a run, or its folder
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Remove runs
    Rm {
        /// Names of runs, or their folders
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<String>,
    },
    /// Remove leftovers of killed processes, damaged cache entries, and what exceeds the cache's size
    Gc,
}

#[derive(Serialize)]
struct Listed<'a> {
    runs: &'a [RunSummary],
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<PathBuf>,
}

impl Runs {
    pub fn run(self, context: &Context) -> Result<()> {
        let dir = &context.settings.runs_dir;
        let find = |names: &[String]| -> Result<Vec<PathBuf>> {
            names.iter().map(|name| nearest::run(dir, name)).collect()
        };
        match self.action {
            Action::List => show(context, "runs list", &runs::list(dir)?),
            Action::Compare { runs: names } => {
                let compared = runs::compare(&find(&names)?)?;
                show(context, "runs compare", &compared)?;
                let same = |of: fn(&RunSummary) -> Option<&str>| {
                    compared.iter().all(|run| of(run) == of(&compared[0]))
                };
                if !same(|run| run.test_sha256.as_deref()) {
                    context.say(
                        "warning: these runs were judged on different samples, so their figures do \
                         not compare",
                    );
                } else if !same(|run| Some(&run.manifest_sha256)) {
                    context.say(
                        "note: these runs were judged on the same samples, but learnt from others, or \
                         from another division into training and validation",
                    );
                }
                Ok(())
            }
            Action::Resume { run } => {
                let run = nearest::run(dir, &run)?;
                if offshoot_rl::train::is_rl(&run) {
                    return rl::resume(context, &run);
                }
                let mut observer = context.observer()?;
                if reports::is_report(&run) {
                    let report = reports::resume(&run, &mut observer)?;
                    drop(observer);
                    return transfer_report::show(context, &report);
                }
                if adaptation::is_adaptation(&run) {
                    let report = adaptation::resume(&run, &mut observer);
                    drop(observer);
                    return adapt::judged(context, report);
                }
                figures::show(context, &runs::resume(&run, &mut observer)?)
            }
            Action::Rm { runs: names } => {
                // All are found before the first is removed.
                let removed = find(&names)?;
                removed.iter().try_for_each(|run| runs::remove(run))?;
                if context.json {
                    return context.body("runs rm", None, Removed { removed });
                }
                for run in removed {
                    context.say(format_args!("removed {}", clean(&run.display().to_string())));
                }
                Ok(())
            }
            Action::Gc => {
                let collected = runs::gc(dir, &context.settings.cache)?;
                if context.json {
                    return context.body("runs gc", None, collected);
                }
                context.print(format_args!(
                    "{} and {} removed, {} freed\n",
                    words::counted(collected.temporary_files, "temporary file", "temporary files"),
                    words::counted(collected.cache_chunks, "cache chunk", "cache chunks"),
                    words::bytes(collected.bytes)
                ))
            }
        }
    }
}

fn show(context: &Context, command: &str, runs: &[RunSummary]) -> Result<()> {
    if context.json {
        return context.body(command, None, Listed { runs });
    }
    if runs.is_empty() {
        let dir = clean(&context.settings.runs_dir.display().to_string());
        context.say(format_args!("{dir} holds no runs; `offshoot demo` makes one"));
        return Ok(());
    }
    let rows: Vec<[String; 10]> = runs
        .iter()
        .map(|run| {
            [
                run.name.clone(),
                state(run.state).into(),
                words::moment(&run.created),
                run.data.clone(),
                run.model.clone(),
                run.method.clone().unwrap_or_else(|| "–".into()),
                words::share(run.accuracy),
                run.accuracy_ci.map_or_else(|| "–".into(), words::percent_range),
                words::share(run.macro_f1),
                words::bytes(run.bytes),
            ]
        })
        .collect();
    let header = [
        ("run", Align::Left),
        ("state", Align::Left),
        ("created", Align::Left),
        ("data", Align::Left),
        ("model", Align::Left),
        ("method", Align::Left),
        ("accuracy", Align::Right),
        ("95 %", Align::Right),
        ("macro F1", Align::Right),
        ("size", Align::Right),
    ];
    context.print(table::text(header, &rows))
}

fn state(state: RunState) -> &'static str {
    match state {
        RunState::Running => "unfinished",
        RunState::Stopped => "stopped",
        RunState::Failed => "failed",
        RunState::Complete => "complete",
    }
}
