//! Density ratios by a classifier that tells the sides apart.

use super::weights::weighed;
use super::{Adapted, Adapter, Family, Options, Problem, Setting};
use crate::heads::{self, FitOptions, Head};
use crate::{Matrix, Result, StatsError, calibrate, content, cv};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "discriminator",
    summary: "weighs source rows by a classifier's odds that they are target rows, held out and calibrated",
    paper: "Bickel, Brückner & Scheffer 2009, Discriminative learning under covariate shift, JMLR 10",
    family: Family::Reweight,
    settings: &[CLIP],
    fit,
};

const CLIP: Setting = Setting {
    name: "clip",
    summary: "the largest weight, in mean weights",
    default: Some(20.0),
    range: (1.0, 1e6),
    choices: &[5.0, 20.0, 100.0],
};

/// Parts of cross-validation.
const FOLDS: usize = 5;

/// Strengths of the classifier: a wide net is enough, as its odds are calibrated.
const GRID: [f64; 4] = [1.0, 0.1, 0.01, 0.001];

/// `w = n_s/n_t · p(target | x)/p(source | x)` by logistic heads that had no part in the row, at one temperature
/// that is fitted to all held-out answers; then cut off. Takes a copy of all rows.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let (n, m) = (problem.source().n(), problem.target().n());
    // Rows in an order that only they decide, so that folds do not go by the caller's.
    let orders = [problem.source(), problem.target()].map(content::order);
    let sides = [(problem.source(), &orders[0]), (problem.target(), &orders[1])];
    let pooled: Vec<f32> =
        sides.iter().flat_map(|(x, order)| order.iter().flat_map(|&i| x.row(i))).copied().collect();
    let pooled = Matrix::new(n + m, problem.source().d(), pooled)
        .ok_or_else(|| StatsError::Unusable("a copy of both sides".into()))?;
    let is_target: Vec<u32> = (0..n + m).map(|i| u32::from(i >= n)).collect();
    let logit = held_out(problem, &pooled, &is_target)?;
    let scores: Vec<f64> = logit.iter().flat_map(|&logit| [0.0, logit]).collect();
    let calibrated = calibrate::scale_few(&scores, &is_target, 2)?;
    let odds = |logit: f64| (logit / calibrated.temperature).clamp(-500.0, 500.0).exp();
    let mut weights = vec![0.0; n];
    for (place, &i) in orders[0].iter().enumerate() {
        weights[i] = odds(logit[place]) * n as f64 / m as f64;
    }
    let clip = options.of(&CLIP).unwrap_or(20.0);
    let clipped = cut(&mut weights, clip);
    let adapted = weighed(problem, weights, ADAPTER.name)?;
    Ok(adapted
        .fact("temperature", calibrated.temperature)
        .fact("log_loss", calibrated.log_loss)
        .fact("clipped", clipped as f64))
}

/// The logit of every row being one of the target's.
fn held_out(problem: &Problem<'_>, pooled: &Matrix, is_target: &[u32]) -> Result<Vec<f64>> {
    let logistic =
        heads::find("logistic").ok_or_else(|| StatsError::Unusable("no head `logistic`".into()))?;
    let least = is_target.iter().filter(|&&t| t == 1).count().min(problem.source().n());
    let folds = FOLDS.min(least);
    let options = FitOptions {
        grid: GRID.to_vec(),
        folds,
        held: 2,
        tolerance: 1e-4,
        seed: problem.seed(),
        ..FitOptions::default()
    };
    let lambda = logistic.fit(pooled.rows(), is_target, 2, &options)?.lambda;
    let options = FitOptions { lambda, ..options };
    let fold_of = cv::stratified_folds(is_target, folds, problem.seed());
    let mut logit = vec![0.0; is_target.len()];
    for fold in 0..folds {
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..fold_of.len()).partition(|&i| fold_of[i] == fold);
        let labels: Vec<u32> = kept.iter().map(|&i| is_target[i]).collect();
        let own = Matrix::gather(pooled.rows(), &kept);
        let head = match logistic.fit(own.rows(), &labels, 2, &options)?.head {
            Head::Linear(head) => head,
            _ => return Err(StatsError::Unusable("the logistic head is not linear".into())),
        };
        let scores = head.scores(Matrix::gather(pooled.rows(), &held).rows());
        for (&i, scores) in held.iter().zip(scores.chunks_exact(2)) {
            logit[i] = scores[1] - scores[0];
        }
    }
    Ok(logit)
}

/// Cuts weights off at `most` times their mean of afterwards; how many were.
fn cut(weights: &mut [f64], most: f64) -> usize {
    let mut order: Vec<f64> = weights.to_vec();
    order.sort_by(f64::total_cmp);
    let n = order.len() as f64;
    let mut sum: f64 = order.iter().sum();
    let mut clipped = 0;
    // With the k largest at c, the mean is (rest + k c)/n, so c = most · rest/(n − most · k).
    for &largest in order.iter().rev() {
        let left = n - most * clipped as f64;
        let cap = if left > 0.0 { most * sum / left } else { f64::INFINITY };
        if largest <= cap || left <= most {
            let at = if clipped == 0 { f64::INFINITY } else { cap };
            weights.iter_mut().for_each(|w| *w = w.min(at));
            return clipped;
        }
        sum -= largest;
        clipped += 1;
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn no_weight_exceeds_the_clip_in_mean_weights() {
        let mut weights: Vec<f64> = (0..100).map(|i| f64::from(i * i * i)).collect();
        let clipped = cut(&mut weights, 3.0);
        let mean = weights.iter().sum::<f64>() / 100.0;
        let largest = weights.iter().copied().fold(0.0, f64::max);
        assert!(clipped > 0 && largest <= 3.0 * mean * (1.0 + 1e-9), "{largest} and {mean}");
        let mut even = vec![1.0, 2.0, 1.5];
        assert_eq!((cut(&mut even, 3.0), even), (0, vec![1.0, 2.0, 1.5]));
    }
}
