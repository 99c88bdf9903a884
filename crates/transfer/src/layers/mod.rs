//! Which layers of a text encoder features are taken from, and how tokens become a vector.
//!
//! Inner layers often serve another task better than the last, which learned the source's (Liu et al. 2019,
//! arXiv:1903.08855, section 4). All candidates come out of one pass over the training and validation
//! samples; a head on each is fitted on training rows and judged on validation, and the test split has no
//! part in it. What is chosen is an encoder of its own, with fewer layers or another pool: everything
//! after, tuning and export included, takes it as such.

mod every;

use std::collections::BTreeSet;

use offshoot_data::{Sample, Split};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::unit_length;
use offshoot_stats::Rows;

use crate::cache::Cache;
use crate::encoder::{EncoderFacts, TABLE};
use crate::extract::{Extraction, extract};
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, head, precision};
use every::every_layer;

/// Looked for on validation.
const AUTO: &str = "auto";
/// Ways among which `--pooling auto` looks.
const POOLS: [TokenPool; 3] = [TokenPool::Mean, TokenPool::First, TokenPool::Max];
/// The last layers that are averaged where all are looked at, besides each layer alone.
const AVERAGED: [usize; 2] = [2, 4];
/// Training and validation samples that choose, at most: more would only make the choice slower.
const MOST: usize = 2_000;

/// What a user asks for: `--layer` and `--pooling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    layer: Layer,
    pool: Pool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Layer {
    /// The source's last.
    #[default]
    Last,
    /// This one, counted from 1.
    At(usize),
    /// The mean of so many of the last.
    MeanOfLast(usize),
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pool {
    /// The source's.
    #[default]
    Own,
    This(TokenPool),
    Auto,
}

impl Asked {
    /// Reads a layer (`6`, `last-4`, `auto`, or nothing) and a pooling (a word of [`TokenPool::ALL`], `auto`,
    /// or nothing).
    ///
    /// # Errors
    /// Wrong usage for anything else.
    pub fn new(layer: Option<&str>, pooling: Option<&str>) -> Result<Self> {
        let layer = match layer {
            None => Layer::Last,
            Some(AUTO) => Layer::Auto,
            Some(word) => {
                let (number, of): (_, fn(usize) -> Layer) = match word.strip_prefix("last-") {
                    Some(number) => (number, Layer::MeanOfLast),
                    None => (word, Layer::At),
                };
                let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                    TransferError::usage(
                        format!("layer `{word}`"),
                        "a number from 1, `last-K` for the mean of the last K layers, or `auto`",
                    )
                })?;
                of(number)
            }
        };
        let pool = match pooling {
            None => Pool::Own,
            Some(AUTO) => Pool::Auto,
            Some(word) => Pool::This(TokenPool::find(word).ok_or_else(|| {
                let known: Vec<&str> = TokenPool::ALL.iter().map(|(name, _)| *name).collect();
                TransferError::usage(
                    format!("unknown pooling `{word}`"),
                    format!("there are {} and auto", known.join(", ")),
                )
            })?),
        };
        Ok(Self { layer, pool })
    }

    /// Whether something has to be looked for.
    fn is_open(self) -> bool {
        self.layer == Layer::Auto || self.pool == Pool::Auto
    }

    /// Every encoder among which to choose, the one nearest to the source's own first.
    fn candidates(self, facts: &EncoderFacts) -> Result<Vec<EncoderFacts>> {
        let own = TokenPool::find(&facts.pool).unwrap_or(TokenPool::Mean);
        let layers: Vec<(usize, usize)> = match self.layer {
            Layer::Last => vec![(facts.layers, facts.averaged)],
            Layer::At(layer) => vec![(layer, 1)],
            Layer::MeanOfLast(last) => vec![(facts.layers, last)],
            Layer::Auto => {
                let each = (1..=facts.layers).rev().map(|layer| (layer, 1));
                let means = AVERAGED.into_iter().filter(|last| *last <= facts.layers);
                each.chain(means.map(|last| (facts.layers, last))).collect()
            }
        };
        if let Some((wrong, _)) = layers.iter().find(|(layer, _)| *layer > facts.layers) {
            return Err(TransferError::usage(
                format!("layer {wrong} of an encoder with {}", facts.layers),
                "layers are counted from 1",
            ));
        }
        if let Some((_, wrong)) = layers.iter().find(|(_, last)| *last > facts.layers.max(1)) {
            return Err(TransferError::usage(
                format!("the mean of {wrong} layers of an encoder with {}", facts.layers),
                "`last-K` takes at most as many as there are",
            ));
        }
        let pools = match self.pool {
            Pool::Own => vec![own],
            Pool::This(pool) => vec![pool],
            Pool::Auto => {
                let others = POOLS.into_iter().filter(|pool| *pool != own);
                std::iter::once(own).chain(others).collect()
            }
        };
        let mut all = Vec::new();
        for pool in pools {
            for &(layers, averaged) in &layers {
                let pool = pool.name().to_owned();
                all.push(EncoderFacts { layers, averaged, pool, ..facts.clone() });
            }
        }
        Ok(all)
    }
}

