//! Domains of the source: what each is to the target and to the others, found without the target's labels.

use std::collections::BTreeMap;

use offshoot_data::Split;
use offshoot_stats::adaptation::{self, choose};
use offshoot_stats::adapters::{Options, Problem, nearness};
use offshoot_stats::heads::Head;
use offshoot_stats::validators::Evidence;
use offshoot_stats::{Matrix, Probabilities};

use super::candidate::{Candidate, Judges, Made, Matrices};
use super::document::DomainReport;
use super::judge::Judged;
use crate::guard::document::Gap;
use crate::guard::gap::gap;
use crate::prepare::Prepared;
use crate::{Result, TransferError};

/// Training samples below which a domain has no statistics worth the name; such domains are joined.
const FEWEST: usize = 20;
/// What the joined domains are called, and samples of which no domain is known.
const OTHERS: &str = "others";
/// Domains that are left out in turn, at most: each takes a fit and a look at the target.
const LEFT_OUT: usize = 12;

/// Which domain each sample of the source is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Domains {
    /// In alphabetical order.
    pub names: Vec<String>,
    /// Of every sample of the source.
    all: Vec<u32>,
    /// Of training rows.
    pub train: Vec<u32>,
    /// Of validation rows.
    pub val: Vec<u32>,
}

impl Domains {
    /// `None` where all samples are of one.
    pub fn of(prepared: &Prepared) -> Option<Self> {
        let samples = &prepared.dataset.samples;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for sample in samples.iter().filter(|s| s.split == Some(Split::Train)) {
            if let Some(domain) = &sample.domain {
                *counts.entry(domain).or_default() += 1;
            }
        }
        counts.retain(|_, n| *n >= FEWEST);
        let mut names: Vec<String> = counts.keys().map(|name| (*name).to_string()).collect();
        let known = |domain: Option<&str>| domain.is_some_and(|d| counts.contains_key(d));
        let joined = samples
            .iter()
            .filter(|s| s.split == Some(Split::Train) && !known(s.domain.as_deref()))
            .count();
        if joined > 0 && !names.iter().any(|name| name == OTHERS) {
            names.push(OTHERS.into());
        }
        if names.len() < 2 {
            return None;
        }
        let last = names.len() - 1;
        let place = |domain: Option<&str>| {
            let found = names.iter().position(|name| Some(name.as_str()) == domain);
            found.or_else(|| names.iter().position(|name| name == OTHERS)).unwrap_or(last) as u32
        };
        let all: Vec<u32> = samples.iter().map(|s| place(s.domain.as_deref())).collect();
        let of = |split| prepared.of(split).into_iter().map(|i| all[i]).collect();
        let (train, val) = (of(Split::Train), of(Split::Val));
        Some(Self { names, train, val, all })
    }

    /// Of these samples of the source.
    pub fn at(&self, samples: &[usize]) -> Vec<u32> {
        samples.iter().map(|&i| self.all[i]).collect()
    }
}

/// What was found of a domain.
pub struct Measured {
    told: DomainReport,
    /// The source's head without it, on raw features.
    pub without: Option<Head>,
}

/// Looks at every domain: how near it is, how it is recognised, and what is lost and gained without it.
/// `shipped` is the place of what was chosen.
pub fn measure(
    matrices: &Matrices,
    candidates: &[Candidate],
    shipped: usize,
    n_classes: usize,
    seed: u64,
) -> Result<Vec<Measured>> {
    let Some(domains) = &matrices.domains else { return Ok(Vec::new()) };
    let both = matrices.both()?;
    let numbers = matrices.both_domains().unwrap_or_default();
    let near = nearness(both.rows.rows(), &numbers, matrices.target.rows())?;
    let (own, shipped) = (&candidates[0], &candidates[shipped]);
    let labels = &matrices.val.labels;
    let heads = (0..domains.names.len())
        .map(|k| match domains.names.len() > LEFT_OUT {
            true => Ok(None),
            false => without(matrices, domains, own, k as u32, n_classes, seed),
        })
        .collect::<Result<Vec<_>>>()?;
    let leads = leads(matrices, own, &heads, seed)?;
    let mut found = Vec::new();
    for (k, name) in domains.names.iter().enumerate() {
        let number = k as u32;
        let held: Vec<usize> = (0..labels.len()).filter(|&i| domains.val[i] == number).collect();
        let others: Vec<usize> = (0..labels.len()).filter(|&i| domains.val[i] != number).collect();
        let alone = match &heads[k] {
            Some(head) => Some(head.predict(matrices.val.rows.rows())?),
            None => None,
        };
        let elsewhere = match &alone {
            Some(alone) if !others.is_empty() => {
                let there: Vec<u32> = others.iter().map(|&i| labels[i]).collect();
                Some(gap(&own.source.gather(&others), &alone.gather(&others), &there, seed)?)
            }
            _ => None,
        };
        let right = |said: &Probabilities| share_right(said, labels, &held);
        found.push(Measured {
            told: DomainReport {
                domain: name.clone(),
                samples: numbers.iter().filter(|d| **d == number).count(),
                distance: near.distances.get(k).copied().unwrap_or(1.0),
                share: near.shares.get(k).copied().unwrap_or(0.0),
                source_accuracy: right(&own.source),
                shipped_accuracy: right(&shipped.source),
                unseen_accuracy: alone.as_ref().and_then(right),
                elsewhere,
                lead_without: leads[k],
                on_target: None,
            },
            without: heads[k].clone(),
        });
    }
    Ok(found)
}

