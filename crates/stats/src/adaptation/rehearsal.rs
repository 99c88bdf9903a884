//! Source domains take the target's part in turn: their labels say what a method does to data of another domain.

use crate::adapters::{self, Adapter, Options, Problem};
use crate::heads::Head;
use crate::{Matrix, Result, Rows, StatsError};

use super::{Veto, VetoKind};

/// Domains that take the target's part, at most: the largest, each of which is a fit.
const MOST: usize = 6;
/// Rows of a domain whose labels are asked, at least.
const FEWEST: usize = 20;

/// What a method came to on source domains that it saw without labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// Rows that it answers rightly and the source's head does not, of all domains.
    pub wins: usize,
    /// The other way round.
    pub losses: usize,
    /// Mean over domains of accuracy minus that of the source's head.
    pub gain: f64,
    /// Domains that took the target's part.
    pub domains: usize,
}

impl Rehearsal {
    /// Whether it loses on the whole. Not only beyond chance: pooling stands until something speaks for a method.
    pub fn harms(&self) -> bool {
        self.gain < 0.0
    }

    /// What speaks against the method, where it harms.
    pub fn veto(&self) -> Option<Veto> {
        self.harms().then(|| Veto {
            kind: VetoKind::Rehearsal,
            detail: format!(
                "{} source domains took the target's part in turn, and it lost {:.1} points of accuracy on them \
                 ({} samples won, {} lost)",
                self.domains,
                -100.0 * self.gain,
                self.wins,
                self.losses
            ),
        })
    }
}

/// Each source domain in turn is a target whose labels only judge; the others are the source. `None` where fewer than
/// three domains are large enough: of two, a rehearsal has a source of one domain, which is another problem.
///
/// A method that cannot be fitted to a rehearsal says nothing there.
///
/// # Errors
/// As the heads'.
pub fn rehearse(
    adapter: &Adapter,
    problem: &Problem<'_>,
    options: &Options,
) -> Result<Option<Rehearsal>> {
    let Some(domains) = problem.domains() else { return Ok(None) };
    let (rows, labels) = (problem.source(), problem.labels());
    let count = domains.iter().max().map_or(0, |&most| most as usize + 1);
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); count];
    domains.iter().enumerate().for_each(|(i, &domain)| parts[domain as usize].push(i));
    let mut targets: Vec<usize> = (0..count).filter(|&k| parts[k].len() >= FEWEST).collect();
    if targets.len() < 3 {
        return Ok(None);
    }
    targets.sort_by_key(|&k| std::cmp::Reverse(parts[k].len()));
    targets.truncate(MOST);
    let own = adapters::find("source-only")
        .ok_or_else(|| StatsError::Unusable("no adapter `source-only`".into()))?;
    let lambda = problem.source_head()?.1;
    let mut found = Rehearsal { wins: 0, losses: 0, gain: 0.0, domains: 0 };
    for k in targets {
        let kept: Vec<usize> = (0..labels.len()).filter(|&i| domains[i] as usize != k).collect();
        let side = |places: &[usize]| {
            let own: Vec<u32> = places.iter().map(|&i| labels[i]).collect();
            (Matrix::gather(rows, places), own)
        };
        let ((source, own_labels), (target, truth)) = (side(&kept), side(&parts[k]));
        let own_domains: Vec<u32> = kept.iter().map(|&i| domains[i]).collect();
        let part = Problem::new(
            source.rows(),
            &own_labels,
            problem.n_classes(),
            target.rows(),
            problem.seed(),
        )?;
        let part = part.with_lambda(lambda).with_domains(&own_domains)?;
        let right = |adapter: &Adapter, options: &Options| -> Result<Vec<bool>> {
            right(&adapter.fit(&part, options)?.of_target(), target.rows(), &truth)
        };
        let before = right(own, &Options::default())?;
        let after = match right(adapter, options) {
            Ok(after) => after,
            Err(StatsError::Unusable(_)) => continue,
            Err(other) => return Err(other),
        };
        let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
        let (wins, losses) = (only(&after, &before), only(&before, &after));
        found.wins += wins;
        found.losses += losses;
        found.gain += (wins as f64 - losses as f64) / truth.len() as f64;
        found.domains += 1;
    }
    if found.domains == 0 {
        return Ok(None);
    }
    found.gain /= found.domains as f64;
    Ok(Some(found))
}

fn right(head: &Head, rows: Rows<'_>, truth: &[u32]) -> Result<Vec<bool>> {
    let said = head.predict(rows)?;
    Ok(truth.iter().enumerate().map(|(i, &y)| said.predicted(i) == y).collect())
}
