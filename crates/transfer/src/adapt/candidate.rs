//! Everything that might be shipped: fitted, and asked about both sides.

use std::collections::BTreeMap;
use std::time::Instant;

use offshoot_data::Split;
use offshoot_stats::adaptation::changed;
use offshoot_stats::adapters::{Adapted, Adapter, Family, Options, Problem};
use offshoot_stats::heads::{Head, Limit, Linear};
use offshoot_stats::validators::{Evidence, Inputs, density_ratio};
use offshoot_stats::{Matrix, Probabilities, Rows};

use super::course::{AtHome, Features};
use super::domains::Domains;
use super::sides::Sides;
use crate::align::Moment;
use crate::extract::Extraction;
use crate::source::Source;
use crate::trust::calibrate::Labelled;
use crate::{Result, TransferError};

/// Feature rows of both sides in one network, gathered once.
pub struct Matrices {
    /// What methods are fitted to.
    pub train: Labelled,
    /// What the choice is made on.
    pub val: Labelled,
    /// Target samples that are adapted to, without labels.
    pub target: Matrix,
    /// Of the source's samples, where they are of several.
    pub domains: Option<Domains>,
}

impl Matrices {
    /// `target` are the readable samples that are adapted to.
    pub fn gather(
        sides: &Sides,
        of_source: &Extraction,
        of_target: &Extraction,
        target: &[usize],
        domains: Option<Domains>,
    ) -> Result<Self> {
        let samples = &sides.prepared.dataset.samples;
        let labelled = |split: Split| -> Result<Labelled> {
            let places = sides.prepared.of(split);
            let labels = places.iter().filter_map(|&i| samples[i].label).collect();
            Ok(Labelled { rows: of_source.gather(&places)?, labels })
        };
        let [train, val] = [labelled(Split::Train)?, labelled(Split::Val)?];
        Ok(Self { train, val, target: of_target.gather(target)?, domains })
    }

    /// Domains of training rows; `None` where there is one only.
    pub fn train_domains(&self) -> Option<&[u32]> {
        self.domains.as_ref().map(|domains| domains.train.as_slice())
    }

    /// Domains of validation rows.
    pub fn val_domains(&self) -> Option<&[u32]> {
        self.domains.as_ref().map(|domains| domains.val.as_slice())
    }

    /// Domains of the rows of [`Self::both`].
    pub fn both_domains(&self) -> Option<Vec<u32>> {
        let domains = self.domains.as_ref()?;
        Some([domains.train.as_slice(), &domains.val].concat())
    }

    /// Training and validation rows together.
    pub fn both(&self) -> Result<Labelled> {
        let (train, val) = (self.train.rows.rows(), self.val.rows.rows());
        let data = [train.data(), val.data()].concat();
        let rows = Matrix::new(train.n() + val.n(), train.d(), data)
            .ok_or_else(|| TransferError::Internal("source rows of two widths".into()))?;
        Ok(Labelled { rows, labels: [self.train.labels.as_slice(), &self.val.labels].concat() })
    }
}

/// What all candidates are judged by, in the features that all of them begin with, so that all are weighed alike.
pub struct Judges<'a> {
    /// Of held-out source samples.
    labels: &'a [u32],
    /// Of their densities in the target and in the source.
    ratio: Vec<f64>,
    /// Target samples.
    inputs: Inputs,
}

impl<'a> Judges<'a> {
    pub fn new(matrices: &'a Matrices, seed: u64) -> Result<Self> {
        let (held, target) = (matrices.val.rows.rows(), matrices.target.rows());
        Ok(Self {
            labels: &matrices.val.labels,
            ratio: density_ratio(held, target, seed)?,
            inputs: Inputs::new(target)?,
        })
    }

    /// The same with what all candidates are judged by.
    pub fn seen_by<'e>(&'e self, evidence: Evidence<'e>) -> Result<Evidence<'e>> {
        Ok(evidence.with_ratio(&self.ratio)?.with_inputs(&self.inputs)?)
    }
}

