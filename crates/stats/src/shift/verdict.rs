//! Which kinds of mismatch there are.

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::concept::Concept;

/// A kind of mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Inputs look different, and not only because classes are more or less frequent.
    Covariate,
    /// Classes are more or less frequent.
    Label,
    /// The same inputs have other labels.
    Concept,
}

impl Kind {
    /// As it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Covariate => "covariate",
            Self::Label => "label",
            Self::Concept => "concept",
        }
    }
}

/// The kinds that were found; none where nothing speaks for a mismatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In the order of [`Kind`].
    pub kinds: Vec<Kind>,
    /// The smallest p-value of all questions, corrected for their number (Holm 1979): the chance of any
    /// mismatch being seen where there is none.
    pub p_value: f64,
    /// That inputs differ, corrected.
    pub inputs_p: f64,
    /// That labels are more or less frequent, corrected; where the target's are known.
    pub labels_p: Option<f64>,
    /// That the same inputs have other labels, corrected; where the target's are known.
    pub concept_p: Option<f64>,
    /// That neither a change of classes nor one of inputs could be ruled out.
    pub undecided: bool,
}

impl Verdict {
    /// Without target labels there is one question: do inputs differ? Only if so does it matter why, and
    /// that needs no correction. With labels there are three.
    pub fn of(
        inputs_p: f64,
        labels: Option<&Labels>,
        concept: Option<&Concept>,
        level: f64,
    ) -> Self {
        let of_labels = labels.and_then(|l| l.labels).map(|test| test.p_value);
        let of_concept = concept.map(|c| c.p_value);
        let asked = [Some(inputs_p), of_labels, of_concept];
        let corrected = holm(&asked.iter().flatten().copied().collect::<Vec<_>>());
        let mut corrected = corrected.into_iter();
        let [inputs, by_labels, by_concept] = asked.map(|p| p.and_then(|_| corrected.next()));
        let inputs = inputs.unwrap_or(1.0);
        let sure = |p: Option<f64>| p.is_some_and(|p| p <= level);
        let residual = labels.and_then(|l| l.residual_p);
        let differs = inputs <= level;
        let left = differs && sure(residual);
        let answers = labels.is_some_and(|l| l.answers.p_value <= level);
        let (mut kinds, mut undecided) = (Vec::new(), false);
        if sure(by_labels) {
            kinds.push(Kind::Label);
        }
        if left {
            kinds.push(Kind::Covariate);
        } else if differs
            && by_labels.is_none()
            && labels.is_some()
            && residual.is_some()
            && answers
        {
            // Classes more or less frequent explain all that is seen.
            kinds.push(Kind::Label);
        } else if differs && kinds.is_empty() {
            kinds.push(Kind::Covariate);
            undecided = labels.is_none() || residual.is_none();
        }
        if left && by_labels.is_none() && answers {
            undecided = true;
        }
        if sure(by_concept) {
            kinds.push(Kind::Concept);
        }
        kinds.sort_unstable();
        let p_value =
            [Some(inputs), by_labels, by_concept].into_iter().flatten().fold(1.0, f64::min);
        Self {
            kinds,
            p_value,
            inputs_p: inputs,
            labels_p: by_labels,
            concept_p: by_concept,
            undecided,
        }
    }

    /// Whether a kind was found.
    pub fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The kinds' names; `none` where there is none.
    pub fn names(&self) -> Vec<&'static str> {
        match self.kinds.as_slice() {
            [] => vec!["none"],
            kinds => kinds.iter().map(|kind| kind.name()).collect(),
        }
    }
}

/// Holm's correction, in the given order.
fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut out = vec![0.0; p.len()];
    let mut least = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        least = least.max((p.len() - rank) as f64 * p[i]).min(1.0);
        out[i] = least;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_multiplies_by_what_is_left() {
        assert_eq!(holm(&[0.04, 0.01, 0.5]), [0.08, 0.03, 0.5]);
        assert_eq!(holm(&[0.02, 0.015]), [0.03, 0.03]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    #[test]
    fn nothing_found_is_none() {
        let verdict = Verdict::of(0.3, None, None, 0.05);
        assert_eq!((verdict.names(), verdict.p_value), (vec!["none"], 0.3));
    }

    #[test]
    fn without_labels_a_difference_is_one_of_inputs_and_undecided() {
        let verdict = Verdict::of(0.001, None, None, 0.05);
        assert_eq!(verdict.kinds, [Kind::Covariate]);
        assert!(verdict.undecided);
    }
}
