//! Source domains count as much as they help to make up the target.

use super::weights::weighed;
use super::{Adapted, Adapter, Family, Options, Problem, Setting, domains};
use crate::Result;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "domain-weights",
    summary: "source domains count by the mixture of them that is nearest to the target; far ones drop out",
    paper: "Huang et al. 2006, Correcting sample selection bias by unlabeled data, with one weight a domain and the \
            energy distance of Székely & Rizzo 2013",
    family: Family::Domains,
    settings: &[POOLED],
    fit,
};

const POOLED: Setting = Setting {
    name: "pooled",
    summary: "share of the weight that all rows have alike, whichever domain they are of",
    default: Some(0.0),
    range: (0.0, 1.0),
    choices: &[0.0, 0.1, 0.3],
};

/// `w_i = n w_k/n_k` for a row `i` of the domain `k`, with the shares of [`domains::nearness`]. Of one domain, that is
/// the source's head.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let n = problem.source().n();
    let one = vec![0; n];
    let own = problem.domains().unwrap_or(&one);
    let near = domains::nearness(problem.source(), own, problem.target())?;
    let pooled = options.of(&POOLED).unwrap_or(0.0);
    let counts: Vec<usize> = domains::parts(problem).iter().map(Vec::len).collect();
    let weight = |&domain: &u32| {
        let domain = domain as usize;
        let alone = n as f64 * near.shares[domain] / counts[domain].max(1) as f64;
        (1.0 - pooled) * alone + pooled
    };
    let adapted = weighed(problem, own.iter().map(weight).collect(), ADAPTER.name)?;
    let kept = near.shares.iter().filter(|share| **share > 0.0).count();
    Ok(adapted.fact("domains_kept", kept as f64))
}
