//! Texts of which an encoder reads only the beginning.

use super::{Check, Problem, Severity, View, problem};

pub(super) const CHECK: Check = Check {
    name: "long_texts",
    kinds: &["long-texts"],
    about: "how many texts are longer than encoders read; the exact number depends on the source's \
            tokenizer and is told when features are computed",
    run,
};

fn run(view: &View<'_>) -> Vec<Problem> {
    let limit = view.options.long_words;
    let mut lengths: Vec<usize> =
        view.looks.iter().filter_map(|l| Some(l.written.as_ref()?.words)).collect();
    lengths.sort_unstable();
    let long = lengths.len() - lengths.partition_point(|&words| words <= limit);
    if long == 0 {
        return Vec::new();
    }
    let percent = 100.0 * long as f64 / lengths.len() as f64;
    let detail = format!(
        "{long} of {} texts ({percent:.1} %) have more than {limit} words, of which most encoders \
         read only the beginning; the median is {} words, the longest {}",
        lengths.len(),
        lengths[lengths.len() / 2],
        lengths[lengths.len() - 1]
    );
    vec![problem("", "long-texts", Severity::Note, detail)]
}
