//! Errors as a person reads them: `error: …`, then `hint: …`, and the exit code.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::{PanicHookInfo, UnwindSafe};
use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind as Clap;
use offshoot_transfer::TransferError;

use crate::args::Arguments;
use crate::context::{STDOUT, clean};

/// Exit code of a mistake in this program.
const INTERNAL: u8 = 1;
const USAGE: u8 = 2;

/// Says what went wrong and returns the exit code.
pub fn tell(error: &TransferError) -> u8 {
    if let TransferError::Io { path, source, .. } = error
        && path == Path::new(STDOUT)
        && source.kind() == ErrorKind::BrokenPipe
    {
        // Whoever read standard output has seen enough: `offshoot models list | head -1`.
        return 0;
    }
    let hint = error.hint().or_else(|| match error {
        TransferError::GateFailed { .. } => Some(
            "everything was written; `offshoot runs list` shows the run and its figures".into(),
        ),
        TransferError::BadData(_) => {
            Some("`offshoot check DATA` names every fault and its file".into())
        }
        TransferError::Data(_) => {
            Some("`offshoot check --help` says which forms of data are read".into())
        }
        _ => None,
    });
    write(&error.to_string(), hint.as_deref());
    error.exit_code()
}

/// Options that cannot be parsed; also `--help` and `--version`, which are no errors.
pub fn of_arguments(error: &clap::Error) -> u8 {
    if matches!(error.kind(), Clap::DisplayHelp | Clap::DisplayVersion) {
        // A closed pipe is nothing to complain about here either.
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    if error.kind() == Clap::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = io::stderr().write_all(text.as_bytes());
        return USAGE;
    }
    let (message, hint) = in_our_words(&text, &command(std::env::args().skip(1)));
    write(&message, Some(&hint));
    USAGE
}

/// The words that name the command: `offshoot runs compare` of `offshoot -q runs compare a`.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = "offshoot".to_string();
    let root = Arguments::command();
    let mut level = &root;
    for word in arguments {
        if let Some(next) = level.find_subcommand(&word) {
            words.push(' ');
            words.push_str(next.get_name());
            level = next;
        }
    }
    words
}

/// Clap's message and tip in our form.
fn in_our_words(text: &str, command: &str) -> (String, String) {
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let message: Vec<&str> = first.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = match tip {
        Some(tip) => tip.to_string(),
        None => format!("`{command} --help` explains and shows examples"),
    };
    (message.join(" "), hint)
}

fn write(message: &str, hint: Option<&str>) {
    let painted = paints();
    let paint = |code: &str, word: &str| {
        if painted { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_string() }
    };
    let mut text = format!("{} {}\n", paint("1;31", "error:"), clean(message));
    if let Some(hint) = hint {
        text.push_str(&format!("{} {}\n", paint("1;36", "hint:"), clean(hint)));
    }
    // Nobody is left to be told when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether standard error takes colours: a terminal, and no `NO_COLOR` (no-color.org).
pub fn paints() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Runs the program; a panic becomes an exit code.
pub fn guarded(program: impl FnOnce() -> u8 + UnwindSafe) -> u8 {
    std::panic::catch_unwind(program).unwrap_or(INTERNAL)
}

/// From now on a panic, which is a mistake in this program, is told in our form.
pub fn own_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let payload = info.payload();
        let what = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic".into());
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
        write(
            &format!("internal error: {what}{}", place.unwrap_or_default()),
            Some("this is a mistake in offshoot; please report it with `offshoot doctor --json`"),
        );
    }));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_panic_becomes_an_exit_code() {
        assert_eq!(guarded(|| 0), 0);
        assert_eq!(guarded(|| panic!("this line belongs to a test")), INTERNAL);
        let in_a_worker = || rayon::join(|| 0, || panic!("this line belongs to a test")).0;
        assert_eq!(guarded(in_a_worker), INTERNAL);
    }

    #[test]
    fn unknown_words_get_a_suggestion_or_the_way_to_help() {
        for (typed, message, hint) in [
            (
                "offshoot trian x",
                "unrecognized subcommand 'trian'",
                "a similar subcommand exists: 'train'",
            ),
            (
                "offshoot train x --haed y",
                "unexpected argument '--haed' found",
                "a similar argument exists: '--head'",
            ),
            (
                "offshoot train",
                "the following required arguments were not provided: <DATA>",
                "`offshoot train --help` explains and shows examples",
            ),
        ] {
            let words = || typed.split(' ');
            let error = Arguments::try_parse_from(words()).unwrap_err();
            let command = command(words().skip(1).map(Into::into));
            let (said, hinted) = in_our_words(&error.render().to_string(), &command);
            assert_eq!((said.as_str(), hinted.as_str()), (message, hint));
        }
    }
}
