//! What the card of a model folder, the YAML before the text of its README.md, says of its licence.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A folder's card.
pub const CARD: &str = "README.md";
/// Bytes of a card that are read: the YAML stands first.
const MOST: u64 = 64 << 10;
/// Characters of a licence's name.
const LONGEST: usize = 64;

/// The licence as the card names it (`license`, and `license_name` where that says `other`; several are joined by
/// `AND`); `None` without a card, or where it says nothing that looks like a name.
pub fn licence(folder: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(folder.join(CARD)).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let yaml: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    match values(&yaml, "license") {
        other if other == ["other"] => joined(&values(&yaml, "license_name")).or(joined(&other)),
        names => joined(&names),
    }
}

/// What stands behind a key of the outermost level: one value, or those of a list below it.
fn values<'a>(yaml: &[&'a str], key: &str) -> Vec<&'a str> {
    let after = |line: &&'a str| line.strip_prefix(key)?.strip_prefix(':').map(plain);
    let Some(at) = yaml.iter().position(|line| after(line).is_some()) else { return Vec::new() };
    match after(&yaml[at]) {
        Some("") => yaml[at + 1..]
            .iter()
            .map_while(|line| line.trim().strip_prefix("- ").map(plain))
            .collect(),
        value => value.into_iter().collect(),
    }
}

/// Without quotes.
fn plain(value: &str) -> &str {
    value.trim().trim_matches(['"', '\''])
}

fn joined(names: &[&str]) -> Option<String> {
    let is_name = |name: &&str| {
        (1..=LONGEST).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-+_".contains(c))
    };
    (!names.is_empty() && names.iter().all(is_name)).then(|| names.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(card: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("README.md"), card).unwrap();
        licence(folder.path())
    }

    #[test]
    fn a_card_names_one_licence_or_several() {
        assert_eq!(
            of("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n").unwrap(),
            "apache-2.0"
        );
        assert_eq!(of("---\r\nlicense: \"mit\"\r\n---\r\n").unwrap(), "mit");
        assert_eq!(
            of("---\nlicense:\n- mit\n- cc-by-4.0\nname: x\n---\n").unwrap(),
            "mit AND cc-by-4.0"
        );
        assert_eq!(of("---\nlicense: other\nlicense_name: own-1\n---\n").unwrap(), "own-1");
        assert_eq!(of("---\nlicense: other\n---\n").unwrap(), "other");
    }

    #[test]
    fn what_is_no_name_in_no_card_is_no_licence() {
        assert_eq!(of("# Model\n\nlicense: mit\n"), None);
        assert_eq!(of("---\ntags:\n  license: mit\n---\nlicense: mit\n"), None);
        assert_eq!(of("---\nlicense: <b>mit</b>\n---\n"), None);
        assert_eq!(of("---\nlicense:\n---\n"), None);
        assert_eq!(of(""), None);
        assert_eq!(licence(Path::new("/nowhere")), None);
    }
}
