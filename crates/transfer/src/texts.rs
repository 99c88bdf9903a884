//! From a text to token ids.

use offshoot_data::{Input, Text, read_text};
use offshoot_tokens::{Encoded, Tokenizer};

use crate::pictures::{Content, Unreadable};

/// How texts become the input of one source.
pub struct Texts {
    tokenizer: Tokenizer,
    lower_case: bool,
}

impl Texts {
    /// Texts by this tokenizer; `lower_case` puts them in lower case before it.
    pub fn new(tokenizer: Tokenizer, lower_case: bool) -> Self {
        Self { tokenizer, lower_case }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Everything that decides the tokens.
    pub fn description(&self) -> String {
        let case = if self.lower_case { " in lower case" } else { "" };
        let short: String = self.tokenizer.sha256().chars().take(16).collect();
        format!("tokenizer {short}{case}, {} tokens at most", self.tokenizer.limit())
    }

    /// Reads a sample into memory.
    pub fn read(&self, input: &Input) -> Result<Content, Unreadable> {
        match input {
            Input::Text(_) | Input::TextFile(_) => Ok(Content::Text(read_text(input)?)),
            _ => Err(Unreadable::no_text()),
        }
    }

    /// The text's tokens.
    pub fn tokens(&self, text: &Text) -> Result<Encoded, Unreadable> {
        let cased = |text: &str| match self.lower_case {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        let pair = text.pair.as_deref().map(cased);
        self.tokenizer
            .encode(&cased(&text.text), pair.as_deref())
            .map_err(|error| Unreadable { kind: "not-text".into(), detail: error.to_string() })
    }
}
