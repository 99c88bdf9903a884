//! What a data set holds, for the report.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Dataset;

use super::look::Look;
use super::part_name;

/// Counts over a data set.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// All samples.
    pub samples: usize,
    /// Samples with a label.
    pub labelled: usize,
    /// Samples by class, then by part (`train`, `val`, `test`, `no part`).
    pub classes: BTreeMap<String, BTreeMap<String, usize>>,
    /// Samples by part.
    pub splits: BTreeMap<String, usize>,
    /// Samples by domain, where given.
    pub domains: BTreeMap<String, usize>,
    /// Pictures by `width×height`.
    pub sizes: BTreeMap<String, usize>,
    /// Pictures by the power of two at or below their shorter side: `32..63`.
    pub shorter_sides: BTreeMap<String, usize>,
    /// Pictures by format; `raw` for arrays.
    pub formats: BTreeMap<String, usize>,
    /// Pictures by how values are stored: `grey`, `rgb`, `rgba`, `cmyk`…
    pub modes: BTreeMap<String, usize>,
    /// Feature vectors instead of pictures.
    pub vectors: usize,
    /// Texts by the power of two at or below their number of words: `32..63`; `0` for none.
    pub words: BTreeMap<String, usize>,
    /// Texts by the script of most of their letters.
    pub scripts: BTreeMap<String, usize>,
}

impl Summary {
    pub(super) fn of(dataset: &Dataset, looks: &[Look]) -> Summary {
        let mut summary = Summary { samples: dataset.samples.len(), ..Summary::default() };
        for class in &dataset.classes {
            summary.classes.entry(class.clone()).or_default();
        }
        let count = |map: &mut BTreeMap<String, usize>, key: &str| {
            *map.entry(key.to_owned()).or_default() += 1;
        };
        for (sample, look) in dataset.samples.iter().zip(looks) {
            let part = part_name(sample.split);
            count(&mut summary.splits, part);
            if let Some(class) = sample.label.and_then(|l| dataset.classes.get(l as usize)) {
                summary.labelled += 1;
                count(summary.classes.entry(class.clone()).or_default(), part);
            }
            if let Some(domain) = &sample.domain {
                count(&mut summary.domains, domain);
            }
            if let Some(written) = &look.written {
                let words = match written.words.checked_ilog2() {
                    Some(power) => format!("{}..{}", 1usize << power, (2usize << power) - 1),
                    None => "0".to_owned(),
                };
                count(&mut summary.words, &words);
                count(&mut summary.scripts, written.script.unwrap_or("none"));
                continue;
            }
            let Some(shown) = &look.shown else {
                if look.fault.is_none() {
                    summary.vectors += 1;
                }
                continue;
            };
            count(&mut summary.sizes, &format!("{}×{}", shown.width, shown.height));
            let low = 1usize << shown.width.min(shown.height).ilog2();
            count(&mut summary.shorter_sides, &format!("{low}..{}", 2 * low - 1));
            let format = shown.facts.format.map_or("raw", crate::Format::name);
            count(&mut summary.formats, format);
            count(&mut summary.modes, shown.facts.mode);
        }
        summary
    }
}
