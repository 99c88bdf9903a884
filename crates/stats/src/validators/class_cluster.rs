//! Agreement of answers with clusters.

use super::clusters::clusters;
use super::mutual_information::adjusted_mutual_information;
use super::{Evidence, Validator};
use crate::Result;

pub(super) const VALIDATOR: Validator = Validator {
    name: "class-cluster",
    summary: "agreement of answers with clusters of the target's features (ClassAMI)",
    paper: "Musgrave, Belongie & Lim 2022, Three new validators and a large-scale benchmark ranking, arXiv:2208.07360",
    score,
};

/// Adjusted mutual information of the most probable classes with clusters that k-means finds, starting from the
/// classes' means; 0 where there is one class only.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let answers = evidence.answers();
    let found = clusters(evidence.target_rows(), &answers);
    Ok(adjusted_mutual_information(&answers, &found))
}
