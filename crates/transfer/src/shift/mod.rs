//! `shift`: what kind of mismatch lies between two sets of data, how large, how sure, and what to do.
//!
//! Reads both sides, computes features of one network, and hands plain matrices to
//! [`offshoot_stats::shift::compare`], which a method that follows the prescription can call by itself.

pub mod document;
mod page;
mod properties;
pub(crate) mod sides;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_data::{ColumnNames, Dataset, Sample};
use offshoot_stats::shift::{Findings, Options, Set, compare};
use offshoot_stats::{distances, shift as stats};

use crate::cache::Cache;
use crate::documents::SCHEMA;
use crate::extract::{Extraction, extract};
use crate::plan::CachePlan;
use crate::precision::Precision;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError, durable};
pub(crate) use words::sentence;
pub use words::size as size_in_words;

use document::{
    Accuracies, ClassMoved, ConceptFound, FeaturesMoved, LabelShift, Measured, ShiftPrescription,
    ShiftReport, Side,
};

/// Where source samples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ShiftSource {
    /// A run's folder: its own network, and the samples that its head was fitted on.
    Run(PathBuf),
    /// Data, as in [`crate::TrainPlan::data`].
    Data(PathBuf),
}

/// `offshoot shift`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftPlan {
    /// What the target is compared with.
    pub source: ShiftSource,
    /// Data, with or without labels.
    pub target: PathBuf,
    /// As in [`crate::TrainPlan::columns`].
    pub columns: ColumnNames,
    /// The network, where the source is data.
    pub model: String,
    /// As in [`crate::TrainPlan::size`].
    pub size: Option<usize>,
    /// In which precision the network computes.
    pub precision: Precision,
    /// Samples of each side at most, drawn at random.
    pub samples: usize,
    /// Permutations behind each p-value.
    pub permutations: usize,
    /// A page to write.
    pub out: Option<PathBuf>,
    /// Samples a step of the network.
    pub batch: usize,
    /// Keys every random draw.
    pub seed: u64,
    /// Feature rows of earlier runs.
    pub cache: CachePlan,
}

/// Compares source and target.
///
/// # Errors
/// Fewer than two readable samples on a side; what reading and extraction refuse.
pub fn shift(plan: &ShiftPlan, observer: &mut dyn Observer) -> Result<ShiftReport> {
    let mut watch = Watch::new(observer);
    if plan.samples < 2 || plan.permutations < 19 {
        return Err(TransferError::usage(
            format!("{} samples and {} permutations", plan.samples, plan.permutations),
            "a comparison needs 2 samples a side, and 19 permutations to reach p = 0.05",
        ));
    }
    let sides::Opened { dataset: source, source: network } = sides::open_source(plan, &mut watch)?;
    let target = sides::open_target(plan, &source.classes, &mut watch)?;
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let rows = |dataset: &Dataset, watch: &mut Watch<'_>| {
        let total = dataset.samples.len();
        watch.phase(Phase::Extract, Some(total), |watch| {
            extract(&dataset.samples, &network, &cache, plan.batch, Phase::Extract, watch)
        })
    };
    let of_source = rows(&source, &mut watch)?;
    let of_target = rows(&target, &mut watch)?;
    let (source_samples, source_labels) = readable(&source, &of_source);
    let (target_samples, target_labels) = readable(&target, &of_target);
    let matrices =
        [of_source.gather(&of_source.readable())?, of_target.gather(&of_target.readable())?];
    let options = Options {
        distances: distances::Options {
            permutations: plan.permutations,
            seed: plan.seed,
            ..distances::Options::default()
        },
        ..Options::default()
    };
    let total = source_samples.len() + target_samples.len();
    let findings = watch.phase(Phase::Evaluate, Some(total), |watch| {
        watch.listening(|_| {
            let source = Set { rows: matrices[0].rows(), labels: &source_labels };
            let target = Set { rows: matrices[1].rows(), labels: &target_labels };
            compare(source, target, classes_of(&source_labels, &target_labels), &options)
        })
    })?;
    let findings = findings?;
    let properties = properties::compare(&source_samples, &target_samples, plan.seed);
    let side = |dataset: &Dataset, extraction: &Extraction, labels: &[Option<u32>], used| Side {
        name: dataset.name.clone(),
        samples: labels.len(),
        used,
        labelled: labels.iter().flatten().count(),
        unreadable: extraction.unreadable.len(),
    };
    let mut report = document(&findings, &source.classes);
    report.run = match &plan.source {
        ShiftSource::Run(path) => Some(path.clone()),
        ShiftSource::Data(_) => None,
    };
    report.model.clone_from(&network.name);
    report.dim = matrices[0].rows().d();
    report.source = side(&source, &of_source, &source_labels, findings.used[0]);
    report.target = side(&target, &of_target, &target_labels, findings.used[1]);
    report.properties = properties;
    report.warnings.clone_from(&watch.warnings);
    report.sentence = sentence(&report);
    report.seconds = watch.seconds();
    if let Some(path) = &plan.out {
        durable::write(path, page::render(&report)?.as_bytes())?;
    }
    Ok(report)
}

