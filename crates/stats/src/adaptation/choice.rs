//! Which of several models to ship.

use std::collections::BTreeMap;

use super::{Veto, vetoes};
use crate::probabilities::entropy;
use crate::validators::{self, Evidence};
use crate::{Result, StatsError};

/// What decides, and what a unit of each counts. The likelihood of the answers, in nats a row, looks at the target
/// alone. An accuracy on source rows speaks against what is lost on the way there: of a classifier that has learnt the
/// answers, and of the model itself where source rows look like the target.
pub const ENSEMBLE: [(&str, f64); 3] = [("likelihood", 1.0), ("circular", 0.5), ("iwv", 0.25)];

/// By how much a model must lead. Where classes form no clusters and answers hardly change, validators differ by noise.
const MARGIN: f64 = 0.02;

/// Target samples for each class, below which clouds fit whatever is answered.
const LEAST: usize = 5;

/// A model that may be shipped: an adapted head, or a state of a tuned network.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// By which it is called in what [`choose`] says.
    pub name: String,
    /// What it answers. The rows are those of all candidates; their features may be its own.
    pub evidence: Evidence<'a>,
}

/// What was found of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Of the candidate; `source-only` for the source's head.
    pub name: String,
    /// Of every validator of the registry that could answer, also of those that do not decide.
    pub scores: BTreeMap<&'static str, f64>,
    /// How unevenly its answers for the target fall on classes: minus the entropy of their shares, in nats; 0 where all are
    /// of one class. It is the part of the likelihood that needs no look at a feature.
    pub concentration: f64,
    /// What speaks against it. None is looked for in the source's head.
    pub vetoes: Vec<Veto>,
    /// By how much it is before the source's head, summed over what decides ([`ENSEMBLE`]); `−∞` where it could not be
    /// scored.
    pub lead: f64,
}

impl Judged {
    /// Whether target rows are more probable as clouds of the classes that it answers than as one; so where that was not
    /// scored.
    fn finds_clusters(&self) -> bool {
        self.scores.get("likelihood").is_none_or(|&likelihood| likelihood > 0.0)
    }
}

/// Which model to ship.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Place among the candidates; `None`: the source's head as it is.
    pub which: Option<usize>,
    /// In plain words.
    pub why: String,
    /// Whether there were candidates and none was good enough.
    pub fell_back: bool,
    /// The source's head.
    pub source_only: Judged,
    /// In the given order.
    pub candidates: Vec<Judged>,
}

impl Choice {
    /// Rules a candidate out and chooses anew.
    pub fn rule_out(&mut self, candidate: usize, veto: Veto) {
        if let Some(one) = self.candidates.get_mut(candidate) {
            one.vetoes.push(veto);
        }
        self.which = leader(&self.candidates);
        self.why = why(self.which, &self.candidates);
        self.fell_back = self.which.is_none() && !self.candidates.is_empty();
    }
}

