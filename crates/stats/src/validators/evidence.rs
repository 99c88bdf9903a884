//! What validators look at.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::{Inputs, density_ratio};
use crate::{Probabilities, Result, Rows, StatsError, check};

/// What one model says of both sides, and the features on which it says so.
#[derive(Debug)]
pub struct Evidence<'a> {
    source: &'a Probabilities,
    labels: &'a [u32],
    target: &'a Probabilities,
    source_rows: Rows<'a>,
    target_rows: Rows<'a>,
    seed: u64,
    /// Density ratios of source rows as everybody sees them.
    ratio: Option<Cow<'a, [f64]>>,
    /// And as this model sees them.
    seen: OnceLock<Vec<f64>>,
    /// Target rows as everybody sees them.
    inputs: OnceLock<Cow<'a, Inputs>>,
}

impl<'a> Evidence<'a> {
    /// `source` `[n, classes]`: the model's answers for source rows that it was not fitted to, with their `labels`
    /// below `classes`; `target` `[m, classes]`: those for target rows. `source_rows` `[n, d]` and `target_rows`
    /// `[m, d]` are the features that its last layer saw. `seed` keys the draws where rows are too many.
    ///
    /// # Errors
    /// Shapes that do not fit, no rows on a side, a class or a value that cannot be.
    pub fn new(
        source: &'a Probabilities,
        labels: &'a [u32],
        target: &'a Probabilities,
        [source_rows, target_rows]: [Rows<'a>; 2],
        seed: u64,
    ) -> Result<Self> {
        let classes = source.n_classes();
        check::labelled(source_rows, labels, classes)?;
        check::width(target_rows, source_rows.d())?;
        if target_rows.n() == 0 {
            return Err(StatsError::Unusable("expected samples of the target, got none".into()));
        }
        check::finite(target_rows)?;
        for (what, said, rows) in [("source", source, source_rows), ("target", target, target_rows)]
        {
            if said.n() != rows.n() || said.n_classes() != classes {
                return Err(StatsError::Shape {
                    expected: format!("{} answers of the {what} in {classes} classes", rows.n()),
                    actual: format!("{} in {}", said.n(), said.n_classes()),
                });
            }
            let broken = |row: &[f64]| row.iter().any(|p| !p.is_finite() || *p < 0.0);
            if let Some(row) = said.rows().position(broken) {
                return Err(StatsError::NotFinite { what, row });
            }
        }
        let (ratio, seen, inputs) = (None, OnceLock::new(), OnceLock::new());
        Ok(Self { source, labels, target, source_rows, target_rows, seed, ratio, seen, inputs })
    }

    /// The same with the [`density_ratio`] of source rows in features that do not depend on the model, `[n]`, so
    /// that all models are weighed alike. Without it, the model's own features are asked.
    ///
    /// # Errors
    /// Another number of weights than rows, and weights that are negative or not finite.
    pub fn with_ratio(mut self, ratio: &'a [f64]) -> Result<Self> {
        self.fits(ratio)?;
        self.ratio = Some(Cow::Borrowed(ratio));
        Ok(self)
    }

    /// The same with target rows in features that do not depend on the model. Without them, the model's own are
    /// asked.
    ///
    /// # Errors
    /// Another number of rows.
    pub fn with_inputs(mut self, inputs: &'a Inputs) -> Result<Self> {
        let (expected, actual) = (self.target.n(), inputs.rows().n());
        if actual != expected {
            return Err(StatsError::Shape {
                expected: format!("{expected} target rows"),
                actual: actual.to_string(),
            });
        }
        self.inputs = OnceLock::from(Cow::Borrowed(inputs));
        Ok(self)
    }

    /// The same with the density ratio in the model's own features, `[n]`, where it is known already.
    ///
    /// # Errors
    /// As [`Evidence::with_ratio`].
    pub fn with_seen_ratio(mut self, seen: Vec<f64>) -> Result<Self> {
        self.fits(&seen)?;
        self.seen = OnceLock::from(seen);
        Ok(self)
    }

    fn fits(&self, ratio: &[f64]) -> Result<()> {
        if ratio.len() != self.labels.len() {
            return Err(StatsError::Shape {
                expected: format!("{} density ratios", self.labels.len()),
                actual: ratio.len().to_string(),
            });
        }
        match ratio.iter().position(|w| !w.is_finite() || *w < 0.0) {
            Some(row) => Err(StatsError::NotFinite { what: "density ratios", row }),
            None => Ok(()),
        }
    }

    /// Answers for source rows, `[n, classes]`.
    pub fn source(&self) -> &'a Probabilities {
        self.source
    }

    /// Of source rows.
    pub fn labels(&self) -> &'a [u32] {
        self.labels
    }

    /// Answers for target rows, `[m, classes]`.
    pub fn target(&self) -> &'a Probabilities {
        self.target
    }

    /// Features of source rows, `[n, d]`.
    pub fn source_rows(&self) -> Rows<'a> {
        self.source_rows
    }

    /// Features of target rows, `[m, d]`.
    pub fn target_rows(&self) -> Rows<'a> {
        self.target_rows
    }

    /// The most probable class of every target row.
    pub fn answers(&self) -> Vec<u32> {
        (0..self.target.n()).map(|i| self.target.predicted(i)).collect()
    }

    /// Share of source rows that are answered right.
    pub fn source_accuracy(&self) -> f64 {
        let right = |&(i, &y): &(usize, &u32)| self.source.predicted(i) == y;
        self.labels.iter().enumerate().filter(right).count() as f64 / self.labels.len() as f64
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// `p_t(x)/p_s(x)` of source rows.
    pub(super) fn ratio(&self) -> Result<&[f64]> {
        match &self.ratio {
            Some(known) => Ok(known),
            None => self.seen_ratio(),
        }
    }

    /// `p_t(z)/p_s(z)` of source rows, `z` being what the model sees.
    pub(super) fn seen_ratio(&self) -> Result<&[f64]> {
        if let Some(known) = self.seen.get() {
            return Ok(known);
        }
        let found = density_ratio(self.source_rows, self.target_rows, self.seed)?;
        Ok(self.seen.get_or_init(|| found))
    }

    /// Target rows as everybody sees them.
    pub(super) fn inputs(&self) -> Result<&Inputs> {
        if let Some(known) = self.inputs.get() {
            return Ok(known);
        }
        let found = Inputs::new(self.target_rows)?;
        Ok(self.inputs.get_or_init(|| Cow::Owned(found)))
    }
}
