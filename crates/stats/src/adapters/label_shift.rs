//! Correction of a head for classes that are more or less frequent.

use super::{Adapted, Adapter, Family, Options, Problem, View};
use crate::heads::Targets;
use crate::{Matrix, Probabilities, Result, StatsError, content, label_shift};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "label-shift",
    summary: "corrects the source's head for classes that are more or less frequent in the target",
    paper: "Saerens et al. 2002; Alexandari et al. 2020, arXiv:1901.06852",
    family: Family::Labels,
    settings: &[],
    fit,
};

const FOLDS: usize = 5;

/// The least ratio of a class's frequencies: an estimate of 0 is no certainty.
const LEAST: f64 = 1e-3;

/// `p_t(y | x) ∝ p_s(y | x) p_t(y)/p_s(y)`: the logarithm of the ratio is added to scores of target rows. Ratios are
/// those of `mlls`, by heads that had no part in the source rows which they answer for; `rlls` where that fails.
fn fit(problem: &Problem<'_>, _: &Options) -> Result<Adapted> {
    let (source, target) = answers(problem)?;
    let asked = label_shift::Problem::new(&source, problem.labels(), &target)?;
    let estimate =
        ["mlls", "rlls"].iter().filter_map(|name| label_shift::find(name)).find_map(|estimator| {
            estimator.of(&asked).ok().filter(|e| e.weights.iter().all(|w| w.is_finite()))
        });
    let estimate = estimate.ok_or_else(|| {
        StatsError::Unusable("no estimator of label shift finds the classes' frequencies".into())
    })?;
    // A class without source samples stays what it is: nothing is known of it.
    let log_ratio = |(weight, share): (&f64, &usize)| match share {
        0 => 0.0,
        _ => weight.max(LEAST).ln(),
    };
    let counts = crate::check::counts(problem.labels(), problem.n_classes());
    let prior = estimate.weights.iter().zip(&counts).map(log_ratio).collect();
    let head = problem.source_head()?.0.clone();
    let adapted = Adapted { prior, ..problem.adapted(View::Raw, View::Raw, head) };
    let adapted = match estimate.condition.is_finite() {
        true => adapted.fact("condition", estimate.condition),
        false => adapted,
    };
    let moved = estimate.shares.iter().zip(&counts);
    let n = problem.labels().len() as f64;
    let moved: f64 = moved.map(|(share, &count)| (share - count as f64 / n).abs()).sum();
    Ok(adapted.fact("classes_moved", 0.5 * moved))
}

/// Of source rows by heads without them, and of target rows by the same heads in turn.
fn answers(problem: &Problem<'_>) -> Result<(Probabilities, Probabilities)> {
    let (n, m, classes) = (problem.source().n(), problem.target().n(), problem.n_classes());
    let folds = FOLDS.min(n);
    let source_turn = content::folds(problem.source(), problem.labels(), classes, folds);
    let mut target_turn = vec![0; m];
    content::order(problem.target())
        .iter()
        .enumerate()
        .for_each(|(at, &i)| target_turn[i] = at % folds);
    let mut out = [vec![0.0; n * classes], vec![0.0; m * classes]];
    for fold in 0..folds {
        let kept: Vec<usize> = (0..n).filter(|&i| source_turn[i] != fold).collect();
        if kept.is_empty() {
            return Err(StatsError::Unusable(format!(
                "`label-shift` needs samples to hold out, got {n} in the source"
            )));
        }
        let labels: Vec<u32> = kept.iter().map(|&i| problem.labels()[i]).collect();
        let rows = Matrix::gather(problem.source(), &kept);
        let head = problem.fit_head(rows.rows(), Targets::Labels(&labels), &[])?;
        let head = crate::heads::Head::Linear(head);
        for ((rows, turn), out) in
            [(problem.source(), &source_turn), (problem.target(), &target_turn)]
                .into_iter()
                .zip(&mut out)
        {
            let own: Vec<usize> = (0..rows.n()).filter(|&i| turn[i] == fold).collect();
            let said = head.predict(Matrix::gather(rows, &own).rows())?;
            for (&i, row) in own.iter().zip(said.rows()) {
                out[i * classes..][..classes].copy_from_slice(row);
            }
        }
    }
    let [source, target] = out.map(|data| {
        Probabilities::new(classes, data)
            .ok_or_else(|| StatsError::Unusable("answers without classes".into()))
    });
    Ok((source?, target?))
}