/// Chooses among `candidates`, all of which answer the same rows as `source_only`.
///
/// What [`vetoes`] speak against is out. Of the rest, the one is chosen whose answers are best by the sum of
/// [`ENSEMBLE`], if it leads the source's head by more than noise. How far it leads counts and not only that it does:
/// where clusters are clear, the likelihood says so by whole nats and decides alone; where there are none, a loss of a
/// few points on the way back to the source outweighs it. To answer more unevenly than the source's head is more likely by
/// itself, whatever the features are, so that this counts for nothing.
///
/// A model under whose answers target rows are no more probable than as one cloud (a likelihood of 0) is not chosen: there
/// are no clusters that its answers could be right about, and what leads then does so by chance.
///
/// # Errors
/// Candidates that answer other rows or classes.
pub fn choose(source_only: &Evidence<'_>, candidates: &[Candidate<'_>]) -> Result<Choice> {
    let shape = |e: &Evidence<'_>| [e.source().n(), e.target().n(), e.target().n_classes()];
    for candidate in candidates {
        let same = candidate.evidence.labels() == source_only.labels();
        if !same || shape(&candidate.evidence) != shape(source_only) {
            let [n, m, classes] = shape(source_only);
            let [own_n, own_m, own_classes] = shape(&candidate.evidence);
            return Err(StatsError::Shape {
                expected: format!("answers for the same {n} + {m} rows in {classes} classes"),
                actual: format!("`{}` for {own_n} + {own_m} in {own_classes}", candidate.name),
            });
        }
    }
    let judge = |name: &str, evidence: &Evidence<'_>, vetoes: Vec<Veto>| Judged {
        name: name.into(),
        scores: validators::all()
            .iter()
            .filter_map(|validator| Some((validator.name, validator.of(evidence).ok()?)))
            .collect(),
        concentration: -entropy(&evidence.target().shares()),
        vetoes,
        lead: 0.0,
    };
    let own = judge("source-only", source_only, Vec::new());
    let mut judged = candidates
        .iter()
        .map(|c| Ok(judge(&c.name, &c.evidence, vetoes(&c.evidence, source_only)?)))
        .collect::<Result<Vec<_>>>()?;
    judged.iter_mut().for_each(|one| one.lead = lead(one, &own));
    let enough = LEAST * source_only.target().n_classes();
    let (which, why) = match source_only.target().n() {
        few if few < enough && !judged.is_empty() => {
            (None, format!("{few} target samples are too few to judge by: {enough} would do"))
        }
        _ => {
            let which = leader(&judged);
            (which, why(which, &judged))
        }
    };
    let fell_back = which.is_none() && !judged.is_empty();
    Ok(Choice { which, why, fell_back, source_only: own, candidates: judged })
}

/// The one that leads most, of those that are not vetoed, find clusters, and lead by more than noise; of equals the first.
fn leader(judged: &[Judged]) -> Option<usize> {
    let able = |one: &Judged| one.vetoes.is_empty() && one.finds_clusters() && one.lead > MARGIN;
    (0..judged.len())
        .filter(|&i| able(&judged[i]))
        .reduce(|best, i| if judged[i].lead > judged[best].lead { i } else { best })
}

/// The weighted sum of differences, less what more uneven answers add to the likelihood. What cannot be told of both says
/// nothing, and of the candidate alone, all.
fn lead(one: &Judged, own: &Judged) -> f64 {
    let of = |(name, weight): (&str, f64)| match (one.scores.get(name), own.scores.get(name)) {
        (Some(a), Some(b)) => weight * (a - b),
        (None, Some(_)) => f64::NEG_INFINITY,
        (_, None) => 0.0,
    };
    let uneven = (one.concentration - own.concentration).max(0.0);
    ENSEMBLE.into_iter().map(of).sum::<f64>() - uneven
}

