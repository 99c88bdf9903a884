//! Texts that were decoded wrongly before they came here.

use super::{Check, Problem, Severity, View};

pub(super) const CHECK: Check = Check {
    name: "odd_encoding",
    kinds: &["odd-encoding"],
    about: "replacement characters, or UTF-8 that was read as Windows-1252 (`cafÃ©`)",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, look) in view.looks.iter().enumerate() {
        if let Some(odd) = look.written.as_ref().and_then(|w| w.odd.as_ref()) {
            let detail = format!("holds `{odd}`, which comes of a wrong decoding");
            problems.push(view.sample(i, "odd-encoding", Severity::Warning, detail));
        }
    }
    problems
}

/// The first trace of a wrong decoding. A leading byte of UTF-8 becomes `Ã`, `Â` or `â`, the bytes
/// that follow one of the signs between 0x80 and 0xbf of Windows-1252.
pub(super) fn trace(text: &str) -> Option<String> {
    const FOLLOWING: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";
    let follows = |c: char| matches!(c, '\u{80}'..='\u{bf}') || FOLLOWING.contains(c);
    let mut before = None;
    for c in text.chars() {
        if c == '\u{fffd}' {
            return Some(c.to_string());
        }
        if let Some(lead @ ('Ã' | 'Â' | 'â')) = before
            && follows(c)
            // A closing quote after a word in capitals is no such trace.
            && !(matches!(c, '’' | '”' | '»' | '…' | '–' | '—') && lead != 'â')
        {
            return Some(format!("{lead}{c}"));
        }
        before = Some(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::trace;

    #[test]
    fn wrong_decodings_are_told_from_accents() {
        assert_eq!(trace("the cafÃ© was"), Some("Ã©".to_owned()));
        assert_eq!(trace("itâ€™s"), Some("â€".to_owned()));
        assert_eq!(trace("caf\u{fffd}"), Some("\u{fffd}".to_owned()));
        for fine in ["café Ângela âge pâté", "« À LA CARTE » 5 € à São Paulo", "naïve Âge"]
        {
            assert_eq!(trace(fine), None, "{fine}");
        }
    }
}
