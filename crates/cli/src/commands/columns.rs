//! `--text-column` and its like: which columns of a table of texts hold what.

use clap::Args;

/// Columns of a table of texts; those that are not named are guessed and told.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Columns of a table of texts, guessed where not named")]
pub struct Columns {
    /// Column of the texts
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column of the second text, where pairs are judged
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column of the classes
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Column that says `train`, `val` or `test`
    #[arg(long, value_name = "NAME")]
    split_column: Option<String>,
    /// Column that says where a text is from
    #[arg(long, value_name = "NAME")]
    domain_column: Option<String>,
    /// Column of what must not straddle two splits: an author, a conversation
    #[arg(long, value_name = "NAME")]
    group_column: Option<String>,
}

impl Columns {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("columns.text", &self.text_column),
            ("columns.pair", &self.pair_column),
            ("columns.label", &self.label_column),
            ("columns.split", &self.split_column),
            ("columns.domain", &self.domain_column),
            ("columns.group", &self.group_column),
        ];
        given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?))).collect()
    }
}
