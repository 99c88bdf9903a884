//! The two sides of an adaptation: labelled samples of the source, samples of the target, and the network.

use std::collections::BTreeSet;
use std::path::Path;

use offshoot_data::{Dataset, Sample, Split};

use super::plan::{AdaptPlan, Classes, TEST};
use crate::check;
use crate::documents::DataProblem;
use crate::prepare::{Prepared, doctor, open, open_unlabelled, prepare, prepare_read};
use crate::run::RunFolder;
use crate::shift::sides::{UNKNOWN, name_labels, own_plan};
use crate::source::Source;
use crate::train::evaluate::{foreign, relabel};
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, layers, train};

/// Samples of a tuned run's test split that each class needs, so that it alone stands for the source.
const HELD_OUT_EACH: usize = 10;
/// Share of them on which the choice is made.
const HELD_OUT_VAL: f64 = 0.3;

/// Data of both sides.
pub struct Sides {
    /// The source's samples: all labelled, each in a split. The choice is made on `Val`; `Test` only says how
    /// right the classifier is at home.
    pub prepared: Prepared,
    /// The target.
    pub target: Target,
    /// The network and classifier of the run that is the source.
    pub own: Option<Own>,
}

/// What a run brings along.
pub struct Own {
    pub trained: Trained,
    pub source: Source,
}

/// The target's samples. Their labels are read by two functions alone, after everything has been chosen.
pub struct Target {
    pub dataset: Dataset,
    pub problems: Vec<DataProblem>,
    /// Samples whose label names a class that the source does not have, where there may be such.
    pub foreign: BTreeSet<usize>,
}

impl Target {
    /// Copies of the samples without their labels.
    pub fn unlabelled(&self) -> Vec<Sample> {
        self.dataset.samples.iter().map(|s| Sample { label: None, ..s.clone() }).collect()
    }

    /// Whether the data names a test split of its own that can judge.
    fn names_test(&self) -> bool {
        let judges = |(i, s): (usize, &Sample)| {
            s.split == Some(Split::Test) && (s.label.is_some() || self.foreign.contains(&i))
        };
        self.dataset.samples.iter().enumerate().any(judges)
    }

    /// Samples that are adapted to: all, or where the data names a test split all others.
    pub fn adapting(&self) -> Vec<usize> {
        let named = self.names_test();
        let samples = self.dataset.samples.iter().enumerate();
        samples.filter(|(_, s)| !(named && s.split == Some(Split::Test))).map(|(i, _)| i).collect()
    }

    /// Samples whose labels judge: all that are labelled, or those of the test split that the data names.
    pub fn judging(&self) -> Vec<usize> {
        let named = self.names_test();
        let judges = |s: &Sample| s.label.is_some() && (!named || s.split == Some(Split::Test));
        let samples = self.dataset.samples.iter().enumerate();
        samples.filter(|(_, s)| judges(s)).map(|(i, _)| i).collect()
    }

    /// Samples that are known to be of no class of the source, among those that judge.
    pub fn foreign(&self) -> Vec<usize> {
        let named = self.names_test();
        let judges = |&&i: &&usize| !named || self.dataset.samples[i].split == Some(Split::Test);
        self.foreign.iter().filter(judges).copied().collect()
    }

    /// Whether samples that judge are adapted to as well.
    pub fn is_transductive(&self) -> bool {
        !self.names_test()
    }
}

/// Reads and checks both sides.
pub fn read(plan: &AdaptPlan, watch: &mut Watch<'_>) -> Result<Sides> {
    let (prepared, own, dataset) = match (&plan.source_run, &plan.target_domain) {
        (Some(run), _) => {
            let (prepared, own) = of_run(run, watch)?;
            (prepared, Some(own), None)
        }
        (None, Some(domain)) => {
            let (source, target) = by_domain(plan, domain, watch)?;
            (prepare_read(&plan.training, source, watch)?, None, Some(target))
        }
        (None, None) => (prepare(&plan.training, watch)?, None, None),
    };
    if prepared.of(Split::Val).is_empty() {
        return Err(TransferError::BadData(format!(
            "{}: no validation sample is left to choose on; a few hundred labelled samples would do",
            prepared.dataset.name
        )));
    }
    let mut dataset = match (dataset, &plan.target) {
        (Some(dataset), _) => dataset,
        (None, Some(path)) => {
            let columns = &plan.training.columns;
            watch.phase(Phase::Read, None, |watch| open_unlabelled(path, columns, watch))?
        }
        (None, None) => return Err(TransferError::Internal("no target was named".into())),
    };
    let (foreign, fate) = match plan.classes {
        Classes::Open => (
            foreign(&dataset, &prepared.dataset.classes),
            "their labels judge what is called unknown, and nothing else",
        ),
        Classes::Same | Classes::Partial => (BTreeSet::new(), UNKNOWN),
    };
    name_labels(&mut dataset, &prepared.dataset.classes, fate, watch)?;
    let check::Findings { problems, .. } = doctor(&dataset, watch)?;
    let target = Target { dataset, problems, foreign };
    if target.adapting().len() < 2 {
        return Err(TransferError::BadData(format!(
            "{}: fewer than two samples to adapt to",
            target.dataset.name
        )));
    }
    Ok(Sides { prepared, target, own })
}

