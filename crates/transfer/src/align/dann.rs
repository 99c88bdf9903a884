//! DANN: features do not tell the domains apart.

use offshoot_data::wording::Choice;

use super::perceptron::Perceptron;
use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::{LossTerm, Own, SourceFacts, Step};

/// Cross-entropy of a network that tells domains apart by the features, which are shown the opposite of its
/// gradient times λ (Ganin et al. 2016, eq. 9). The domains count alike.
pub(super) const TERM: Term = Term {
    name: "dann",
    summary: "features that an adversary cannot tell domains by: dann(weight=1,hidden=256)",
    paper: "Ganin et al. 2016, arXiv:1505.07818",
    adversary: Adversary::Both,
    held: "",
    choices: &[weight(1.0), HIDDEN],
    make: |values| {
        let hidden = values[1] as usize;
        Box::new(Dann { weight: values[0], hidden, discriminator: Perceptron::default() })
    },
};

/// Width of an adversary's hidden layers.
pub(super) const HIDDEN: Choice = Choice { name: "hidden", default: 256.0, range: [1.0, 8192.0] };

struct Dann {
    weight: f64,
    hidden: usize,
    discriminator: Perceptron,
}

impl LossTerm for Dann {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        const KEYS: [[&str; 2]; 3] = [
            ["dann.0.weight", "dann.0.bias"],
            ["dann.1.weight", "dann.1.bias"],
            ["dann.2.weight", "dann.2.bias"],
        ];
        let sizes = [source.dim, self.hidden, self.hidden, 1];
        self.discriminator = Perceptron::new(&sizes, &KEYS, source.seed, source.fresh);
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let domains = step.domains();
        let shares = domains.map(|n| vec![0.5 * self.weight / n.max(1) as f64; n]).concat();
        let said = self.discriminator.forward(step.features.to_vec());
        let (value, slopes) = of_domains(&said, domains[0], &shares);
        let opposite = -reversal(step.progress) as f32;
        let slopes = self.discriminator.backward(slopes);
        step.to_features.iter_mut().zip(slopes).for_each(|(to, slope)| *to += opposite * slope);
        value
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.discriminator.own()
    }
}

/// λ, the share of the gradient that features are shown the opposite of: it rises from 0 to 1 as the share `p` of
/// training that is done does (section 5.2.2), since an adversary that has learnt nothing yet is noise.
pub(super) fn reversal(p: f64) -> f64 {
    2.0 / (1.0 + (-10.0 * p).exp()) - 1.0
}

/// Cross-entropy of logits for "of the source", as much for each row as `shares` says, and its slopes.
pub(super) fn of_domains(logits: &[f32], source: usize, shares: &[f64]) -> (f64, Vec<f32>) {
    let mut value = 0.0;
    let one = |(i, (&logit, share)): (usize, (&f32, &f64))| {
        let right = if i < source { f64::from(logit) } else { -f64::from(logit) };
        // ln(1 + e^−x) without overflow.
        value += share * ((-right.abs()).exp().ln_1p() - right.min(0.0));
        let wrong = 1.0 / (1.0 + right.exp());
        (if i < source { -share * wrong } else { share * wrong }) as f32
    };
    let slopes = logits.iter().zip(shares).enumerate().map(one).collect();
    (value, slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_opposed_more_and_more() {
        assert_eq!(reversal(0.0), 0.0);
        assert!((reversal(0.1) - 0.462_117).abs() < 1e-6);
        assert!((reversal(1.0) - 0.999_909).abs() < 1e-6);
    }

    #[test]
    fn large_logits_give_numbers() {
        let (value, slopes) = of_domains(&[1e4, -1e4, 1e4], 1, &[0.5, 0.25, 0.25]);
        assert_eq!(value, 2500.0);
        assert_eq!(slopes, [0.0, 0.0, 0.25]);
    }
}
