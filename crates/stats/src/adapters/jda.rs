//! Joint distribution adaptation.

use super::components::{COMPONENTS, Components, MU};
use super::kernel::BANDWIDTH;
use super::tca::means;
use super::{Adapted, Adapter, Family, Options, Problem};
use crate::{Result, check};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "jda",
    summary: "as tca, and the means of every class are close, too, by its own answers on the target",
    paper: "Long et al. 2013, Transfer feature learning with joint distribution adaptation, ICCV",
    family: Family::Align,
    settings: &[BANDWIDTH, COMPONENTS, MU],
    fit,
};

/// Rounds of answers, as in the paper.
const ROUNDS: usize = 10;

/// TCA with `M = M₀ + Σ_c M_c`, where `M_c` compares source rows of class `c` with target rows that the head of the
/// round before takes for it; a class that no target row is taken for has no term. Ends when no answer changes.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let components = Components::of(problem, options)?;
    let (n, classes) = (problem.source().n(), problem.n_classes());
    let all = components.contrast(&means(problem));
    let mut contrasts = vec![all.clone()];
    let mut answers: Vec<u32> = Vec::new();
    let in_source = check::counts(problem.labels(), classes);
    let mut rounds = 0;
    loop {
        let (view, k) = components.view(&contrasts)?;
        let adapted = problem.seen(view.clone(), view)?;
        let said = adapted.of_target().predict(problem.target())?;
        let now: Vec<u32> = (0..said.n()).map(|i| said.predicted(i)).collect();
        rounds += 1;
        if now == answers || rounds == ROUNDS {
            return Ok(adapted.fact("components", k as f64).fact("rounds", rounds as f64));
        }
        answers = now;
        let in_target = check::counts(&answers, classes);
        contrasts = vec![all.clone()];
        for c in (0..classes).filter(|&c| in_source[c] > 0 && in_target[c] > 0) {
            let of_class = |&(_, &y): &(usize, &u32)| y as usize == c;
            let source = problem.labels().iter().enumerate().filter(of_class);
            let target = answers.iter().enumerate().filter(of_class);
            let source = source.map(|(i, _)| (i, 1.0 / in_source[c] as f64));
            let target = target.map(|(j, _)| (n + j, -1.0 / in_target[c] as f64));
            contrasts.push(components.contrast(&source.chain(target).collect::<Vec<_>>()));
        }
    }
}