/// An encoder that was looked at, and what a head on its features says to validation samples.
struct Judged {
    facts: EncoderFacts,
    /// −ln p of the right class of each sample.
    losses: Vec<f64>,
}

impl Judged {
    fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64
    }

    /// Whether it beats `first` by more than the standard error of the paired differences.
    fn beats(&self, first: &Self) -> bool {
        let n = self.losses.len() as f64;
        let gain = first.mean() - self.mean();
        let pairs = first.losses.iter().zip(&self.losses);
        let variance = pairs.map(|(a, b)| (a - b - gain).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        gain > (variance / n).sqrt()
    }
}

/// The encoder that the user asks for: the source as it is, reshaped, or the one that validation chose.
///
/// # Errors
/// Wrong usage for a source that is no encoder, has no such layer, or has layers after its pool, which
/// belong to the last layer alone; and where something is to be chosen without validation samples.
pub fn choose(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: Source,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Source> {
    let asked = Asked::new(plan.layer.as_deref(), plan.pooling.as_deref())?;
    if !asked.is_open() {
        return fixed(asked, source);
    }
    let facts = encoder(&source)?;
    let candidates = asked.candidates(&facts)?;
    let [train, val] = [Split::Train, Split::Val].map(|split| {
        let all = prepared.of(split);
        let drawn = offshoot_random::some(all.len(), MOST, plan.seed, "samples that choose", 0);
        drawn.into_iter().map(|at| all[at]).collect::<Vec<_>>()
    });
    if val.is_empty() {
        return Err(TransferError::usage(
            "layers are chosen on validation samples, and there are none",
            "--val takes a share of the training samples; --layer N names a layer",
        ));
    }
    let (whole, pools) = spread(&source, &candidates)?;
    let chosen: Vec<usize> = [train.as_slice(), &val].concat();
    let samples: Vec<Sample> =
        chosen.iter().map(|&i| prepared.dataset.samples[i].clone()).collect();
    let extraction = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(&samples, &whole, cache, plan.batch, Phase::Extract, watch)
    })?;
    let mut judged = Vec::with_capacity(candidates.len());
    watch.phase(Phase::Fit, Some(candidates.len()), |watch| {
        for (done, facts) in candidates.iter().enumerate() {
            let rows = Wide { extraction: &extraction, facts, pools: &pools, train: train.len() };
            judged.push(rows.judge(plan, prepared, &samples)?);
            watch.progress(Phase::Fit, done + 1, candidates.len(), 0)?;
        }
        Ok(())
    })?;
    let Some(first) = judged.first() else {
        return Err(TransferError::Internal("no encoder to choose from".into()));
    };
    let best = judged.iter().min_by(|a, b| a.mean().total_cmp(&b.mean())).unwrap_or(first);
    let taken = if best.beats(first) { best } else { first };
    for one in &judged {
        watch.note(&format!("{}: log-loss {:.4} on validation", words(&one.facts), one.mean()))?;
    }
    watch.note(&format!("features from {}", words(&taken.facts)))?;
    let recorded = source.facts.precision.clone();
    let mut reshaped = source::reshaped(&source, taken.facts.clone())?;
    precision::as_recorded(&mut reshaped, &recorded)?;
    Ok(reshaped)
}