/// Opens the network: the run's own, or that of the plan.
pub fn network(
    plan: &AdaptPlan,
    sides: &mut Sides,
    watch: &mut Watch<'_>,
) -> Result<(Source, Option<Trained>)> {
    if let Some(Own { trained, source }) = sides.own.take() {
        return Ok((source, Some(trained)));
    }
    let source = train::source_of(&plan.training, &sides.prepared, watch)?;
    let training = &plan.training;
    let asked = layers::Asked::new(training.layer.as_deref(), training.pooling.as_deref())?;
    Ok((layers::fixed(asked, source)?, None))
}

/// One data set whose domains are the two sides.
fn by_domain(plan: &AdaptPlan, domain: &str, watch: &mut Watch<'_>) -> Result<(Dataset, Dataset)> {
    let training = &plan.training;
    let all =
        watch.phase(Phase::Read, None, |watch| open(&training.data, &training.columns, watch))?;
    let known: BTreeSet<&str> = all.samples.iter().filter_map(|s| s.domain.as_deref()).collect();
    if !known.contains(domain) {
        return Err(TransferError::usage(
            format!("{} has no domain `{domain}`", all.name),
            match known.is_empty() {
                true => "it names none: a manifest or table needs a column `domain`".into(),
                false => format!("it has {}", known.into_iter().collect::<Vec<_>>().join(", ")),
            },
        ));
    }
    let others: Vec<String> = known.iter().filter(|d| **d != domain).map(|d| (*d).into()).collect();
    if others.is_empty() {
        return Err(TransferError::usage(
            format!("{} has no other domain than `{domain}`", all.name),
            "the source is every other domain",
        ));
    }
    let side = |name: String, of_target: bool| Dataset {
        name,
        samples: all
            .samples
            .iter()
            .filter(|s| (s.domain.as_deref() == Some(domain)) == of_target)
            .cloned()
            .collect(),
        ..all.clone()
    };
    let mut source = side(others.join("+"), false);
    // Classes that only the target has are none that a source's classifier could give.
    let present: BTreeSet<u32> = source.samples.iter().filter_map(|s| s.label).collect();
    let classes: Vec<String> =
        present.iter().filter_map(|&l| all.classes.get(l as usize).cloned()).collect();
    if classes.len() < 2 {
        return Err(TransferError::BadData(format!(
            "{}: the domains beside `{domain}` have labels of {} class; a classifier needs two",
            all.name,
            classes.len()
        )));
    }
    relabel(&mut source, &classes)?;
    Ok((source, side(domain.into(), true)))
}

/// A run's own network, classifier and data. Where the network was tuned, features of what it learnt from look
/// unlike those of any new sample, so its test split stands for the source where that suffices.
fn of_run(path: &Path, watch: &mut Watch<'_>) -> Result<(Prepared, Own)> {
    let (folder, record) = RunFolder::open(path)?;
    let own = own_plan(&folder, &record)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut prepared = prepare(&own, watch).map_err(|error| match error {
        TransferError::Data(_) | TransferError::Io { .. } => TransferError::usage(
            format!("the data of run `{}` cannot be read any more: {error}", record.name),
            "an adaptation needs the source's labelled samples: name their data as SOURCE, and the model by --model",
        ),
        other => other,
    })?;
    relabel(&mut prepared.dataset, &trained.classes)?;
    if record.model.tuned_from_sha256.is_some() {
        let test = prepared.of(Split::Test);
        let mut each = vec![0; trained.classes.len()];
        for &i in &test {
            if let Some(label) = prepared.dataset.samples[i].label {
                each[label as usize] += 1;
            }
        }
        if each.iter().all(|&n| n >= HELD_OUT_EACH) {
            watch.chose("the run tuned its network, so its test split stands for the source")?;
            prepared.dataset.samples.retain(|s| s.split == Some(Split::Test));
            prepared.dataset.samples.iter_mut().for_each(|s| s.split = None);
            let seed = own.seed;
            check::assign_splits(
                &mut prepared.dataset,
                Vec::new(),
                seed,
                HELD_OUT_VAL,
                TEST,
                watch,
            )?;
        } else {
            watch.warn(
                "the run tuned its network on the samples that stand for the source, so that these look surer \
                 than any new one; its test split is too small to take their place",
            )?;
        }
    }
    Ok((prepared, Own { trained, source }))
}
