//! The command line: raw options → a checked plan → one call → text or a document.
//!
//! Data goes to standard output, words go to standard error.

mod args;
mod commands;
mod context;
mod failure;
mod interrupt;
mod progress;
mod settings;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    failure::own_panics();
    ExitCode::from(failure::guarded(|| match args::Arguments::try_parse() {
        Err(error) => failure::of_arguments(&error),
        Ok(arguments) => match commands::run(arguments) {
            Err(error) => failure::tell(&error),
            Ok(()) => 0,
        },
    }))
}
