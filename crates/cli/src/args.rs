//! Options as they are typed. Every command's own options stand beside its code.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use crate::commands::Command;

const ABOUT: &str = "Grow a classifier for your pictures from a network that is already grown.";

const AFTER: &str = "\
First steps:
  offshoot demo                       the whole story on embedded pictures, offline
  offshoot check photos/              what is wrong with the data, file by file
  offshoot train photos/ --name photos
                                      photos/CLASS/*.jpg in, a trained and judged classifier out
  offshoot predict photos new.jpg     what it says about new pictures

Exit codes:
  0 done          2 wrong usage       4 model refused    6 diverged     75 stopped, can be resumed
  1 internal      3 bad data          5 no resources     7 gate failed  130 stopped at once

A setting comes from its flag, else OFFSHOOT_*, else ./offshoot.toml, else the user's config, else
its default; `offshoot settings` shows which.";

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "offshoot", version, about = ABOUT, after_help = AFTER, max_term_width = 100)]
#[command(disable_help_subcommand = true, propagate_version = false)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Print one JSON document on standard output in place of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Threads to use; the results do not depend on it
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<String>,
    /// Key of every random draw
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<String>,
    /// Never use the network (only `models pull` would)
    #[arg(long, global = true)]
    pub offline: bool,
    /// Folder of run folders
    #[arg(long, global = true, value_name = "DIR")]
    pub runs_dir: Option<String>,
    /// Neither look up nor keep feature rows
    #[arg(long, global = true)]
    pub no_cache: bool,
    /// Read this in place of ./offshoot.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any setting, for instance train.head=ridge
    #[arg(long, global = true, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

impl Global {
    /// Flags with a setting behind them.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        let given =
            [("threads", &self.threads), ("seed", &self.seed), ("runs_dir", &self.runs_dir)];
        flags.extend(given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?))));
        if self.offline {
            flags.push(("offline", "true".into()));
        }
        if self.no_cache {
            flags.push(("cache.enabled", "false".into()));
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::settings::keys::KEYS;

    #[test]
    fn the_options_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_examples() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("offshoot "), "{}", command.get_name());
        }
    }

    #[test]
    fn every_flag_with_a_setting_names_one_that_exists() {
        let typed = "offshoot train d -m x --head h --precision f32 --val 0.1 --test 0.1 --batch 2 --baselines \
                     --class-weights --guard off --no-refit --threads 1 --seed 1 --runs-dir r --offline --no-cache";
        let arguments = Arguments::try_parse_from(typed.split_whitespace()).unwrap();
        let flags = [arguments.global.flags(), arguments.command.flags()].concat();
        assert_eq!(flags.len(), 15);
        for (path, _) in flags {
            assert!(KEYS.iter().any(|key| key.path == path), "{path}");
        }
    }
}
