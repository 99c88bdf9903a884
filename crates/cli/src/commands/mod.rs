//! One file a command: its options, its help, what it prints.

mod adapt;
mod check;
mod columns;
mod completions;
mod demo;
mod doctor;
mod eval;
mod explain;
mod export;
mod extract;
mod figures;
mod gate;
mod models;
mod nearest;
mod predict;
mod rank;
mod report;
mod rl;
mod runs;
mod settings;
mod shift;
mod teacher;
mod train;
mod transfer_report;
mod tuning;

use std::time::Instant;

use clap::Subcommand;
use offshoot_transfer::{Result, TransferError};

use crate::args::Arguments;
use crate::context::{Context, Loudness};
use crate::settings::{Layers, Surroundings, user_file};

/// What the user wants done.
#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::Demo),
    Check(check::Check),
    Models(models::Models),
    Rank(rank::Rank),
    Extract(extract::Extract),
    Shift(shift::Shift),
    Adapt(Box<adapt::Adapt>),
    Train(Box<train::Train>),
    TransferReport(Box<transfer_report::TransferReportArgs>),
    Eval(eval::Eval),
    Predict(predict::Predict),
    Explain(explain::Explain),
    Report(report::Report),
    Rl(rl::Rl),
    Export(export::Export),
    Verify(export::Verify),
    Runs(runs::Runs),
    Doctor(doctor::Doctor),
    Settings(settings::Settings),
    Completions(completions::Completions),
}

impl Command {
    /// Flags with a setting behind them.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Check(check) => check.flags(),
            Self::Rank(rank) => rank.flags(),
            Self::Extract(extract) => extract.flags(),
            Self::Shift(shift) => shift.flags(),
            Self::Adapt(adapt) => adapt.flags(),
            Self::Train(train) => train.flags(),
            Self::TransferReport(report) => report.flags(),
            Self::Eval(eval) => eval.flags(),
            Self::Predict(predict) => predict.flags(),
            Self::Explain(explain) => explain.flags(),
            _ => Vec::new(),
        }
    }
}

/// Whether the name in `name=value` has a dot.
fn names_a_section(text: &str) -> bool {
    text.split('=').next().is_some_and(|name| name.contains('.'))
}

/// Runs a command.
pub fn run(arguments: Arguments) -> Result<()> {
    let Arguments { command, global } = arguments;
    let flags = global.flags();
    let variable = |name: &str| std::env::var(name).ok();
    // Constants of a world are set like settings, whose names with a section have a dot.
    let takes_constants = matches!(command, Command::Rl(_));
    let (constants, sets): (Vec<String>, Vec<String>) =
        global.set.into_iter().partition(|text| takes_constants && !names_a_section(text));
    let surroundings = Surroundings {
        config: global.config.as_deref(),
        user: user_file(&variable),
        sets: &sets,
        flags: [flags, command.flags()].concat(),
    };
    let layers = Layers::read(&surroundings, &variable)?;
    let settings = layers.settings()?;
    if let Some(threads) = settings.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|e| TransferError::Internal(format!("threads: {e}")))?;
    }
    let loudness = match (global.quiet, global.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    };
    let context =
        Context { settings, layers, json: global.json, loudness, started: Instant::now() };
    match command {
        Command::Demo(demo) => demo.run(&context),
        Command::Check(check) => check.run(&context),
        Command::Models(models) => models.run(&context),
        Command::Rank(rank) => rank.run(&context),
        Command::Extract(extract) => extract.run(&context),
        Command::Shift(shift) => shift.run(&context),
        Command::Adapt(adapt) => adapt.run(&context),
        Command::Train(train) => train.run(&context),
        Command::TransferReport(report) => report.run(&context),
        Command::Eval(eval) => eval.run(&context),
        Command::Predict(predict) => predict.run(&context),
        Command::Explain(explain) => explain.run(&context),
        Command::Report(report) => report.run(&context),
        Command::Rl(rl) => rl.run(&context, constants),
        Command::Export(export) => export.run(&context),
        Command::Verify(verify) => verify.run(&context),
        Command::Runs(runs) => runs.run(&context),
        Command::Doctor(doctor) => doctor.run(&context),
        Command::Settings(settings) => settings.run(&context),
        Command::Completions(completions) => completions.run(&context),
    }
}
