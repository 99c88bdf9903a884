//! Features of every sample, once: looked up in the cache, or computed and kept there.
//!
//! While the network works on one batch, the next one is read, hashed, decoded and resized beside
//! it. Memory follows the batch: rows go to the cache in chunks and are read back on demand.

mod command;
mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use offshoot_data::{Dataset, Input, Sample};
use offshoot_stats::Matrix;
use rayon::prelude::*;

use crate::cache::{Cache, RowStore};
use crate::digest::Sha;
use crate::documents::DataProblem;
use crate::inputs::Ready;
use crate::pictures::Unreadable;
use crate::report::words::percent;
use crate::source::{Part, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};
pub use command::extract as extract_command;
pub use file::write as write_features;

/// A run goes on while at most this share of the samples is unreadable.
pub const ALLOWED_PERCENT: usize = 20;

/// Where the feature row of every sample is.
#[derive(Debug, Default)]
pub struct Extraction {
    columns: Vec<Columns>,
    /// sha256 of each sample's content, in the samples' order; `None` where it is unreadable.
    pub keys: Vec<Option<Sha>>,
    /// What could not be read.
    pub unreadable: Vec<DataProblem>,
    /// Rows that were there before.
    pub cached: usize,
    /// Rows that the network computed.
    pub computed: usize,
    /// Texts among them that were longer than the encoder reads.
    pub cut: usize,
    /// Tokens of all computed texts that were read, and about how many were not.
    pub tokens: [usize; 2],
}

/// The features of one source, and what they are multiplied by.
#[derive(Debug, Clone)]
struct Columns {
    rows: Arc<RowStore>,
    scale: f32,
}

impl Columns {
    fn of(rows: RowStore) -> Vec<Self> {
        vec![Self { rows: Arc::new(rows), scale: 1.0 }]
    }
}

impl Extraction {
    /// Values a row.
    pub fn dim(&self) -> usize {
        self.columns.iter().map(|columns| columns.rows.dim()).sum()
    }

    /// Of these samples, whose features these are: names, labels, splits, domains and content.
    pub fn sha(&self, dataset: &Dataset) -> Sha {
        let mut texts: Vec<String> = dataset.classes.clone();
        for (sample, key) in dataset.samples.iter().zip(&self.keys) {
            let Sample { id, label, split, domain, group, .. } = sample;
            texts.push(format!("{id:?} {label:?} {split:?} {domain:?} {group:?} {key:?}"));
        }
        Sha::of_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Values that each source adds to a row.
    pub fn widths(&self) -> Vec<usize> {
        self.columns.iter().map(|columns| columns.rows.dim()).collect()
    }

    /// The same where there are several sources; empty for one.
    pub fn blocks(&self) -> Vec<usize> {
        if self.columns.len() > 1 { self.widths() } else { Vec::new() }
    }

    /// The rows of these samples. All of them must be readable.
    pub fn gather(&self, samples: &[usize]) -> Result<Matrix> {
        let mut data = vec![0.0; samples.len() * self.dim()];
        self.read(samples, &mut data)?;
        Matrix::new(samples.len(), self.dim(), data)
            .ok_or_else(|| TransferError::Internal("feature rows do not form a matrix".into()))
    }

    /// Copies the rows of these samples into `out`, `[samples, dim]`.
    pub fn read(&self, samples: &[usize], out: &mut [f32]) -> Result<()> {
        let keys = self.keys_of(samples)?;
        if let [Columns { rows, scale: 1.0 }] = self.columns.as_slice() {
            return rows.read(&keys, out);
        }
        let mut at = 0;
        for Columns { rows, scale } in &self.columns {
            let own = rows.gather(&keys)?;
            let own = own.rows();
            for (out, own) in out.chunks_exact_mut(self.dim()).zip(own.data().chunks(own.d())) {
                let out = &mut out[at..at + own.len()];
                out.iter_mut().zip(own).for_each(|(out, value)| *out = scale * value);
            }
            at += own.d();
        }
        Ok(())
    }

    /// The features of some of the sources, multiplied by `scales`.
    pub fn select(&self, sources: &[usize], scales: &[f32]) -> Self {
        let columns = sources.iter().zip(scales);
        let columns =
            columns.map(|(&at, &scale)| Columns { scale, ..self.columns[at].clone() }).collect();
        Self { columns, keys: self.keys.clone(), unreadable: self.unreadable.clone(), ..*self }
    }

    /// Features of several sources side by side, of the samples that all of them can read.
    fn joined(each: Vec<Self>, parts: &[Part]) -> Self {
        let mut joined = Self::default();
        for (own, part) in each.into_iter().zip(parts) {
            joined.columns.extend(
                own.columns.into_iter().map(|columns| Columns { scale: part.scale, ..columns }),
            );
            if joined.keys.is_empty() {
                joined.keys = own.keys;
            } else {
                let pairs = joined.keys.iter_mut().zip(own.keys);
                pairs.filter(|(_, own)| own.is_none()).for_each(|(key, _)| *key = None);
            }
            for problem in own.unreadable {
                if !joined.unreadable.iter().any(|p| p.path == problem.path) {
                    joined.unreadable.push(problem);
                }
            }
            joined.cached += own.cached;
            joined.computed += own.computed;
            joined.cut += own.cut;
            joined.tokens = [0, 1].map(|k| joined.tokens[k] + own.tokens[k]);
        }
        joined
    }

    /// The same of some of the samples, all of them readable; `None` where a row is not in the cache any more.
    pub fn part(&self, source: &Source, cache: &Cache, samples: &[usize]) -> Result<Option<Self>> {
        let keys = self.keys_of(samples)?;
        let rows = cache.rows(&source.scope, self.dim())?;
        if !keys.iter().all(|key| rows.contains(key)) {
            return Ok(None);
        }
        Ok(Some(Self {
            columns: Columns::of(rows),
            cached: keys.len(),
            keys: keys.into_iter().map(Some).collect(),
            unreadable: Vec::new(),
            computed: 0,
            cut: 0,
            tokens: [0; 2],
        }))
    }

    /// Indices of the readable samples.
    pub fn readable(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|&i| self.keys[i].is_some()).collect()
    }