/// The encoder that was asked for where nothing has to be looked for.
pub fn fixed(asked: Asked, source: Source) -> Result<Source> {
    if asked == Asked::default() {
        return Ok(source);
    }
    if asked.is_open() {
        return Err(TransferError::usage(
            "a layer or pooling is chosen by `train`, which has labels",
            "name them here: --layer 4 --pooling mean",
        ));
    }
    let facts = encoder(&source)?;
    let candidates = asked.candidates(&facts)?;
    let Some(facts) = candidates.into_iter().next() else { return Ok(source) };
    let recorded = source.facts.precision.clone();
    let mut reshaped = source::reshaped(&source, facts)?;
    precision::as_recorded(&mut reshaped, &recorded)?;
    Ok(reshaped)
}

/// Whether features can be taken from inner layers of this encoder.
pub fn has_layers(facts: &EncoderFacts) -> bool {
    facts.family != TABLE && facts.dense.is_empty()
}

/// Every layer of a text encoder under every pooling, the source's own first.
///
/// # Errors
/// Wrong usage for a source without layers to choose from.
pub fn shapes(source: &Source) -> Result<Vec<EncoderFacts>> {
    Asked { layer: Layer::Auto, pool: Pool::Auto }.candidates(&encoder(source)?)
}

/// A source whose rows hold what all `shapes` need, and the pools in the rows' order, for [`rows_of`].
pub fn spread(source: &Source, shapes: &[EncoderFacts]) -> Result<(Source, Vec<TokenPool>)> {
    let pools: BTreeSet<&str> = shapes.iter().map(|c| c.pool.as_str()).collect();
    let pools: Vec<TokenPool> = pools.into_iter().filter_map(TokenPool::find).collect();
    Ok((every_layer(source, &encoder(source)?, &pools)?, pools))
}

/// Features of the samples at `places` as `facts` takes them, `[places, features]`, from the rows of [`spread`].
pub fn rows_of(
    extraction: &Extraction,
    facts: &EncoderFacts,
    pools: &[TokenPool],
    places: &[usize],
) -> Result<Vec<f32>> {
    Wide { extraction, facts, pools, train: 0 }.rows(places)
}

/// The flags with which other commands take this encoder of its source.
pub fn flags(facts: &EncoderFacts) -> Vec<String> {
    let layer = match facts.averaged {
        1 => facts.layers.to_string(),
        last => format!("last-{last}"),
    };
    ["--layer", &layer, "--pooling", &facts.pool].map(String::from).to_vec()
}

/// In words.
pub fn words(facts: &EncoderFacts) -> String {
    match facts.averaged {
        1 => format!("layer {}, pooling `{}`", facts.layers, facts.pool),
        last => format!("the mean of the last {last} layers, pooling `{}`", facts.pool),
    }
}

fn encoder(source: &Source) -> Result<EncoderFacts> {
    let facts = source.facts.encoder.clone().filter(|facts| facts.family != TABLE);
    let facts = facts.ok_or_else(|| {
        TransferError::usage(
            format!("`{}` has no layers of tokens to choose from", source.name),
            "--layer and --pooling are for text encoders",
        )
    })?;
    if facts.dense.is_empty() {
        return Ok(facts);
    }
    Err(TransferError::usage(
        format!("`{}` has fully connected layers that belong to its own pooling", source.name),
        "leave --layer and --pooling out",
    ))
}

/// The rows of [`every_layer`], seen as those of one candidate.
struct Wide<'a> {
    extraction: &'a Extraction,
    facts: &'a EncoderFacts,
    pools: &'a [TokenPool],
    /// Samples before the first of validation.
    train: usize,
}

