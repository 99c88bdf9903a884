//! How sure the first head is of the samples that it was fitted on.
//!
//! A head that was fitted to convergence on few samples is certain of them, right or wrong elsewhere: their
//! loss is nearly 0, so is its gradient, and the network below would learn next to nothing (Tomihara &
//! Sato 2024, arXiv:2405.16747, who find the same in the head's norm). While tuning, logits are therefore
//! divided by a temperature in the loss, as distillation does: that at which samples of the training split
//! are as surprising as those of validation. The head itself stays as it was fitted.

use offshoot_stats::heads::Head;
use offshoot_stats::{Probabilities, calibrate};

use super::judge;
use crate::Result;
use crate::extract::Extraction;

/// Beyond this, all classes are as good as equal.
const MOST: f64 = 100.0;
/// Halvings of the range in which the temperature lies.
const HALVINGS: usize = 40;

/// Samples, and their labels.
pub type Labelled<'a> = (&'a [usize], &'a [u32]);

/// The temperature at which the loss of `head` on `fitted`, by which it was fitted, is its calibrated loss on
/// `held_out`; 1 where it already is, and where nothing was held out.
pub fn temperature(
    head: &Head,
    extraction: &Extraction,
    fitted: Labelled<'_>,
    held_out: Labelled<'_>,
) -> Result<f64> {
    if held_out.0.is_empty() {
        return Ok(1.0);
    }
    let of = |(samples, _): Labelled<'_>| -> Result<Probabilities> {
        Ok(head.predict(extraction.gather(samples)?.rows())?)
    };
    let log_loss = judge::metric("log_loss")?;
    let (seen, unseen) = (of(fitted)?, of(held_out)?);
    let calibrated = crate::head::temperature(&unseen, held_out.1)?;
    let goal = log_loss.of(&calibrate::soften(&unseen, calibrated), held_out.1)?;
    between(|t| Ok(log_loss.of(&calibrate::soften(&seen, t), fitted.1)?), goal)
}

/// Where `loss`, which rises, reaches `goal`.
fn between(loss: impl Fn(f64) -> Result<f64>, goal: f64) -> Result<f64> {
    let (mut low, mut high) = (0.0, MOST.ln());
    if loss(1.0)? >= goal {
        return Ok(1.0);
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        match loss(middle.exp())? < goal {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(low.exp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn loss_of(scores: &'static [[f64; 2]]) -> impl Fn(f64) -> Result<f64> {
        // Class 0 is right.
        let one = |row: &[f64; 2], t: f64| (1.0 + ((row[1] - row[0]) / t).exp()).ln();
        move |t| Ok(scores.iter().map(|row| one(row, t)).sum::<f64>() / scores.len() as f64)
    }

    #[test]
    fn the_loss_at_the_temperature_is_the_goal() {
        let loss = loss_of(&[[9.0, 0.0], [7.0, 1.0], [12.0, -3.0]]);
        for goal in [0.1, 0.3, 0.6] {
            let t = between(&loss, goal).unwrap();
            assert!(t > 1.0 && (loss(t).unwrap() - goal).abs() < 1e-6, "{goal}: {t}");
        }
        // More than even odds cannot be had: as soft as may be, and still a number.
        assert!((between(&loss, 5.0).unwrap() - MOST).abs() < 1e-6);
    }

    #[test]
    fn a_head_that_is_not_too_sure_stays_as_it_is() {
        assert_eq!(between(loss_of(&[[0.5, 0.0], [0.0, 0.5]]), 0.3).unwrap(), 1.0);
    }
}
