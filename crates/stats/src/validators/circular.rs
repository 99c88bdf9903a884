//! Circular validation.

use super::{Evidence, Validator};
use crate::heads::{self, FitOptions};
use crate::{Result, StatsError, check};

pub(super) const VALIDATOR: Validator = Validator {
    name: "circular",
    summary: "there and back: how well a classifier of the target's answers finds the source's labels",
    paper: "Bruzzone & Marconcini 2009, doi:10.1109/TPAMI.2009.57; Zhong et al. 2010 (reverse validation)",
    score,
};

/// Balanced accuracy on source rows of a head that was fitted to target rows with the model's answers as labels,
/// both as the model sees them. The head is shrunken discriminant analysis, which has nothing to choose.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let lda = heads::find("lda").ok_or_else(|| StatsError::Unusable("no head `lda`".into()))?;
    let (answers, classes) = (evidence.answers(), evidence.target().n_classes());
    let back = lda.fit(evidence.target_rows(), &answers, classes, &FitOptions::default())?.head;
    let said = back.predict(evidence.source_rows())?;
    let mut hits = vec![0.0; classes];
    for (i, &y) in evidence.labels().iter().enumerate() {
        hits[y as usize] += f64::from(u8::from(said.predicted(i) == y));
    }
    let counts = check::counts(evidence.labels(), classes);
    let recalls = hits.iter().zip(&counts).filter(|(_, count)| **count > 0);
    let (sum, present) =
        recalls.fold((0.0, 0.0), |(sum, n), (hits, &count)| (sum + hits / count as f64, n + 1.0));
    Ok(sum / present)
}