impl Wide<'_> {
    /// Fits a head on the training samples and asks it about the others. `samples` are those that the rows
    /// are of.
    fn judge(&self, plan: &TrainPlan, prepared: &Prepared, samples: &[Sample]) -> Result<Judged> {
        let readable = self.extraction.readable();
        let [train, val]: [Vec<usize>; 2] = {
            let (train, val) = readable.iter().partition(|&&i| i < self.train);
            [train, val]
        };
        let labels = |places: &[usize]| -> Vec<u32> {
            places.iter().filter_map(|&i| samples[i].label).collect()
        };
        let request = head::Request::of(plan, prepared.dataset.classes.len());
        let dim = self.facts.features;
        let form = |data: &[f32], n| -> Result<()> {
            if data.len() == n * dim { Ok(()) } else { Err(Self::no_rows()) }
        };
        let rows = self.rows(&train)?;
        form(&rows, train.len())?;
        let rows = Rows::new(train.len(), dim, &rows).ok_or_else(Self::no_rows)?;
        let fitted = head::fit(&request, rows, &labels(&train))?;
        let rows = self.rows(&val)?;
        let rows = Rows::new(val.len(), dim, &rows).ok_or_else(Self::no_rows)?;
        let answers = fitted.head.predict(rows)?;
        let loss = |(i, &label): (usize, &u32)| {
            -answers.row(i)[label as usize].max(f64::MIN_POSITIVE).ln()
        };
        let losses = labels(&val).iter().enumerate().map(loss).collect();
        Ok(Judged { facts: self.facts.clone(), losses })
    }

    fn no_rows() -> TransferError {
        TransferError::Internal("features do not form rows".into())
    }

    /// The candidate's vectors of these samples.
    fn rows(&self, places: &[usize]) -> Result<Vec<f32>> {
        let EncoderFacts { features, layers, averaged, .. } = *self.facts;
        let all = self.extraction.dim() / (self.pools.len() * features).max(1);
        let pool = self.pools.iter().position(|pool| pool.name() == self.facts.pool);
        let pool = pool.ok_or_else(Self::no_rows)?;
        let mut wide = Vec::new();
        let mut rows = Vec::with_capacity(places.len() * features);
        for places in places.chunks(256) {
            wide.resize(places.len() * self.extraction.dim(), 0.0);
            self.extraction.read(places, &mut wide)?;
            for wide in wide.chunks_exact(self.extraction.dim()) {
                let layer = |l: usize| &wide[(pool * all + l) * features..][..features];
                let first = rows.len();
                rows.extend_from_slice(layer(layers - averaged));
                let row = &mut rows[first..];
                for l in layers - averaged + 1..layers {
                    row.iter_mut().zip(layer(l)).for_each(|(sum, x)| *sum += x);
                }
                let share = 1.0 / averaged as f32;
                row.iter_mut().for_each(|x| *x *= share);
                if self.facts.unit_length {
                    unit_length(row);
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn layers_and_pools_are_read_and_what_is_none_is_refused() {
        let asked = |layer, pool| Asked::new(layer, pool);
        assert_eq!(asked(None, None).unwrap(), Asked::default());
        assert_eq!(asked(Some("4"), None).unwrap().layer, Layer::At(4));
        assert_eq!(asked(Some("last-2"), None).unwrap().layer, Layer::MeanOfLast(2));
        assert!(asked(Some("auto"), Some("max")).unwrap().is_open());
        for wrong in ["0", "last-0", "last", "-1", "x"] {
            assert_eq!(asked(Some(wrong), None).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert!(asked(None, Some("median")).unwrap_err().to_string().contains("median"));
    }

    #[test]
    fn a_small_gain_is_no_reason_to_leave_the_last_layer() {
        let facts = || -> EncoderFacts {
            serde_json::from_value(serde_json::json!({
                "family": "bert", "vocabulary": 9, "longest": 9, "types": 1, "layers": 2,
                "features": 4, "heads": 2, "hidden": 4, "pool": "mean", "unit_length": false,
                "limit": 9, "lower_case": false, "tokenizer_sha256": "",
            }))
            .unwrap()
        };
        let judged = |losses: &[f64]| Judged { facts: facts(), losses: losses.to_vec() };
        let first = judged(&[1.0, 1.0, 1.0, 1.0]);
        assert!(judged(&[0.5, 0.6, 0.4, 0.5]).beats(&first));
        assert!(!judged(&[0.0, 2.0, 0.0, 1.9]).beats(&first));
        assert!(!first.beats(&judged(&[1.0; 4])));
        let all = Asked::new(Some("auto"), Some("auto")).unwrap().candidates(&facts()).unwrap();
        // Two layers and the mean of both, under three pools; the source's own first.
        assert_eq!(all.len(), 9);
        assert_eq!((all[0].layers, all[0].averaged, all[0].pool.as_str()), (2, 1, "mean"));
    }
}
