//! Every source counts alike.

use super::{Kernels, Weighting};
use crate::Result;

pub(super) const WEIGHTING: Weighting = Weighting {
    name: "equal",
    summary: "every source counts alike, scaled to a common variance",
    paper: "Lanckriet et al. 2004, JMLR 5:27, the unweighted sum of kernels",
    weigh,
};

fn weigh(kernels: &Kernels) -> Result<Vec<f64>> {
    Ok(vec![1.0; kernels.sources()])
}
