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
    let result = std::panic::catch_unwind(|| {
        let arguments = match args::Arguments::try_parse() {
            Ok(arguments) => arguments,
            Err(error) => return failure::of_arguments(&error),
        };
        match commands::run(arguments) {
            Ok(()) => 0,
            Err(error) => failure::tell(&error),
        }
    });
    ExitCode::from(result.unwrap_or(failure::INTERNAL))
}
