//! What the report tells of texts: which words an answer rests on, and how long texts are.

use std::collections::BTreeMap;

use offshoot_data::{Sample, Split};
use rayon::prelude::*;

use crate::Result;
use crate::explain::Occlusion;
use crate::explain::shades::{Shade, excerpt, shades};
use crate::report::data::{Example, LengthBin, Lengths};
use crate::train::folder::Everything;

/// Characters of a text that are shown.
const SHOWN: usize = 420;
/// Tokens that explaining one text may take: all words of a sentence, windows of a page.
const TOKENS: usize = 2048;
/// The fewest and the most windows.
const FEWEST: usize = 6;
const MOST: usize = 64;
/// Right answers that are shown, one a class.
const EXAMPLES: usize = 6;
/// Texts whose length is measured.
const MEASURED: usize = 2000;

/// The part of a text that speaks loudest for or against `class`, in shades; nothing where the
/// sample is no text.
pub fn highlighted(everything: &Everything<'_>, sample: &Sample, class: u32) -> Result<Vec<Shade>> {
    let Everything { plan, source, probe, .. } = everything;
    let Ok(ready) = source.inputs.prepare(&sample.input) else { return Ok(Vec::new()) };
    let Some(tokens) = ready.tokens() else { return Ok(Vec::new()) };
    let length = tokens.ids.len().max(1);
    let asked = Occlusion {
        trained: &probe.trained,
        source,
        answers: (TOKENS / length).clamp(FEWEST, MOST),
        batch: plan.batch,
    };
    let Ok((told, _)) = asked.explain(sample, Some(class as usize))? else {
        return Ok(Vec::new());
    };
    let texts = shades(&told);
    let each = SHOWN / texts.len().max(1);
    let mut shown = Vec::new();
    for (i, pieces) in texts.iter().enumerate() {
        if i > 0 {
            shown.push(Shade { text: "\n".into(), ..Shade::default() });
        }
        shown.extend(excerpt(pieces, each));
    }
    Ok(shown)
}

/// One right answer of each class, neither the surest nor the least sure of it.
pub fn examples(everything: &Everything<'_>) -> Result<Vec<Example>> {
    let Everything { prepared, evaluated, source, .. } = everything;
    if source.inputs.texts().is_none() {
        return Ok(Vec::new());
    }
    let p = &evaluated.probabilities;
    let mut right: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (row, &label) in evaluated.labels.iter().enumerate() {
        if p.predicted(row) == label {
            right.entry(label).or_default().push(row);
        }
    }
    let mut classes: Vec<(u32, Vec<usize>)> = right.into_iter().collect();
    // The largest classes, in their order.
    classes.sort_by_key(|(label, rows)| (std::cmp::Reverse(rows.len()), *label));
    classes.truncate(EXAMPLES);
    classes.sort_by_key(|(label, _)| *label);
    let one = |(label, mut rows): (u32, Vec<usize>)| {
        let confidence = |row: usize| p.row(row)[label as usize];
        rows.sort_by(|&a, &b| confidence(a).total_cmp(&confidence(b)).then(a.cmp(&b)));
        let row = rows[rows.len() / 2];
        let sample = &prepared.dataset.samples[evaluated.samples[row]];
        Ok(Example {
            id: sample.id.clone(),
            label: prepared.dataset.classes.get(label as usize).cloned().unwrap_or_default(),
            confidence: confidence(row),
            words: highlighted(everything, sample, label)?,
        })
    };
    classes.into_iter().map(one).collect()
}

/// Tokens of the texts of all splits, or of texts spread evenly among them where there are many.
pub fn lengths(everything: &Everything<'_>) -> Option<Lengths> {
    let Everything { prepared, source, .. } = everything;
    let texts = source.inputs.texts()?;
    let samples: Vec<&Sample> =
        prepared.dataset.samples.iter().filter(|s| s.split.is_some()).collect();
    let step = samples.len().div_ceil(MEASURED).max(1);
    let measured: Vec<&Sample> = samples.iter().copied().step_by(step).collect();
    let first = source.inputs.first();
    let length = |sample: &&Sample| {
        let ready = first.prepare(&sample.input).ok()?;
        let tokens = ready.tokens()?;
        Some((tokens.ids.len() + tokens.left, tokens.left, sample.split == Some(Split::Test)))
    };
    let found: Vec<(usize, usize, bool)> = measured.par_iter().filter_map(length).collect();
    let mut sorted: Vec<usize> = found.iter().map(|(tokens, ..)| *tokens).collect();
    sorted.sort_unstable();
    let (&median, &longest) = (sorted.get(sorted.len() / 2)?, sorted.last()?);
    let limit = texts.tokenizer().limit();
    let all: usize = sorted.iter().sum();
    let unread: usize = found.iter().map(|(_, left, _)| left).sum();
    Some(Lengths {
        texts: samples.len(),
        measured: sorted.len(),
        limit,
        longer: found.iter().filter(|(_, left, _)| *left > 0).count(),
        unread: unread as f64 / all.max(1) as f64,
        median,
        longest,
        bins: bins(&found, limit),
    })
}

/// Bins that double, so that the limit is the end of one of them.
fn bins(found: &[(usize, usize, bool)], limit: usize) -> Vec<LengthBin> {
    const LEAST: usize = 8;
    let longest = found.iter().map(|(tokens, ..)| *tokens).max().unwrap_or(0);
    let shortest = found.iter().map(|(tokens, ..)| *tokens).min().unwrap_or(0);
    let mut ends = vec![limit.max(1)];
    while let Some(&end) = ends.last()
        && end / 2 >= shortest.max(LEAST)
    {
        ends.push(end / 2);
    }
    ends.reverse();
    while let Some(&end) = ends.last()
        && end < longest
    {
        ends.push(end.saturating_mul(2));
    }
    let mut from = 1;
    let mut bins = Vec::new();
    for end in ends {
        let inside = |test| {
            let within = |t: &&(usize, usize, bool)| (from..=end).contains(&t.0) && t.2 == test;
            found.iter().filter(within).count()
        };
        bins.push(LengthBin { from, to: end, fitted: inside(false), judged: inside(true) });
        from = end + 1;
    }
    while bins.last().is_some_and(|bin| bin.fitted + bin.judged == 0) {
        bins.pop();
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_text_and_end_at_the_limit() {
        let lengths = [3, 9, 16, 17, 100, 128, 129, 1000];
        let found: Vec<_> =
            lengths.iter().map(|&n: &usize| (n, n.saturating_sub(128), n > 100)).collect();
        let bins = bins(&found, 128);
        assert_eq!(bins.iter().map(|bin| bin.fitted + bin.judged).sum::<usize>(), lengths.len());
        assert!(bins.iter().any(|bin| bin.to == 128));
        assert_eq!(bins.last().map(|bin| bin.to), Some(1024));
        assert_eq!(bins[0], LengthBin { from: 1, to: 8, fitted: 1, judged: 0 });
        assert!(super::bins(&[], 128).is_empty());
    }
}
