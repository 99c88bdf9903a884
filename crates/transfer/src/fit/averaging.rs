//! Averages of weights, which lie in flatter and safer places than the last ones.

use offshoot_nn::Params;

/// The words that a user types.
pub const NAMES: [&str; 5] = ["none", "ema", "swa", "soup", "wise-ft"];

/// Share of the past in the exponential average.
const DECAY: f64 = 0.999;
/// Share of the epochs after which SWA begins.
const SWA_AFTER: f64 = 0.75;
/// Shares of the tuned weights that WiSE-FT tries.
pub const SHARES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The one it takes without validation.
pub const USUAL_SHARE: f64 = 0.5;

/// Which average is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None.
    None,
    /// Exponential average over updates, corrected for its beginning (Polyak & Juditsky 1992).
    Ema,
    /// Mean over the last quarter of the epochs (Izmailov et al. 2018, arXiv:1803.05407).
    Swa,
    /// Mean over epochs, which join in the order of their metric on validation, each where validation does
    /// not suffer (the greedy soup of Wortsman et al. 2022, arXiv:2203.05482).
    Soup,
    /// On the way from the first weights to the tuned ones (Wortsman et al. 2022, arXiv:2109.01903).
    WiseFt,
}

impl Kind {
    /// One of [`NAMES`].
    pub fn of(name: &str) -> Self {
        match name {
            "ema" => Self::Ema,
            "swa" => Self::Swa,
            "soup" => Self::Soup,
            "wise-ft" => Self::WiseFt,
            _ => Self::None,
        }
    }

    /// Whether SWA takes the weights after `epoch` of `epochs`.
    pub fn takes_epoch(self, epoch: usize, epochs: usize) -> bool {
        self == Self::Swa && epoch as f64 > SWA_AFTER * epochs as f64
    }
}

/// Adds the weights after update `count` (from 1) to the exponential average.
pub fn follow(average: &mut Params, weights: &Params, count: u64) {
    if count <= 1 {
        average.clone_from(weights);
        return;
    }
    let power = |n: u64| 1.0 - DECAY.powf(n as f64);
    // Corrected for its beginning at zero: the same as dividing by 1 − dᵗ in the end.
    blend(average, weights, (1.0 - DECAY) / power(count));
}

/// Adds the `count`-th weights to a mean.
pub fn join(average: &mut Params, weights: &Params, count: u64) {
    if count <= 1 {
        average.clone_from(weights);
        return;
    }
    blend(average, weights, 1.0 / count as f64);
}

/// `to ← (1 − share)·to + share·with`; keys that only `with` has are taken over.
pub fn blend(to: &mut Params, with: &Params, share: f64) {
    for (key, array) in with {
        match to.get_mut(key) {
            Some(to) => {
                for (a, &b) in to.data.iter_mut().zip(&array.data) {
                    *a = ((1.0 - share) * f64::from(*a) + share * f64::from(b)) as f32;
                }
            }
            None => drop(to.insert(key.clone(), array.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_nn::Array;

    fn weights(value: f32) -> Params {
        Params::from([("w".into(), Array { shape: vec![1], data: vec![value].into() })])
    }

    #[test]
    fn averages_are_those_of_their_definitions() {
        let values = [1.0f32, 2.0, 4.0, 3.0];
        let (mut ema, mut mean) = (Params::new(), Params::new());
        for (i, &value) in values.iter().enumerate() {
            follow(&mut ema, &weights(value), i as u64 + 1);
            join(&mut mean, &weights(value), i as u64 + 1);
        }
        let raw = values.iter().fold(0.0, |m, &v| DECAY * m + (1.0 - DECAY) * f64::from(v));
        let expected = raw / (1.0 - DECAY.powi(4));
        assert!((f64::from(ema["w"].data[0]) - expected).abs() < 1e-5);
        assert!((mean["w"].data[0] - 2.5).abs() < 1e-6);
    }

    #[test]
    fn a_blend_ends_where_it_says() {
        let mut to = weights(1.0);
        blend(&mut to, &weights(3.0), 0.0);
        assert_eq!(to, weights(1.0));
        blend(&mut to, &weights(3.0), 1.0);
        assert_eq!(to, weights(3.0));
    }

    #[test]
    fn swa_takes_the_last_quarter() {
        let taken: Vec<usize> = (1..=8).filter(|&e| Kind::Swa.takes_epoch(e, 8)).collect();
        assert_eq!(taken, [7, 8]);
    }
}
