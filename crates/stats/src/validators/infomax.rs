//! What answers tell of inputs.

use super::{Evidence, Validator};
use crate::Result;
use crate::probabilities::entropy;

pub(super) const VALIDATOR: Validator = Validator {
    name: "infomax",
    summary: "sure answers that are spread over classes: the information that they hold about inputs",
    paper: "Musgrave, Belongie & Lim 2022, arXiv:2208.07360; Krause, Perona & Gomes 2010",
    score,
};

/// `H(mean p) − mean H(p)`, between 0 and `ln C`. Classes that are rare in the target count against the model.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let target = evidence.target();
    let n = target.n() as f64;
    let mut mean = vec![0.0; target.n_classes()];
    let mut own = 0.0;
    for row in target.rows() {
        mean.iter_mut().zip(row).for_each(|(m, p)| *m += p / n);
        own += entropy(row) / n;
    }
    Ok(entropy(&mean) - own)
}