/// How many classes labels speak of.
fn classes_of(source: &[Option<u32>], target: &[Option<u32>]) -> usize {
    source.iter().chain(target).flatten().map(|&label| label as usize + 1).max().unwrap_or(0)
}

/// Samples that could be read, and their labels.
fn readable<'d>(
    dataset: &'d Dataset,
    extraction: &Extraction,
) -> (Vec<&'d Sample>, Vec<Option<u32>>) {
    let samples = extraction.readable().into_iter().map(|i| &dataset.samples[i]);
    samples.map(|sample| (sample, sample.label)).unzip()
}

/// The findings, with names for classes; what is not in them is left empty.
pub(crate) fn document(found: &Findings, classes: &[String]) -> ShiftReport {
    let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    let known = |value: f64| Some(value).filter(|v| v.is_finite());
    let labels = found.labels.as_ref();
    let verdict = &found.verdict;
    let mut p_values = BTreeMap::from([("inputs".to_string(), verdict.inputs_p)]);
    let others = [
        ("labels", verdict.labels_p),
        ("concept", verdict.concept_p),
        ("residual", labels.and_then(|l| l.residual_p)),
    ];
    p_values.extend(others.into_iter().filter_map(|(key, p)| Some((key.to_string(), p?))));
    let stats::Prescription { action, reason, then, weights } = found.prescription.clone();
    let empty = || Side { name: String::new(), samples: 0, used: 0, labelled: 0, unreadable: 0 };
    ShiftReport {
        schema: SCHEMA,
        command: "shift".into(),
        run: None,
        seconds: 0.0,
        model: String::new(),
        dim: 0,
        source: empty(),
        target: empty(),
        p_value: verdict.p_value,
        verdict: verdict.names().into_iter().map(String::from).collect(),
        sentence: String::new(),
        undecided: verdict.undecided,
        p_values,
        size: found.size(),
        prescription: ShiftPrescription {
            action,
            reason,
            then,
            weights: weights.into_iter().enumerate().map(|(c, w)| (name(c), w)).collect(),
        },
        measures: distances::all()
            .iter()
            .zip(&found.measures)
            .map(|(distance, measure)| Measured {
                name: distance.name.into(),
                summary: distance.summary.into(),
                value: measure.value,
                ci: measure.interval,
                chance: measure.chance,
                p_value: measure.p_value,
            })
            .collect(),
        accuracy: labels.map(|l| Accuracies {
            source: l.source_accuracy,
            target: l.target_accuracy,
            expected: l.expected_accuracy,
            own: l.own_accuracy,
        }),
        classes: found
            .classes
            .iter()
            .map(|c| ClassMoved {
                class: name(c.class),
                source_share: c.source,
                target_share: c.target,
                distance: c.distance,
                p_value: c.p_value,
                accuracy: c.accuracy,
                source_accuracy: c.source_accuracy,
            })
            .collect(),
        label_shift: labels.map(|l| {
            let shares = l.known.as_ref().unwrap_or(&l.estimate.shares);
            let apart = shares.iter().zip(&l.source).map(|(t, s)| (t - s).abs());
            LabelShift {
                estimator: l.estimate.name.into(),
                condition: known(l.estimate.condition),
                distance: 0.5 * apart.sum::<f64>(),
                answers_p_value: l.answers.p_value,
            }
        }),
        features: FeaturesMoved {
            moved: found.features.iter().filter(|f| f.p_value <= 0.05).count(),
            of: found.features.len(),
            most: found.features.iter().take(5).map(|f| (f.feature, f.difference)).collect(),
        },
        concept: found.concept.as_ref().map(|c| ConceptFound {
            overlap: c.overlap,
            source_error: known(c.source_error),
            target_error: known(c.target_error),
            own_error: known(c.own_error),
        }),
        properties: Vec::new(),
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_stats::Matrix;

    #[test]
    fn keys_are_those_that_were_promised() {
        let side = |shift: f32| {
            let value = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 + shift;
            Matrix::new(40, 3, (0..120).map(value).collect()).unwrap()
        };
        let (source, target) = (side(0.0), side(5.0));
        let labels: Vec<Option<u32>> = (0..40).map(|i| Some(i % 2)).collect();
        let distances = distances::Options { permutations: 99, ..distances::Options::default() };
        let found = compare(
            Set { rows: source.rows(), labels: &labels },
            Set { rows: target.rows(), labels: &[] },
            2,
            &Options { distances, ..Options::default() },
        )
        .unwrap();
        let report = document(&found, &["a".into(), "b".into()]);
        assert_eq!(report.verdict, ["covariate"]);
        let json = serde_json::to_value(&report).unwrap();
        let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let promised = [
            "accuracy",
            "classes",
            "command",
            "concept",
            "dim",
            "features",
            "label_shift",
            "measures",
            "model",
            "p_value",
            "p_values",
            "prescription",
            "properties",
            "run",
            "schema",
            "seconds",
            "sentence",
            "size",
            "source",
            "target",
            "undecided",
            "verdict",
            "warnings",
        ];
        assert_eq!(keys, promised);
        assert!(page::render(&report).unwrap().contains("align_features"));
    }
}
