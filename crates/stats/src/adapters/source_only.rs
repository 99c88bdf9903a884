//! What every method is compared with.

use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::Result;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "source-only",
    summary: "the source's head as it is; what every method must beat",
    paper: "none",
    family: Family::Nothing,
    settings: &[],
    fit,
};

fn fit(problem: &Problem<'_>, _: &Options) -> Result<Adapted> {
    let head = problem.source_head()?.0.clone();
    Ok(problem.adapted(View::Raw, View::Raw, head))
}
