//! What methods of adaptation look at, and what they share.

use std::sync::OnceLock;

use super::{Adapted, View};
use crate::heads::{self, FitOptions, Fitted, Head, Limit, Linear, Targets, weighted_logistic};
use crate::{Result, Rows, StatsError, check};

/// Labelled source rows and target rows without labels.
#[derive(Debug)]
pub struct Problem<'a> {
    source: Rows<'a>,
    labels: &'a [u32],
    n_classes: usize,
    target: Rows<'a>,
    domains: Option<&'a [u32]>,
    seed: u64,
    lambda: Option<f64>,
    limit: Limit,
    head: OnceLock<(Linear, f64)>,
}

impl<'a> Problem<'a> {
    /// `source` `[n, d]` with `labels` below `n_classes`, and `target` `[m, d]`. `seed` keys every draw.
    ///
    /// # Errors
    /// Lengths that do not fit, labels out of range, fewer than two rows on a side, values that are not finite
    /// (side and row are named).
    pub fn new(
        source: Rows<'a>,
        labels: &'a [u32],
        n_classes: usize,
        target: Rows<'a>,
        seed: u64,
    ) -> Result<Self> {
        check::sides(source, target)?;
        check::labelled(source, labels, n_classes)?;
        let (domains, lambda, limit, head) = (None, None, Limit::default(), OnceLock::new());
        Ok(Self { source, labels, n_classes, target, domains, seed, lambda, limit, head })
    }

    /// The same with the number of the domain that each source row is of.
    ///
    /// # Errors
    /// Another number of domains than source rows.
    pub fn with_domains(mut self, domains: &'a [u32]) -> Result<Self> {
        if domains.len() != self.source.n() {
            return Err(StatsError::Shape {
                expected: format!("the domain of each of {} source rows", self.source.n()),
                actual: format!("{} domains", domains.len()),
            });
        }
        self.domains = Some(domains);
        Ok(self)
    }

    /// The same with a strength of the heads, which cross-validation on the source would choose otherwise.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = Some(lambda);
        self.head = OnceLock::new();
        self
    }

    /// The same with an end to iterative fits.
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Source rows `[n, d]`.
    pub fn source(&self) -> Rows<'a> {
        self.source
    }

    /// Of source rows.
    pub fn labels(&self) -> &'a [u32] {
        self.labels
    }

    /// Labels are below it.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Target rows `[m, d]`.
    pub fn target(&self) -> Rows<'a> {
        self.target
    }

    /// Of source rows; `None`: all are of one.
    pub fn domains(&self) -> Option<&'a [u32]> {
        self.domains
    }

    /// Whether source rows are of several domains.
    pub fn has_several_domains(&self) -> bool {
        self.domains.is_some_and(|domains| domains.iter().any(|domain| *domain != domains[0]))
    }

    /// Keys every draw.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The logistic head of the source and its strength, fitted once: every method of this problem has the same.
    ///
    /// # Errors
    /// As the head's.
    pub fn source_head(&self) -> Result<(&Linear, f64)> {
        let (head, lambda) = match self.head.get() {
            Some(known) => known,
            None => {
                let fitted = self.fit_source()?;
                self.head.get_or_init(|| fitted)
            }
        };
        Ok((head, *lambda))
    }

    fn fit_source(&self) -> Result<(Linear, f64)> {
        let logistic = heads::find("logistic")
            .ok_or_else(|| StatsError::Unusable("no head `logistic`".into()))?;
        let options = FitOptions { lambda: self.lambda, ..self.options() };
        let fitted = logistic.fit(self.source, self.labels, self.n_classes, &options)?;
        let lambda = fitted.lambda.unwrap_or(0.0);
        Ok((linear(fitted)?, lambda))
    }

    fn options(&self) -> FitOptions {
        FitOptions { seed: self.seed, limit: self.limit.clone(), ..FitOptions::default() }
    }

    /// A logistic head of the source's strength on other rows or targets.
    pub(super) fn fit_head(
        &self,
        rows: Rows<'_>,
        targets: Targets<'_>,
        weights: &[f64],
    ) -> Result<Linear> {
        let lambda = match self.lambda {
            Some(lambda) => lambda,
            None => self.source_head()?.1,
        };
        let options = self.options();
        linear(weighted_logistic(rows, targets, weights, self.n_classes, lambda, &options)?)
    }

    /// What two views leave, with a head on what the first shows of source rows.
    pub(super) fn seen(&self, source: View, target: View) -> Result<Adapted> {
        let shown = source.apply(self.source)?;
        let head = self.fit_head(shown.rows(), Targets::Labels(self.labels), &[])?;
        Ok(self.adapted(source, target, head))
    }

    /// As [`Self::seen`], with a view of each source domain.
    pub(super) fn seen_by_domain(
        &self,
        source: View,
        domains: Vec<View>,
        target: View,
    ) -> Result<Adapted> {
        let shown = match self.domains {
            Some(own) => super::domains::shown(self.source, own, &domains, &source)?,
            None => source.apply(self.source)?,
        };
        let head = self.fit_head(shown.rows(), Targets::Labels(self.labels), &[])?;
        Ok(Adapted { domains, ..self.adapted(source, target, head) })
    }

    /// As given, with no weights and no prior.
    pub(super) fn adapted(&self, source: View, target: View, head: Linear) -> Adapted {
        let lambda = self.lambda.or_else(|| self.head.get().map(|known| known.1));
        let facts = lambda.into_iter().map(|lambda| ("lambda".into(), lambda)).collect();
        let (domains, prior, weights) = (Vec::new(), Vec::new(), Vec::new());
        Adapted { source, domains, target, head, prior, weights, facts }
    }
}

fn linear(fitted: Fitted) -> Result<Linear> {
    match fitted.head {
        Head::Linear(linear) => Ok(linear),
        _ => Err(StatsError::Unusable("the logistic head is not linear".into())),
    }
}