/// How a candidate came about.
pub enum Made {
    /// By a method on the features that there are.
    Shallow { adapter: &'static Adapter, adapted: Box<Adapted> },
    /// By tuning the network, whose features are others.
    Network(Box<Tuned>),
}

/// A tuned network and its features of both sides.
pub struct Tuned {
    pub source: Source,
    pub of_source: Extraction,
    pub of_target: Extraction,
}

/// A fitted method and what it says of both sides.
pub struct Candidate {
    pub name: String,
    pub summary: String,
    pub made: Made,
    /// On raw source features of its network.
    pub of_source: Head,
    /// On raw target features of its network.
    pub of_target: Head,
    /// Answers for held-out source samples.
    pub source: Probabilities,
    /// Answers for target samples.
    pub target: Probabilities,
    /// What its last layer sees of them.
    rows: [Matrix; 2],
    pub facts: BTreeMap<String, f64>,
    /// Of a tuned network, epoch by epoch.
    pub course: Vec<Moment>,
    pub seconds: f64,
}

impl Candidate {
    /// Fits a shallow method to the training rows of `given`, and asks it about the validation rows of `matrices`.
    /// `lambda` is that of the source's head.
    pub fn shallow(
        adapter: &'static Adapter,
        given: &Matrices,
        matrices: &Matrices,
        n_classes: usize,
        lambda: Option<f64>,
        seed: u64,
        limit: Limit,
    ) -> Result<Self> {
        let begun = Instant::now();
        let Matrices { val, target, .. } = matrices;
        let train = &given.train;
        let (domains, held) = (given.train_domains(), matrices.val_domains());
        let (target, val) = (target.rows(), val.rows.rows());
        let adapted = fit(adapter, train, domains, n_classes, target, lambda, seed, limit)?;
        let (of_source, of_target) = (adapted.of_source(), adapted.of_target());
        let (source, said) = (adapted.answers(val, held)?, of_target.predict(target)?);
        let rows = [adapted.shown(val, held)?, adapted.target.apply(target)?];
        let facts = adapted.facts.clone();
        Ok(Self {
            name: adapter.name.into(),
            summary: adapter.summary.into(),
            made: Made::Shallow { adapter, adapted: Box::new(adapted) },
            of_source,
            of_target,
            source,
            target: said,
            rows,
            facts,
            course: Vec::new(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// A network that the method `by` tuned, with its head, asked about the samples that others are asked about.
    #[expect(clippy::too_many_arguments, reason = "a state's parts, each of its own type")]
    pub fn network(
        by: &str,
        name: String,
        tuned: Tuned,
        head: Linear,
        facts: BTreeMap<String, f64>,
        seconds: f64,
        sides: &Sides,
        features: &Features,
    ) -> Result<Self> {
        let val = tuned.of_source.gather(&sides.prepared.of(Split::Val))?;
        let target = tuned.of_target.gather(&features.adapting)?;
        let head = Head::Linear(head);
        // Without its options in brackets, such as a weight.
        let term = match by.strip_suffix(')').and_then(|by| by.split_once('(')) {
            Some((term, options)) if !options.contains(')') => term,
            _ => by,
        };
        let known = super::method::methods().into_iter().find(|method| method.name == term);
        let summary = known.map_or_else(
            || "the network is tuned with several terms of alignment".to_string(),
            |method| method.summary.to_string(),
        );
        Ok(Self {
            name,
            summary,
            source: head.predict(val.rows())?,
            target: head.predict(target.rows())?,
            rows: [val, target],
            of_source: head.clone(),
            of_target: head,
            made: Made::Network(Box::new(tuned)),
            facts,
            course: Vec::new(),
            seconds,
        })
    }

    /// The network and the features of both sides on which its heads work.
    pub fn place<'a>(
        &'a self,
        features: &'a Features,
    ) -> (&'a Source, &'a Extraction, &'a Extraction) {
        match &self.made {
            Made::Network(tuned) => (&tuned.source, &tuned.of_source, &tuned.of_target),
            Made::Shallow { .. } => (&features.source, &features.of_source, &features.of_target),
        }
    }

    /// What it answers for source rows by.
    pub fn at_home(&self) -> AtHome {
        match &self.made {
            Made::Network(_) => AtHome::Network(self.of_source.clone()),
            Made::Shallow { adapted, .. } => AtHome::Shallow(adapted.clone()),
        }
    }

    /// The strength of its head, where it has one.
    pub fn lambda(&self) -> Option<f64> {
        self.facts.get("lambda").copied()
    }

    /// `nothing`, `align`, `reweight`, `labels`, `transport`, `domains` or `network`.
    pub fn family(&self) -> &'static str {
        match &self.made {
            Made::Network(_) => "network",
            Made::Shallow { adapter, .. } => match adapter.family {
                Family::Nothing => "nothing",
                Family::Align => "align",
                Family::Reweight => "reweight",
                Family::Labels => "labels",
                Family::Transport => "transport",
                Family::Domains => "domains",
            },
        }
    }

    /// What validators and vetoes look at.
    pub fn evidence<'a>(&'a self, judges: &'a Judges<'a>, seed: u64) -> Result<Evidence<'a>> {
        let rows = self.rows.each_ref().map(Matrix::rows);
        judges.seen_by(Evidence::new(&self.source, judges.labels, &self.target, rows, seed)?)
    }

    /// Share of rows that get another answer than from `other`.
    pub fn changed(&self, other: &Probabilities) -> f64 {
        changed(&self.target, other)
    }
}

/// Fits a method to these rows, of these domains where there are several.
#[expect(clippy::too_many_arguments, reason = "a problem's parts, each of its own type")]
pub fn fit(
    adapter: &Adapter,
    source: &Labelled,
    domains: Option<&[u32]>,
    n_classes: usize,
    target: Rows<'_>,
    lambda: Option<f64>,
    seed: u64,
    limit: Limit,
) -> Result<Adapted> {
    let problem = Problem::new(source.rows.rows(), &source.labels, n_classes, target, seed)?;
    let problem = problem.with_limit(limit);
    let problem = match domains {
        Some(domains) => problem.with_domains(domains)?,
        None => problem,
    };
    let problem = match lambda {
        Some(lambda) => problem.with_lambda(lambda),
        None => problem,
    };
    Ok(adapter.fit(&problem, &Options::default())?)
}