/// The source's head on the other domains; `None` where these leave nothing to learn.
fn without(
    matrices: &Matrices,
    domains: &Domains,
    own: &Candidate,
    number: u32,
    n_classes: usize,
    seed: u64,
) -> Result<Option<Head>> {
    let Made::Shallow { adapter, .. } = &own.made else { return Ok(None) };
    let train = &matrices.train;
    let kept: Vec<usize> =
        (0..train.labels.len()).filter(|&i| domains.train[i] != number).collect();
    let labels: Vec<u32> = kept.iter().map(|&i| train.labels[i]).collect();
    if labels.iter().all(|label| Some(label) == labels.first()) {
        return Ok(None);
    }
    let rows = Matrix::gather(train.rows.rows(), &kept);
    let target = matrices.target.rows();
    let problem = Problem::new(rows.rows(), &labels, n_classes, target, seed)?;
    let lambda = own
        .lambda()
        .ok_or_else(|| TransferError::Internal("the source's head has no strength".into()))?;
    let adapted = adapter.fit(&problem.with_lambda(lambda), &Options::default())?;
    Ok(Some(adapted.of_target()))
}

/// By how much the answers of each head lead those of the source's head on all domains, as the choice has it.
fn leads(
    matrices: &Matrices,
    own: &Candidate,
    heads: &[Option<Head>],
    seed: u64,
) -> Result<Vec<Option<f64>>> {
    let judges = Judges::new(matrices, seed)?;
    let (held, target) = (matrices.val.rows.rows(), matrices.target.rows());
    let said = heads
        .iter()
        .map(|head| match head {
            Some(head) => Ok(Some((head.predict(held)?, head.predict(target)?))),
            None => Ok(None),
        })
        .collect::<Result<Vec<_>>>()?;
    let mut asked = Vec::new();
    for (source, target_said) in said.iter().flatten() {
        let rows = [held, target];
        let evidence = Evidence::new(source, &matrices.val.labels, target_said, rows, seed)?;
        let evidence = judges.seen_by(evidence)?;
        asked.push(adaptation::Candidate { name: String::new(), evidence });
    }
    let choice = choose(&own.evidence(&judges, seed)?, &asked)?;
    let mut leads = choice.candidates.into_iter().map(|one| one.lead);
    let lead = |one: &Option<_>| match one {
        Some(_) => leads.next().filter(|lead: &f64| lead.is_finite()),
        None => None,
    };
    Ok(said.iter().map(lead).collect())
}

fn share_right(said: &Probabilities, labels: &[u32], places: &[usize]) -> Option<f64> {
    let right = places.iter().filter(|&&i| said.predicted(i) == labels[i]).count();
    (!places.is_empty()).then(|| right as f64 / places.len() as f64)
}

/// As the document has them, the nearest first.
pub fn told(domains: &[Measured], judged: Option<&Judged>) -> Vec<DomainReport> {
    let on_target = |k: usize| -> Option<Gap> { *judged?.domains.get(k)? };
    let mut told: Vec<DomainReport> = domains
        .iter()
        .enumerate()
        .map(|(k, domain)| DomainReport { on_target: on_target(k), ..domain.told.clone() })
        .collect();
    told.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.distance.total_cmp(&b.distance)));
    told
}