fn why(best: Option<usize>, judged: &[Judged]) -> String {
    let able = || judged.iter().filter(|one| one.vetoes.is_empty());
    let what = "by the likelihood of its answers and what is kept of the source";
    match best {
        Some(i) => format!(
            "of {} adaptations that passed every veto, `{}` leads the source's head most {what}: by {:.3}, where up \
             to {MARGIN} is noise",
            able().count(),
            judged[i].name,
            judged[i].lead
        ),
        None if judged.is_empty() => "nothing was tried".into(),
        None => match able().map(|one| one.lead).reduce(f64::max) {
            None => format!(
                "every adaptation was vetoed; of `{}`: {}",
                judged[0].name, judged[0].vetoes[0].detail
            ),
            Some(f64::NEG_INFINITY) => {
                "no adaptation that passed the vetoes could be scored".into()
            }
            Some(most) if most > MARGIN => format!(
                "the target's samples do not lie in clusters of the classes that any adaptation answers, so that no score can \
                 tell gain from loss: the best leads by {most:.3}, though one cloud for all would be as probable"
            ),
            Some(most) => format!(
                "no adaptation leads the source's head {what}: the best is at {most:+.3}, where up to {MARGIN} is noise"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adaptation::VetoKind;
    use serde_json::Value;

    /// A pair of domains as `benches/adapt/choice.py --record` wrote it; the source's head is the first that was tried.
    struct Pair {
        real: bool,
        told: String,
        /// Accuracy on the target's labels, of each.
        accuracies: Vec<f64>,
        judged: Vec<Judged>,
        chosen: String,
    }

    fn recorded() -> Vec<Pair> {
        let path = format!("{}/tests/reference/choice.json", env!("CARGO_MANIFEST_DIR"));
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let of = |pair: &Value| {
            let tried = pair["tried"].as_array().unwrap();
            let judged = tried.iter().map(|one| {
                let scores =
                    ENSEMBLE.iter().map(|(name, _)| (*name, one["scores"][name].as_f64().unwrap()));
                let veto = || Veto { kind: VetoKind::LostClass, detail: "recorded".into() };
                let vetoes = one["vetoed"].as_bool().unwrap().then(veto).into_iter().collect();
                Judged {
                    name: text(&one["name"]),
                    scores: scores.collect(),
                    concentration: one["concentration"].as_f64().unwrap(),
                    vetoes,
                    lead: 0.0,
                }
            });
            Pair {
                real: pair["kind"] == "real",
                told: format!("{}, seed {}", text(&pair["pair"]), pair["seed"]),
                accuracies: tried.iter().map(|one| one["accuracy"].as_f64().unwrap()).collect(),
                judged: judged.collect(),
                chosen: text(&pair["chosen"]),
            }
        };
        all["pairs"].as_array().unwrap().iter().map(of).collect()
    }

    /// Films to products, with all features of an encoder: `label-shift` answers one class for nearly all, which is likely by
    /// itself, and would lose 15 points.
    #[test]
    fn uneven_answers_alone_gain_nothing() {
        let judged = |likelihood, concentration| Judged {
            name: "one".into(),
            scores: BTreeMap::from([("likelihood", likelihood), ("circular", 0.6), ("iwv", 0.8)]),
            concentration,
            vetoes: Vec::new(),
            lead: 0.0,
        };
        let own = judged(-0.056, -0.66);
        assert!(lead(&judged(0.076, -0.5), &own) < 0.0);
        // More even answers, or clusters that are clear, still lead.
        assert!((lead(&judged(0.072, -0.69), &own) - 0.128).abs() < 1e-12);
        assert!(lead(&judged(0.3, -0.5), &own) > 0.1);
        // What leads without a cluster is not taken: editorials, from products.
        let mut faint = judged(-0.07, -0.69);
        faint.lead = 0.075;
        assert_eq!(leader(std::slice::from_ref(&faint)), None);
        assert!(why(None, &[faint]).contains("do not lie in clusters"));
    }

    #[test]
    fn recorded_pairs_are_chosen_for_as_they_were_and_well() {
        let (mut reached, mut possible) = ([0.0; 2], [0.0; 2]);
        for mut pair in recorded() {
            let own = pair.judged.remove(0);
            pair.judged.iter_mut().for_each(|one| one.lead = lead(one, &own));
            let which = leader(&pair.judged).map_or(0, |i| i + 1);
            let name = if which == 0 { &own.name } else { &pair.judged[which - 1].name };
            assert_eq!(*name, pair.chosen, "{}", pair.told);
            let before = pair.accuracies[0];
            let best = pair.accuracies.iter().copied().fold(before, f64::max);
            let gain = pair.accuracies[which] - before;
            println!(
                "{}: {name} {:+.1} of {:+.1}",
                pair.told,
                100.0 * gain,
                100.0 * (best - before)
            );
            let kind = usize::from(pair.real);
            (reached[kind], possible[kind]) =
                (reached[kind] + gain, possible[kind] + best - before);
            assert!(!pair.real || gain >= 0.0, "{} loses {gain}", pair.told);
        }
        // Two thirds of what the best of each pair gains, on real pairs and over all.
        assert!(reached[1] >= 2.0 / 3.0 * possible[1], "{reached:?} of {possible:?}");
        let [reached, possible] = [reached, possible].map(|of| of.iter().sum::<f64>());
        assert!(reached >= 2.0 / 3.0 * possible, "{reached} of {possible}");
    }
}
