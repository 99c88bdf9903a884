//! An adaptation that was fitted without a part of the source, and what it says of that part and of the target.

use crate::adapters::{Adapted, Adapter, Options, Problem};
use crate::validators::Evidence;
use crate::{Matrix, Probabilities, Result, Rows};

/// A fitted method and its answers for rows of the source that it was not fitted to and for those of the target.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Of the registry of adapters.
    pub name: &'static str,
    /// What it left.
    pub adapted: Adapted,
    /// Answers for the held-out source rows, `[n, classes]`.
    pub source: Probabilities,
    /// Answers for target rows, `[m, classes]`.
    pub target: Probabilities,
    /// What its head was shown of both.
    seen: [Matrix; 2],
}

impl Tried {
    /// Fits `adapter` to `problem` and asks it about `held` `[n, d]`, source rows that the problem does not have, of
    /// these `domains` where there are several.
    ///
    /// # Errors
    /// As [`Adapter::fit`]; rows of another width.
    pub fn fit(
        adapter: &Adapter,
        problem: &Problem<'_>,
        options: &Options,
        held: Rows<'_>,
        domains: Option<&[u32]>,
    ) -> Result<Self> {
        let adapted = adapter.fit(problem, options)?;
        let target_rows = problem.target();
        Ok(Self {
            name: adapter.name,
            source: adapted.answers(held, domains)?,
            target: adapted.of_target().predict(target_rows)?,
            seen: [adapted.shown(held, domains)?, adapted.target.apply(target_rows)?],
            adapted,
        })
    }

    /// What the head was shown of held-out source rows and of target rows.
    pub fn seen(&self) -> [Rows<'_>; 2] {
        [self.seen[0].rows(), self.seen[1].rows()]
    }

    /// What validators look at. `labels` are those of the held-out rows; `seed` keys draws.
    ///
    /// # Errors
    /// As [`Evidence::new`].
    pub fn evidence<'a>(&'a self, labels: &'a [u32], seed: u64) -> Result<Evidence<'a>> {
        Evidence::new(&self.source, labels, &self.target, self.seen(), seed)
    }
}
