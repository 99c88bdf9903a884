//! What kind of mismatch lies between two sets of features, and what to do about it.
//!
//! [`compare`] asks in turn: do the inputs differ at all? If so, is that explained by classes being more or
//! less frequent? And where the target has labels: do the same inputs have other ones?

mod answers;
mod classes;
mod prescription;
mod residual;
mod verdict;

use serde::{Deserialize, Serialize};

pub use classes::ClassShift;
pub use prescription::{Action, Prescription};
pub use verdict::{Kind, Verdict};

use crate::concept::{Concept, Judged, probe};
use crate::distances::{self, FeatureShift, Measure, Pair, combined};
use crate::label_shift::{self, Estimate, Homogeneity, Problem, homogeneity};
use crate::{Matrix, Result, Rows, StatsError};
use answers::Answers;

/// Features of one side.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// `[n, d]`.
    pub rows: Rows<'a>,
    /// One for each row, `None` where it is not known; empty where none is.
    pub labels: &'a [Option<u32>],
}

/// How two sets are compared.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Permutations and resamples of the distances.
    pub distances: distances::Options,
    /// Chance of seeing a mismatch where none is.
    pub level: f64,
    /// Rows of each side, at most, in the test of what reweighting leaves.
    pub most_left: usize,
    /// Rows of each side, at most, in the comparison of one class.
    pub most_each: usize,
}

impl Default for Options {
    fn default() -> Self {
        let distances = distances::Options::default();
        Self { distances, level: 0.05, most_left: 4000, most_each: 300 }
    }
}

/// Labels that a probe or a head needs, on each side.
const FEWEST_LABELS: usize = 20;

/// Condition of the confusion matrix up to which it is inverted as it is.
const MOST_CONDITION: f64 = 100.0;

/// What the source's own labels say of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Share of each class in the source.
    pub source: Vec<f64>,
    /// Its estimated share in the target.
    pub estimate: Estimate,
    /// Its share among the target's labels, where these are enough.
    pub known: Option<Vec<f64>>,
    /// Whether the classifier's answers are as frequent on both sides.
    pub answers: Homogeneity,
    /// Whether the labels are, where the target's are known.
    pub labels: Option<Homogeneity>,
    /// The p-value of what is left when source classes are drawn as often as in the target.
    pub residual_p: Option<f64>,
    /// Held-out accuracy of the classifier on the source.
    pub source_accuracy: f64,
    /// On the target, where labels are known.
    pub target_accuracy: Option<f64>,
    /// What its calibrated certainty leads to expect there (Guillory et al. 2021, difference of confidences).
    pub expected_accuracy: f64,
    /// Accuracy on the target of a classifier of its own labels, cross-validated.
    pub own_accuracy: Option<f64>,
}

/// Everything that [`compare`] found.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Every distance, in the registry's order.
    pub measures: Vec<Measure>,
    /// That inputs differ: one p-value of all tests.
    pub inputs_p: f64,
    /// Rows of both sides behind the tests.
    pub used: [usize; 2],
    /// Where the source has labels.
    pub labels: Option<Labels>,
    /// Where the target has labels, too.
    pub concept: Option<Concept>,
    /// Where the source has labels; by the target's labels or by the classifier's answers.
    pub classes: Vec<ClassShift>,
    /// The feature that moved most first.
    pub features: Vec<FeatureShift>,
    /// Which kinds of mismatch there are.
    pub verdict: Verdict,
    /// What to do.
    pub prescription: Prescription,
}

/// How large a mismatch is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// Told apart in less than 55 of 100 cases.
    Tiny,
    /// Less than 65.
    Small,
    /// Less than 80.
    Medium,
    /// Less than 95.
    Large,
    /// 95 and more.
    Separate,
}