    /// sha256 of a readable sample's content.
    pub fn key(&self, sample: usize) -> Result<Sha> {
        let key = self.keys.get(sample).copied().flatten();
        key.ok_or_else(|| TransferError::Internal(format!("sample {sample} has no features")))
    }

    fn keys_of(&self, samples: &[usize]) -> Result<Vec<Sha>> {
        samples.iter().map(|&sample| self.key(sample)).collect()
    }
}

/// A sample on its way to the network.
enum Prepared {
    /// Its row is in the cache.
    Cached(Sha),
    /// As the network reads it.
    Ready(Sha, Ready),
    /// Could not be read.
    Bad(Unreadable),
}

/// Computes or finds the features of `samples`, `batch` at a time.
///
/// # Errors
/// [`TransferError::TooManyUnreadable`] as soon as more than 20 % of the samples cannot be read;
/// [`TransferError::Stopped`] when the observer asks for it, after finished rows are on disk.
pub fn extract(
    samples: &[Sample],
    source: &Source,
    cache: &Cache,
    batch: usize,
    phase: Phase,
    watch: &mut Watch<'_>,
) -> Result<Extraction> {
    if !source.parts.is_empty() {
        let one = |part: &Part| extract(samples, &part.source, cache, batch, phase, watch);
        let each = source.parts.iter().map(one).collect::<Result<Vec<_>>>()?;
        return Ok(Extraction::joined(each, &source.parts));
    }
    source.inputs.refuse_others(&source.name, samples)?;
    refuse_vectors(samples, source)?;
    let mut rows = cache.rows(&source.scope, source.engine.dim())?;
    let mut extraction =
        Extraction { keys: Vec::with_capacity(samples.len()), ..Extraction::default() };
    let step = source.engine.step(batch);
    let result = run(samples, source, cache, step, phase, watch, (&mut rows, &mut extraction));
    // Whatever ended the loop, finished rows are kept.
    let flushed = rows.flush();
    warn_of_damage(&rows, watch)?;
    result?;
    flushed?;
    extraction.columns = Columns::of(rows);
    cache.evict();
    watch.note(&format!(
        "{}: {} rows computed, {} from the cache, {} unreadable",
        source.name,
        extraction.computed,
        extraction.cached,
        extraction.unreadable.len()
    ))?;
    if extraction.cut > 0 {
        let [read, left] = extraction.tokens.map(|tokens| tokens as f64);
        watch.warn(format!(
            "{} of {} texts are longer than `{}` reads; the end of them has no say ({} of all tokens)",
            extraction.cut,
            extraction.computed,
            source.name,
            percent(left / (read + left))
        ))?;
    }
    Ok(extraction)
}

/// Names the chunks of the cache that did not match their checksum.
pub fn warn_of_damage(rows: &RowStore, watch: &mut Watch<'_>) -> Result<()> {
    for damaged in rows.damaged() {
        let damaged = damaged.display();
        watch.warn(format!("cache chunk {damaged} was damaged; its rows are computed again"))?;
    }
    Ok(())
}

