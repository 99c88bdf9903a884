//! Subspace alignment.

use super::subspace::Subspace;
use super::{Adapted, Adapter, Family, Options, Problem, Setting, View};
use crate::Result;
use crate::product::product;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "sa",
    summary: "turns the source's principal directions into the target's",
    paper: "Fernando et al. 2013, Unsupervised visual domain adaptation using subspace alignment, ICCV",
    family: Family::Align,
    settings: &[COMPONENTS],
    fit,
};

const COMPONENTS: Setting = Setting {
    name: "components",
    summary: "principal directions that are kept; unless given, as many as have 0.7 of a feature's variance on either side",
    default: None,
    range: (1.0, 10_000.0),
    choices: &[10.0, 30.0, 100.0],
};

/// `z_s = P_tᵀ P_s P_sᵀ x_s` and `z_t = P_tᵀ x_t`, each side at its own means and variances. Takes `2 d²` numbers.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let (source, target) = (Subspace::of(problem.source())?, Subspace::of(problem.target())?);
    let most = source.values.len().min(target.values.len());
    let k = options.of(&COMPONENTS).map_or(source.enough().max(target.enough()), |k| k as usize);
    let k = k.min(most);
    let aligned = product(
        source.products(&target, k).transpose(),
        source.directions.subcols(0, k).transpose(),
    );
    let own = target.directions.subcols(0, k).transpose().to_owned();
    let adapted =
        problem.seen(View::Affine(source.on_raw(&aligned)), View::Affine(target.on_raw(&own)))?;
    Ok(adapted.fact("components", k as f64))
}
