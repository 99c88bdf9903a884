//! Which classes moved.

use offshoot_random::permutation;

use super::answers::Answers;
use super::{Known, Labels, Options, Set};
use crate::distances::{self, Pair};
use crate::{Matrix, Result, Rows};

/// Classes that are looked at, the most frequent first.
const MOST_CLASSES: usize = 50;

/// Rows that a class needs on both sides.
const FEWEST: usize = 5;

/// Permutations of one class's test.
const PERMUTATIONS: usize = 499;

/// One class on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassShift {
    /// Which.
    pub class: usize,
    /// Its share in the source.
    pub source: f64,
    /// Its share in the target: of the labels, or as estimated.
    pub target: f64,
    /// Energy distance between its rows on both sides, from 0 to 1; `None` where one side has too few.
    pub distance: Option<f64>,
    /// Of that distance, corrected for the number of classes (Holm 1979).
    pub p_value: Option<f64>,
    /// The source's classifier on the target's labelled rows of the class.
    pub accuracy: Option<f64>,
    /// The same on the source.
    pub source_accuracy: f64,
}

/// Every class of the source, by the target's labels or, without, by the classifier's answers on both
/// sides; the class that moved most first.
pub fn shifts(
    answers: &Answers,
    known: &Known,
    target: Set<'_>,
    own: &Known,
    labels: &Labels,
    options: &Options,
) -> Result<Vec<ClassShift>> {
    let labelled = own.usable();
    let source_says: Vec<u32> = match labelled {
        true => known.labels.clone(),
        false => (0..known.labels.len()).map(|i| answers.source.predicted(i)).collect(),
    };
    let target_says: Vec<Option<u32>> = match labelled {
        true => target.labels.to_vec(),
        false => (0..target.rows.n()).map(|i| Some(answers.target.predicted(i))).collect(),
    };
    let mut order: Vec<usize> = (0..labels.source.len()).collect();
    order.sort_by(|&a, &b| labels.source[b].total_cmp(&labels.source[a]).then(a.cmp(&b)));
    let of_target = labels.known.as_ref().unwrap_or(&labels.estimate.shares);
    let mut out = Vec::new();
    for class in order.into_iter().take(MOST_CLASSES) {
        let is = |label: u32| label as usize == class;
        let source_rows: Vec<usize> =
            (0..source_says.len()).filter(|&i| is(source_says[i])).collect();
        let target_rows: Vec<usize> =
            (0..target_says.len()).filter(|&i| target_says[i].is_some_and(is)).collect();
        let test =
            test(known.rows.rows(), &source_rows, target.rows, &target_rows, class, options)?;
        let hits = |said: &dyn Fn(usize) -> u32, rows: &[usize]| {
            let hits = rows.iter().filter(|&&i| is(said(i))).count();
            hits as f64 / rows.len().max(1) as f64
        };
        let of_class: Vec<usize> =
            (0..known.labels.len()).filter(|&i| is(known.labels[i])).collect();
        let accuracy = (labelled && !target_rows.is_empty())
            .then(|| hits(&|i| answers.target.predicted(i), &target_rows));
        out.push(ClassShift {
            class,
            source: labels.source[class],
            target: of_target[class],
            distance: test.map(|t| t.0),
            p_value: test.and_then(|t| t.1),
            accuracy,
            source_accuracy: hits(&|i| answers.source.predicted(i), &of_class),
        });
    }
    correct(&mut out);
    out.sort_by(|a, b| {
        let moved = |c: &ClassShift| c.distance.unwrap_or(-1.0);
        moved(b).total_cmp(&moved(a)).then(a.class.cmp(&b.class))
    });
    Ok(out)
}

/// Energy distance and its p-value on some rows of both sides.
fn test(
    source: Rows<'_>,
    source_rows: &[usize],
    target: Rows<'_>,
    target_rows: &[usize],
    class: usize,
    options: &Options,
) -> Result<Option<(f64, Option<f64>)>> {
    if source_rows.len() < FEWEST || target_rows.len() < FEWEST {
        return Ok(None);
    }
    let seed = options.distances.seed;
    let some = |rows: Rows<'_>, of: &[usize], purpose: &str| {
        let order = permutation(of.len(), seed, purpose, class as u64);
        let chosen: Vec<usize> = order.into_iter().take(options.most_each).map(|i| of[i]).collect();
        Matrix::gather(rows, &chosen)
    };
    let source = some(source, source_rows, "class of source");
    let target = some(target, target_rows, "class of target");
    let permutations = options.distances.permutations.min(PERMUTATIONS);
    let few = distances::Options { permutations, resamples: 0, seed };
    let pair = Pair::new(source.rows(), target.rows(), few)?;
    let Some(energy) = distances::find("energy") else { return Ok(None) };
    let measure = energy.of(&pair)?;
    Ok(Some((measure.value, measure.p_value)))
}

/// Holm's correction.
fn correct(classes: &mut [ClassShift]) {
    let mut tested: Vec<usize> =
        (0..classes.len()).filter(|&i| classes[i].p_value.is_some()).collect();
    let p = |classes: &[ClassShift], i: usize| classes[i].p_value.unwrap_or(1.0);
    tested.sort_by(|&a, &b| p(classes, a).total_cmp(&p(classes, b)));
    let mut least = 0.0f64;
    for (rank, &i) in tested.iter().enumerate() {
        least = least.max((tested.len() - rank) as f64 * p(classes, i)).min(1.0);
        classes[i].p_value = Some(least);
    }
}