impl Size {
    /// From the balanced accuracy of `c2st`.
    pub fn of(accuracy: f64) -> Self {
        match accuracy {
            a if a < 0.55 => Self::Tiny,
            a if a < 0.65 => Self::Small,
            a if a < 0.80 => Self::Medium,
            a if a < 0.95 => Self::Large,
            _ => Self::Separate,
        }
    }

    /// As a sentence's part.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Separate => "very large",
        }
    }
}

impl Findings {
    /// A distance by its name.
    pub fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().find(|m| m.name == name)
    }

    /// How large the mismatch of inputs is.
    pub fn size(&self) -> Size {
        Size::of(self.measure("c2st").map_or(0.5, |m| m.value))
    }
}

/// Compares two sets of features; classes are below `n_classes`.
///
/// # Errors
/// As [`Pair::new`]; labels that do not fit.
pub fn compare(
    source: Set<'_>,
    target: Set<'_>,
    n_classes: usize,
    options: &Options,
) -> Result<Findings> {
    for (set, name) in [(&source, "source"), (&target, "target")] {
        check_labels(set, name, n_classes)?;
    }
    let seed = options.distances.seed;
    let pair = Pair::new(source.rows, target.rows, options.distances)?;
    let measures: Vec<Measure> =
        distances::all().iter().map(|d| d.of(&pair)).collect::<Result<_>>()?;
    let inputs_p = combined(&measures).unwrap_or(1.0);
    let known = Known::of(source);
    let own = Known::of(target);
    let answers = match known.usable() {
        true => Some(Answers::of(&known, target.rows, n_classes, seed)?),
        false => None,
    };
    let (mut labels, mut concept, mut classes) = (None, None, Vec::new());
    if let Some(answers) = &answers {
        let mut found = labels_of(answers, &known, &own, n_classes, options)?;
        if inputs_p <= options.level {
            let weights = match &found.known {
                Some(shares) => ratio(shares, &found.source),
                None => found.estimate.weights.clone(),
            };
            found.residual_p = residual::test(&known, target.rows, &weights, options)?;
        }
        if own.usable() {
            let right = answers::out_of_fold(&own, n_classes, seed)?;
            found.own_accuracy = Some(answers::accuracy(&right, &own.labels));
            concept = judged(&pair, answers, &known, &own, &right, options)?;
        }
        classes = classes::shifts(answers, &known, target, &own, &found, options)?;
        labels = Some(found);
    }
    let features = distances::features(&pair);
    let verdict = Verdict::of(inputs_p, labels.as_ref(), concept.as_ref(), options.level);
    let accuracy = measures.iter().find(|m| m.name == "c2st").map_or(0.5, |m| m.value);
    let prescription = Prescription::of(&verdict, labels.as_ref(), concept.as_ref(), accuracy);
    Ok(Findings {
        measures,
        inputs_p,
        used: pair.used(),
        labels,
        concept,
        classes,
        features,
        verdict,
        prescription,
    })
}

/// Rows whose label is known.
struct Known {
    rows: Matrix,
    labels: Vec<u32>,
    /// Places among all rows.
    places: Vec<usize>,
}

impl Known {
    fn of(set: Set<'_>) -> Self {
        let (places, labels): (Vec<usize>, Vec<u32>) =
            set.labels.iter().enumerate().filter_map(|(i, label)| Some((i, (*label)?))).unzip();
        Self { rows: Matrix::gather(set.rows, &places), labels, places }
    }

    /// Enough to fit a classifier and judge it.
    fn usable(&self) -> bool {
        let first = self.labels.first();
        self.labels.len() >= FEWEST_LABELS && self.labels.iter().any(|label| Some(label) != first)
    }
}

fn check_labels(set: &Set<'_>, name: &str, n_classes: usize) -> Result<()> {
    if !set.labels.is_empty() && set.labels.len() != set.rows.n() {
        return Err(StatsError::Shape {
            expected: format!("{} labels of the {name}", set.rows.n()),
            actual: set.labels.len().to_string(),
        });
    }
    match set.labels.iter().position(|l| l.is_some_and(|l| l as usize >= n_classes)) {
        None => Ok(()),
        Some(row) => Err(StatsError::Shape {
            expected: format!("labels of the {name} below {n_classes}"),
            actual: format!("{:?} (row {row})", set.labels[row]),
        }),
    }
}

