//! AFN: features of both domains grow as long.

use offshoot_data::wording::Choice;

use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// The stepwise form (Xu et al. 2019, eq. 7): each feature row is to be longer by Δ than it is. The published
/// loss `(‖f‖ + Δ − ‖f‖)²`, in which the first norm is held, is Δ² whatever happens; told is `−2Δ·‖f‖`, which has the
/// same gradient, the means over both domains added.
pub(super) const TERM: Term = Term {
    name: "afn",
    summary: "let features of both domains grow as long: afn(weight=0.05,delta=1)",
    paper: "Xu et al. 2019, arXiv:1811.07456",
    adversary: Adversary::None,
    held: "",
    choices: &[weight(0.05), Choice { name: "delta", default: 1.0, range: [1e-6, 1e3] }],
    make: |values| Box::new(Afn { weight: values[0], delta: values[1] }),
};

struct Afn {
    weight: f64,
    delta: f64,
}

impl LossTerm for Afn {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        let dim = step.dim;
        let mut value = 0.0;
        let rows = step.features.chunks_exact(dim).zip(step.to_features.chunks_exact_mut(dim));
        for (i, (row, to)) in rows.enumerate() {
            let of = if i < source { source } else { target };
            let share = -2.0 * self.delta * self.weight / of as f64;
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            value += share * length;
            // A row of zeros has no direction in which it could grow.
            if length > 0.0 {
                let factor = share / length;
                to.iter_mut().zip(row).for_each(|(to, &v)| *to += (factor * f64::from(v)) as f32);
            }
        }
        value
    }
}
