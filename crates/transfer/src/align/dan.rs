//! DAN: features of both domains get the same mean in the spaces of several kernels.

use super::{Adversary, Term, mmd, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// `MMD²_u` of the features with the mean of five Gaussian kernels (Long et al. 2015, eq. 4), of which the
/// bandwidths follow the batch. It has no bias, so it may be negative.
pub(super) const TERM: Term = Term {
    name: "dan",
    summary: "equal means of features in the spaces of five kernels: dan(weight=1)",
    paper: "Long et al. 2015, arXiv:1502.02791",
    adversary: Adversary::None,
    held: "bandwidths",
    choices: &[weight(1.0)],
    make: |values| Box::new(Dan { weight: values[0] }),
};

struct Dan {
    weight: f64,
}

impl LossTerm for Dan {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let domains = step.domains();
        if domains.iter().any(|&n| n < 2) {
            return 0.0;
        }
        let rows: Vec<f64> = step.features.iter().map(|&v| f64::from(v)).collect();
        let distances = mmd::distances(&rows, step.dim);
        let kernel = mmd::Kernel::gaussian(&distances, &mmd::bandwidths(&distances));
        let shares = mmd::shares(domains);
        let of = |values: &[f64]| -> Vec<f64> {
            shares.iter().zip(values).map(|(share, v)| self.weight * share * v).collect()
        };
        let slopes = mmd::by_rows(&rows, step.dim, &of(&kernel.slope));
        step.to_features.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope as f32);
        of(&kernel.value).iter().sum()
    }
}
