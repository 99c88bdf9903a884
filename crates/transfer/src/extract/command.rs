//! `extract`: features of every readable sample, into the cache and a file.

use std::path::Path;

use super::{extract as run, vector_length, write_features};
use crate::cache::Cache;
use crate::documents::{ExtractReport, SCHEMA};
use crate::plan::{ExtractPlan, FeatureFormat};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError, layers, precision, source};

/// Features of every readable sample, into the cache and a file. Samples need no labels.
pub fn extract(plan: &ExtractPlan, observer: &mut dyn Observer) -> Result<ExtractReport> {
    let mut watch = Watch::new(observer);
    let out = match &plan.out {
        Some(path) => Some((path, format_of(path)?)),
        None => None,
    };
    let mut dataset = watch
        .phase(Phase::Read, None, |watch| crate::prepare::open(&plan.data, &plan.columns, watch))?;
    let mut source =
        watch.phase(Phase::Load, None, |_| match vector_length(&dataset.samples)? {
            Some(dim) => Ok(source::vectors(dim)),
            None => source::open_at(&plan.model, plan.size, plan.seed),
        })?;
    for note in &source.notes {
        watch.note(note)?;
    }
    let asked = layers::Asked::new(plan.layer.as_deref(), plan.pooling.as_deref())?;
    source = layers::fixed(asked, source)?;
    // Of all samples, so that every shard decides alike.
    precision::settle(&mut source, plan.precision, &dataset.samples, &mut watch)?;
    if let Some((part, parts)) = plan.shard {
        if part >= parts {
            return Err(TransferError::usage(
                format!("shard {part} of {parts}"),
                "parts are counted from 0: 0/4, 1/4, 2/4, 3/4",
            ));
        }
        let samples = std::mem::take(&mut dataset.samples).into_iter();
        dataset.samples = samples.skip(part).step_by(parts).collect();
    }
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let total = dataset.samples.len();
    let extraction = watch.phase(Phase::Extract, Some(total), |watch| {
        run(&dataset.samples, &source, &cache, plan.batch, Phase::Extract, watch)
    })?;
    let mut rows = extraction.readable().len();
    if let Some((path, format)) = out {
        rows = watch.phase(Phase::Export, Some(rows), |_| {
            write_features(path, format, &dataset.samples, &extraction)
        })?;
    }
    Ok(ExtractReport {
        schema: SCHEMA,
        command: "extract".into(),
        run: None,
        seconds: watch.seconds(),
        model: source.name.clone(),
        precision: source.facts.precision.clone(),
        rows,
        dim: extraction.dim(),
        cached: extraction.cached,
        computed: extraction.computed,
        unreadable: extraction.unreadable,
        out: plan.out.clone(),
    })
}

fn format_of(path: &Path) -> Result<FeatureFormat> {
    FeatureFormat::of(path).ok_or_else(|| {
        TransferError::usage(
            format!("{}: unknown form of features", path.display()),
            "the name ends in .npz or .safetensors",
        )
    })
}
