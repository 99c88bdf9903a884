//! Classifiers on frozen features.
//!
//! [`all`] is the registry: the word that a user types, the file that implements it. A fitted head
//! is a plain value ([`Head`]) that can be stored and applied to raw features.

mod centroid;
mod knn;
mod lda;
mod limit;
mod linear;
mod logistic;
mod ridge;
mod viewed;

use serde::{Deserialize, Serialize};

pub use centroid::Centroids;
pub use knn::Neighbours;
pub(crate) use lda::class_means;
#[cfg(test)]
pub(crate) use lda::ledoit_wolf;
pub use limit::Limit;
pub use linear::Linear;
pub(crate) use linear::Scaling;
pub use logistic::Targets;
pub(crate) use logistic::cross_validated;
pub use viewed::Viewed;

use crate::{Probabilities, Result, Rows, StatsError, check};

/// How a head is fitted.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Regularisation strength; `None` chooses it by cross-validation where the head has one.
    pub lambda: Option<f64>,
    /// Strengths that cross-validation tries.
    pub grid: Vec<f64>,
    /// Folds of cross-validation.
    pub folds: usize,
    /// How many of the folds are held out in turn, at most: fewer cost less and tell less.
    pub held: usize,
    /// Largest gradient at which an iterative fit has converged.
    pub tolerance: f64,
    /// Weigh samples by `n/(C·n_c)`.
    pub balanced: bool,
    /// Fit on features of mean 0 and like variance (damped, so that what hardly varies is not blown up);
    /// folded back, so that the head takes raw features.
    pub standardise: bool,
    /// Widths of blocks of features that come from several sources: each block is scaled by itself and keeps its
    /// share of the total variance, so that weights of sources have a say. Empty for one block.
    pub blocks: Vec<usize>,
    /// Keys every random draw.
    pub seed: u64,
    /// Ends an iterative fit early.
    pub limit: Limit,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            lambda: None,
            grid: (0..7).map(|i| 10f64.powf(1.0 - 0.75 * f64::from(i))).collect(),
            folds: 5,
            held: usize::MAX,
            tolerance: 1e-6,
            balanced: false,
            standardise: true,
            blocks: Vec::new(),
            seed: 0,
            limit: Limit::default(),
        }
    }
}

/// Cross-validated log-loss of one strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CvPoint {
    /// Strength.
    pub lambda: f64,
    /// Mean over held-out samples.
    pub log_loss: f64,
}

/// A fitted head and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The classifier.
    pub head: Head,
    /// Strength that was used, where the head has one.
    pub lambda: Option<f64>,
    /// What cross-validation saw; empty where the strength was given.
    pub path: Vec<CvPoint>,
    /// Whether each sample was recognised while it was held out, at the strength that was chosen; `None`
    /// for samples that were not held out. Empty without cross-validation.
    pub held_out: Vec<Option<bool>>,
    /// `−ln p` of each sample's class while it was held out, at that strength. Empty for heads that are no
    /// likelihoods.
    pub held_out_losses: Vec<Option<f64>>,
    /// Iterations of the final fit; 0 for closed forms.
    pub iterations: usize,
    /// Whether the solver reached its tolerance.
    pub converged: bool,
}

impl Fitted {
    fn closed_form(head: Head) -> Self {
        Self {
            head,
            lambda: None,
            path: Vec::new(),
            held_out: Vec::new(),
            held_out_losses: Vec::new(),
            iterations: 0,
            converged: true,
        }
    }
}

/// A classifier that takes raw features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Softmax of a linear map: logistic, ridge, LDA.
    Linear(Linear),
    /// Vote of the nearest training samples.
    Neighbours(Neighbours),
    /// Distance to class means.
    Centroids(Centroids),
    /// Softmax of a linear map of what a view shows of the features.
    Viewed(Viewed),
}

impl Head {
    /// Probabilities of every class, `[n, classes]`.
    pub fn predict(&self, rows: Rows<'_>) -> Result<Probabilities> {
        check::width(rows, self.d())?;
        check::finite(rows)?;
        let scores = match self {
            Self::Linear(head) => head.scores(rows),
            Self::Centroids(head) => head.scores(rows),
            Self::Viewed(head) => head.scores(rows)?,
            Self::Neighbours(head) => return head.predict(rows),
        };
        Probabilities::softmax(self.n_classes(), scores)
            .ok_or_else(|| StatsError::Unusable("a head without classes".into()))
    }

    /// Number of features.
    pub fn d(&self) -> usize {
        match self {
            Self::Linear(head) => head.d,
            Self::Neighbours(head) => head.d,
            Self::Centroids(head) => head.d,
            Self::Viewed(head) => head.view.d().unwrap_or(head.head.d),
        }
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        match self {
            Self::Linear(head) => head.bias.len(),
            Self::Neighbours(head) => head.n_classes,
            Self::Centroids(head) => head.present.len(),
            Self::Viewed(head) => head.head.bias.len(),
        }
    }
}

/// A head of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    fit: fn(Rows<'_>, &[u32], usize, &FitOptions) -> Result<Fitted>,
}

impl Entry {
    /// Fits the head to `rows` `[n, d]` with `labels` below `n_classes`.
    ///
    /// # Errors
    /// Lengths that do not fit, labels out of range, values that are not finite (the row is named).
    pub fn fit(
        &self,
        rows: Rows<'_>,
        labels: &[u32],
        n_classes: usize,
        options: &FitOptions,
    ) -> Result<Fitted> {
        check::labelled(rows, labels, n_classes)?;
        (self.fit)(rows, labels, n_classes, options)
    }
}

/// All heads in alphabetical order.
pub fn all() -> &'static [Entry] {
    &[centroid::ENTRY, knn::ENTRY, lda::ENTRY, logistic::ENTRY, ridge::ENTRY]
}

/// The head called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.name == name)
}

/// Logistic regression of strength `lambda` on rows that count more or less, or that belong to several
/// classes in parts: `Σ ωᵢ·CE(softmax(W xᵢ + b), tᵢ)/Σ ωᵢ + λ/2 ‖W‖²`. Empty `weights` count all alike;
/// `lambda` of the options is not looked at.
///
/// # Errors
/// As [`Entry::fit`]; weights that are negative or all 0; shares that do not sum to 1.
pub fn weighted_logistic(
    rows: Rows<'_>,
    targets: Targets<'_>,
    weights: &[f64],
    n_classes: usize,
    lambda: f64,
    options: &FitOptions,
) -> Result<Fitted> {
    logistic::weighted(rows, targets, weights, n_classes, lambda, options)
}

/// Weight of every class: 1, or `n/(C·n_c)` over the classes that are present.
fn class_weights(labels: &[u32], n_classes: usize, balanced: bool) -> Vec<f64> {
    let counts = check::counts(labels, n_classes);
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match (balanced, count) {
        (false, _) => 1.0,
        (true, 0) => 0.0,
        (true, _) => labels.len() as f64 / (present as f64 * count as f64),
    };
    counts.iter().map(weight).collect()
}

/// Whether `label` has the highest of the scores; the first of equals counts.
fn is_right(scores: &[f64], label: usize) -> bool {
    (0..scores.len()).fold(0, |best, c| if scores[c] > scores[best] { c } else { best }) == label
}
