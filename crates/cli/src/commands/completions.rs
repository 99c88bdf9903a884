use clap::{Args, CommandFactory};
use clap_complete::Shell;
use offshoot_transfer::Result;

use crate::args::Arguments;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  offshoot completions bash > ~/.local/share/bash-completion/completions/offshoot
  offshoot completions fish > ~/.config/fish/completions/offshoot.fish";

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "offshoot", &mut script);
        context.print(String::from_utf8_lossy(&script))
    }
}