fn ratio(target: &[f64], source: &[f64]) -> Vec<f64> {
    target.iter().zip(source).map(|(t, s)| if *s > 0.0 { t / s } else { 0.0 }).collect()
}

fn shares(labels: &[u32], n_classes: usize) -> Vec<f64> {
    let counts = crate::check::counts(labels, n_classes);
    counts.iter().map(|&count| count as f64 / labels.len().max(1) as f64).collect()
}

fn labels_of(
    answers: &Answers,
    known: &Known,
    own: &Known,
    n_classes: usize,
    options: &Options,
) -> Result<Labels> {
    let distances::Options { permutations, seed, .. } = options.distances;
    let problem = Problem::new(&answers.source, &known.labels, &answers.target)?;
    let by = |name: &str| -> Result<Estimate> {
        let found = label_shift::find(name).map(|estimator| estimator.of(&problem));
        found.unwrap_or_else(|| Err(StatsError::Unusable(format!("no estimator `{name}`"))))
    };
    // What a confusion matrix would blow up is held back.
    let estimate = match by("bbse") {
        Ok(estimate) if estimate.condition <= MOST_CONDITION => estimate,
        _ => by("rlls")?,
    };
    let said = |of: &crate::Probabilities| (0..of.n()).map(|i| of.predicted(i)).collect::<Vec<_>>();
    let (source_said, target_said) = (said(&answers.source), said(&answers.target));
    let test = homogeneity(&source_said, &target_said, n_classes, permutations, seed)?;
    let of_labels = match own.usable() {
        true => Some(homogeneity(&known.labels, &own.labels, n_classes, permutations, seed)?),
        false => None,
    };
    let right = |said: &[u32], labels: &[u32]| {
        let hits = said.iter().zip(labels).filter(|(a, b)| a == b).count();
        hits as f64 / labels.len().max(1) as f64
    };
    let on_own: Vec<u32> = own.places.iter().map(|&place| target_said[place]).collect();
    let source_accuracy = right(&source_said, &known.labels);
    let fall = answers.confidence[0] - answers.confidence[1];
    Ok(Labels {
        source: shares(&known.labels, n_classes),
        estimate,
        known: own.usable().then(|| shares(&own.labels, n_classes)),
        answers: test,
        labels: of_labels,
        residual_p: None,
        source_accuracy,
        target_accuracy: own.usable().then(|| right(&on_own, &own.labels)),
        expected_accuracy: (source_accuracy - fall).clamp(0.0, 1.0),
        own_accuracy: None,
    })
}

fn judged(
    pair: &Pair<'_>,
    answers: &Answers,
    known: &Known,
    own: &Known,
    right: &crate::Probabilities,
    options: &Options,
) -> Result<Option<Concept>> {
    let [source_scores, target_scores] = pair.scores()?;
    let of_source: Vec<Judged> = known
        .places
        .iter()
        .enumerate()
        .filter_map(|(i, &place)| {
            let wrong = answers.source.predicted(i) != known.labels[i];
            Some(Judged { score: source_scores[place]?, wrong, own_wrong: false })
        })
        .collect();
    let of_target: Vec<Judged> = own
        .places
        .iter()
        .enumerate()
        .filter_map(|(i, &place)| {
            Some(Judged {
                score: target_scores[place]?,
                wrong: answers.target.predicted(place) != own.labels[i],
                own_wrong: right.predicted(i) != own.labels[i],
            })
        })
        .collect();
    if of_source.is_empty() || of_target.is_empty() {
        return Ok(None);
    }
    let distances::Options { permutations, seed, .. } = options.distances;
    probe(&of_source, &of_target, permutations, seed).map(Some)
}