fn run(
    samples: &[Sample],
    source: &Source,
    cache: &Cache,
    batch: usize,
    phase: Phase,
    watch: &mut Watch<'_>,
    (rows, extraction): (&mut RowStore, &mut Extraction),
) -> Result<()> {
    let mut batches = samples.chunks(batch);
    let mut current = match batches.next() {
        Some(first) => prepare(first, source, rows),
        None => return Ok(()),
    };
    let mut next = batches.next();
    let mut start = 0;
    loop {
        let (keys, inputs) = take_batch(&current);
        for input in &inputs {
            let Ready::Tokens(text) = input else { continue };
            extraction.cut += usize::from(text.cut);
            extraction.tokens[0] += text.ids.len();
            extraction.tokens[1] += text.left;
        }
        // The network's work and the next batch's reading and decoding share the pool.
        let (prepared, features) = rayon::join(
            || next.map(|samples| prepare(samples, source, rows)),
            || compute(source, &inputs),
        );
        record(extraction, samples, start, &current);
        start += current.len();
        extraction.computed += keys.len();
        if rows.push(&keys, &features?)? {
            cache.evict();
        }
        refuse_if_too_many(extraction, samples.len())?;
        watch.progress(phase, start, samples.len(), extraction.cached)?;
        match prepared {
            Some(prepared) => current = prepared,
            None => return Ok(()),
        }
        next = batches.next();
    }
}

fn compute(source: &Source, inputs: &[&Ready]) -> Result<Vec<f32>> {
    let mut features = vec![0.0; inputs.len() * source.engine.dim()];
    if !inputs.is_empty() {
        source.engine.run(inputs, &mut features)?;
    }
    match features.iter().position(|v| !v.is_finite()) {
        None => Ok(features),
        Some(_) => Err(TransferError::Diverged(format!(
            "`{}` gave a feature that is not finite; its weights are damaged or do not fit",
            source.name
        ))),
    }
}

/// Reads, hashes, looks up and, where needed, decodes samples, in parallel and in order.
fn prepare(samples: &[Sample], source: &Source, rows: &RowStore) -> Vec<Prepared> {
    let one = |sample: &Sample| -> std::result::Result<Prepared, Unreadable> {
        let content = source.inputs.read(&sample.input)?;
        let key = content.sha();
        if rows.contains(&key) {
            return Ok(Prepared::Cached(key));
        }
        Ok(Prepared::Ready(key, source.inputs.ready(content)?))
    };
    samples.par_iter().map(|s| one(s).unwrap_or_else(Prepared::Bad)).collect()
}

/// The keys and the inputs of what needs the network. A content that occurs twice in a batch is
/// computed once.
fn take_batch(prepared: &[Prepared]) -> (Vec<Sha>, Vec<&Ready>) {
    let ready: BTreeMap<Sha, &Ready> = prepared
        .iter()
        .filter_map(|p| match p {
            Prepared::Ready(key, input) => Some((*key, input)),
            _ => None,
        })
        .collect();
    ready.into_iter().unzip()
}

fn record(extraction: &mut Extraction, samples: &[Sample], start: usize, batch: &[Prepared]) {
    for (sample, prepared) in samples[start..].iter().zip(batch) {
        extraction.keys.push(match prepared {
            Prepared::Cached(key) => {
                extraction.cached += 1;
                Some(*key)
            }
            Prepared::Ready(key, _) => Some(*key),
            Prepared::Bad(reason) => {
                extraction.unreadable.push(DataProblem {
                    path: sample.id.clone(),
                    kind: reason.kind.clone(),
                    severity: "error".into(),
                    detail: reason.detail.clone(),
                });
                None
            }
        });
    }
}

fn refuse_if_too_many(extraction: &Extraction, total: usize) -> Result<()> {
    let bad = extraction.unreadable.len();
    if bad * 100 <= total * ALLOWED_PERCENT {
        return Ok(());
    }
    let first = &extraction.unreadable[0];
    Err(TransferError::TooManyUnreadable {
        bad,
        total,
        allowed_percent: ALLOWED_PERCENT as u32,
        first: format!("{}: {}", first.path, first.detail),
    })
}

/// Vectors that the data already holds must be as long as what the source takes.
fn refuse_vectors(samples: &[Sample], source: &Source) -> Result<()> {
    if vector_length(samples)?.is_none() {
        return Ok(());
    }
    let first = samples.first().and_then(|first| {
        let ready = source.inputs.prepare(&first.input).ok()?;
        Some((first, source.engine.refuses(&ready)?))
    });
    match first {
        None => Ok(()),
        Some((sample, reason)) => Err(TransferError::BadData(format!("{}: {reason}", sample.id))),
    }
}

/// Only samples that hold pictures (or vectors) of one kind can go through one source.
pub fn vector_length(samples: &[Sample]) -> Result<Option<usize>> {
    let length = |s: &Sample| match &s.input {
        Input::Vector(v) => Some(v.len()),
        _ => None,
    };
    let first = samples.first().and_then(length);
    match samples.iter().find(|s| length(s) != first) {
        None => Ok(first),
        Some(other) => Err(TransferError::BadData(format!(
            "{}: feature vectors of one length were expected (first {first:?}, here {:?})",
            other.id,
            length(other)
        ))),
    }
}
