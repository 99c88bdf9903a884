//! BSP: no direction of the features outshines all others.

use offshoot_data::wording::Choice;

use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::bss::{End, shrink};
use crate::regularize::{LossTerm, SourceFacts, Step};

/// `Σ of the k largest σ²` of the features of each domain (Chen et al. 2019, eq. 5). Adversarial alignment
/// transfers by the strongest direction and forgets what tells classes apart in others, so it goes with `dann` or
/// `cdan`.
pub(super) const TERM: Term = Term {
    name: "bsp",
    summary: "shrink the features' largest singular values, beside dann or cdan: bsp(weight=0.0001,k=1)",
    paper: "Chen et al. 2019, ICML (PMLR 97)",
    adversary: Adversary::None,
    held: "",
    choices: &[weight(1e-4), Choice { name: "k", default: 1.0, range: [1.0, 1024.0] }],
    make: |values| Box::new(Bsp { weight: values[0], k: values[1] as usize }),
};

struct Bsp {
    weight: f64,
    k: usize,
}

impl LossTerm for Bsp {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, _] = step.domains();
        let (of_source, of_target) = step.features.split_at(source * step.dim);
        let (to_source, to_target) = step.to_features.split_at_mut(source * step.dim);
        let domains = [(of_source, to_source), (of_target, to_target)];
        let one = |(features, to): (&[f32], &mut [f32])| {
            shrink(features, step.dim, End::Largest, self.k, self.weight, to)
        };
        domains.into_iter().map(one).sum()
    }
}
