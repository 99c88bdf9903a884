//! The clipped surrogate with its slopes (Schulman et al. 2017, arXiv:1707.06347).

use super::PpoSettings;

/// ½·log 2π.
const HALF_LOG_TAU: f32 = 0.918_938_5;

/// Turns logits of each row into logarithms of probabilities.
pub(crate) fn log_softmax(actions: usize, logits: &mut [f32]) {
    for row in logits.chunks_exact_mut(actions) {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|z| (z - top).exp()).sum();
        let log = top + sum.ln();
        row.iter_mut().for_each(|z| *z -= log);
    }
}

/// Logarithm of the density of a normal action, components independent.
pub(crate) fn log_density(action: &[f32], mean: &[f32], log_std: &[f32]) -> f32 {
    let each = action.iter().zip(mean).zip(log_std);
    each.map(|((a, mu), log)| {
        let z = (a - mu) / log.exp();
        -0.5 * z * z - log - HALF_LOG_TAU
    })
    .sum()
}

/// What the clipped surrogate says of one sample: its loss, and its slope by the logarithm of the
/// probability of the action.
///
/// −min(r·A, clip(r, 1 − ε, 1 + ε)·A) for r = exp(log p − log p_old).
fn surrogate(log_p: f32, old: f32, advantage: f32, clip: f32) -> (f32, f32) {
    let ratio = (log_p - old).exp();
    let plain = -advantage * ratio;
    let clipped = -advantage * ratio.clamp(1.0 - clip, 1.0 + clip);
    // Where the clipped one is larger, the ratio is outside and nothing pulls it.
    if plain >= clipped { (plain, plain) } else { (clipped, 0.0) }
}

/// What the loss was, by parts, as the mean over a minibatch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Losses {
    /// Clipped surrogate.
    pub policy: f32,
    /// Of the value function, before its weight.
    pub value: f32,
    /// Of the policy.
    pub entropy: f32,
}

/// Samples of a minibatch, as they were when they were drawn.
pub(crate) struct Samples<'a> {
    /// Log-probability of the action.
    pub log_p: &'a [f32],
    /// Normalised over the minibatch.
    pub advantages: &'a [f32],
}

/// Loss of categorical actions and its slopes by the logits `[rows, actions]`, which are replaced.
/// `towards` are a teacher's probabilities and their weight.
pub(crate) fn categorical(
    settings: &PpoSettings,
    actions: usize,
    chosen: &[f32],
    samples: &Samples<'_>,
    towards: Option<(&[f32], f32)>,
    logits: &mut [f32],
) -> Losses {
    let n = chosen.len() as f32;
    let mut losses = Losses::default();
    log_softmax(actions, logits);
    for (i, row) in logits.chunks_exact_mut(actions).enumerate() {
        let action = chosen[i] as usize;
        let (loss, by_log_p) =
            surrogate(row[action], samples.log_p[i], samples.advantages[i], settings.clip);
        let entropy = -row.iter().map(|l| l.exp() * l).sum::<f32>();
        losses.policy += loss / n;
        losses.entropy += entropy / n;
        for (j, l) in row.iter_mut().enumerate() {
            let p = l.exp();
            let picked = if j == action { 1.0 } else { 0.0 };
            // ∂ log p(a)/∂z_j = [j = a] − p_j and ∂H/∂z_j = −p_j·(log p_j + H).
            let mut slope = by_log_p * (picked - p) + settings.entropy * p * (*l + entropy);
            if let Some((teacher, weight)) = towards {
                slope += weight * (p - teacher[i * actions + j]);
            }
            *l = slope / n;
        }
    }
    losses
}

/// Loss of normal actions and its slopes by the means `[rows, actions]`, which are replaced, and by the
/// logarithms of the deviations. `towards` are a teacher's means and their weight.
pub(crate) fn normal(
    settings: &PpoSettings,
    log_std: &[f32],
    chosen: &[f32],
    samples: &Samples<'_>,
    towards: Option<(&[f32], f32)>,
    means: &mut [f32],
    by_log_std: &mut [f32],
) -> Losses {
    let actions = log_std.len();
    let n = samples.log_p.len() as f32;
    let mut losses = Losses {
        entropy: log_std.iter().map(|log| 0.5 + HALF_LOG_TAU + log).sum(),
        ..Losses::default()
    };
    by_log_std.fill(-settings.entropy);
    let rows = means.chunks_exact_mut(actions).zip(chosen.chunks_exact(actions));
    for (i, (mean, action)) in rows.enumerate() {
        let log_p = log_density(action, mean, log_std);
        let (loss, by_log_p) =
            surrogate(log_p, samples.log_p[i], samples.advantages[i], settings.clip);
        losses.policy += loss / n;
        for j in 0..actions {
            let variance = (2.0 * log_std[j]).exp();
            let gap = action[j] - mean[j];
            by_log_std[j] += by_log_p * (gap * gap / variance - 1.0) / n;
            let mut slope = by_log_p * gap / variance;
            if let Some((teacher, weight)) = towards {
                // Of the divergence between normals of the student's width.
                slope += weight * (mean[j] - teacher[i * actions + j]) / variance;
            }
            mean[j] = slope / n;
        }
    }
    losses
}

/// Loss ½·mean of the squared errors and its slopes by the values, which are replaced, both before
/// `settings.value`; with clipping, of the larger error of the value and of one that may only move by ε.
pub(crate) fn values(
    settings: &PpoSettings,
    old: &[f32],
    returns: &[f32],
    values: &mut [f32],
) -> f32 {
    let n = values.len() as f32;
    let mut loss = 0.0;
    for (value, (old, target)) in values.iter_mut().zip(old.iter().zip(returns)) {
        let error = *value - target;
        let moved = (*value - old).clamp(-settings.clip, settings.clip);
        let clipped = old + moved - target;
        let inside = moved == *value - old;
        let takes_clipped = settings.clip_values && clipped * clipped > error * error;
        let (square, slope) = match takes_clipped {
            true => (clipped * clipped, if inside { clipped } else { 0.0 }),
            false => (error * error, error),
        };
        loss += 0.5 * square / n;
        *value = slope / n;
    }
    loss
}
