//! Texts: where they lie, how their bytes are read, and what makes two of them the same.

pub(crate) mod encoding;

use std::path::Path;

use crate::{DataError, Fault, Input, Result, Text};

/// A file with more bytes holds no single text.
const MAX_BYTES: u64 = 64 << 20;

/// The text of a sample. Files are UTF-8, UTF-16 with a byte-order mark, or Windows-1252.
///
/// # Errors
/// [`DataError::Picture`] with the kind of fault where a file cannot be read as text;
/// [`DataError::Unusable`] for a picture or a vector.
pub fn read_text(input: &Input) -> Result<Text> {
    match input {
        Input::Text(text) => Ok(text.clone()),
        Input::TextFile(path) => Ok(Text { text: read_file(path)?.into(), pair: None }),
        Input::Broken(why) => Err(DataError::Picture {
            place: "row".into(),
            fault: Fault::Corrupt,
            detail: why.to_string(),
        }),
        Input::Vector(_) => {
            Err(DataError::Unusable("expected a text, found a feature vector".to_owned()))
        }
        Input::File(_) | Input::Encoded(_) | Input::Pixels { .. } => {
            Err(DataError::Unusable("expected a text, found a picture".to_owned()))
        }
    }
}

fn read_file(path: &Path) -> Result<String> {
    let failed = |fault: Fault, detail: String| DataError::Picture {
        place: path.display().to_string(),
        fault,
        detail,
    };
    let refused = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        failed(if missing { Fault::Missing } else { Fault::Refused }, error.to_string())
    };
    let facts = std::fs::metadata(path).map_err(refused)?;
    if !facts.is_file() {
        return Err(failed(Fault::Refused, "not a file".to_owned()));
    }
    if facts.len() > MAX_BYTES {
        let detail = format!("{} bytes; a text has at most {MAX_BYTES}", facts.len());
        return Err(failed(Fault::TooLarge, detail));
    }
    let bytes = std::fs::read(path).map_err(refused)?;
    encoding::decode(&bytes).map_err(|why| failed(Fault::NotText, why))
}

/// Words in lower case with single spaces between: what stays of a text when case and layout are
/// set aside.
pub(crate) fn normalised(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().flat_map(char::to_lowercase));
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_any_encoding_or_named() {
        let root = tempfile::TempDir::new().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read_text(&Input::TextFile(path)).map(|t| t.text.to_string())
        };
        assert_eq!(at("a.txt", b"caf\xe9").unwrap(), "café");
        assert_eq!(at("b.txt", b"\xff\xfec\0a\0").unwrap(), "ca");
        assert_eq!(at("c.txt", b"").unwrap(), "");
        assert_eq!(at("d.txt", b"PK\0\0").unwrap_err().fault(), Some(Fault::NotText));
        let missing = read_text(&Input::TextFile(root.path().join("e.txt")));
        assert_eq!(missing.unwrap_err().fault(), Some(Fault::Missing));
        assert!(read_text(&Input::Vector([1.0].into())).is_err());
    }

    #[test]
    fn case_and_layout_do_not_matter() {
        assert_eq!(normalised(" A\tGood\r\n\u{a0}FILM "), "a good film");
    }
}
