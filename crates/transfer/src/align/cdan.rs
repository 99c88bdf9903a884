//! CDAN: features and answers together do not tell the domains apart.

use offshoot_data::wording::Choice;
use offshoot_random::generator;
use rand::RngExt;

use super::dann::{HIDDEN, of_domains, reversal};
use super::perceptron::Perceptron;
use super::{Adversary, Term, entropy, weight};
use crate::Result;
use crate::fit::head::dot;
use crate::regularize::{LossTerm, Own, SourceFacts, Step};

/// As DANN on the products `f⊗p` of features and probabilities, of which the latter are held (Long et al. 2018,
/// eq. 6). With `entropy=1` (CDAN+E) samples count by `1 + e^{−H(p)}`, held too, and normalised in each domain.
pub(super) const TERM: Term = Term {
    name: "cdan",
    summary: "as dann, on features and answers together: cdan(weight=1,hidden=256,entropy=1)",
    paper: "Long et al. 2018, arXiv:1705.10667",
    adversary: Adversary::Both,
    held: "answers",
    choices: &[weight(1.0), HIDDEN, Choice { name: "entropy", default: 1.0, range: [0.0, 1.0] }],
    make: |values| {
        Box::new(Cdan {
            weight: values[0],
            hidden: values[1] as usize,
            by_entropy: values[2] >= 0.5,
            map: None,
            discriminator: Perceptron::default(),
        })
    },
};

/// Beyond so many products they are replaced by random mixtures of them (section 3.2).
const PRODUCTS: usize = 4096;
/// As many as these.
const MIXTURES: usize = 1024;

struct Cdan {
    weight: f64,
    hidden: usize,
    by_entropy: bool,
    /// Random matrices `[MIXTURES, dim]` and `[MIXTURES, classes]`, where there are too many products.
    map: Option<[Vec<f32>; 2]>,
    discriminator: Perceptron,
}

impl LossTerm for Cdan {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        const KEYS: [[&str; 2]; 3] = [
            ["cdan.0.weight", "cdan.0.bias"],
            ["cdan.1.weight", "cdan.1.bias"],
            ["cdan.2.weight", "cdan.2.bias"],
        ];
        let products = source.dim * source.classes;
        self.map = (products > PRODUCTS).then(|| {
            [source.dim, source.classes].map(|n| normal(MIXTURES * n, source.seed, n as u64))
        });
        let inputs = if self.map.is_some() { MIXTURES } else { products };
        let sizes = [inputs, self.hidden, self.hidden, 1];
        self.discriminator = Perceptron::new(&sizes, &KEYS, source.seed, source.fresh);
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let domains = step.domains();
        let answers = step.probabilities(0..domains[0] + domains[1], 1.0);
        let shares = self.shares(&answers, domains[0]);
        let rows = step.features.chunks_exact(step.dim).zip(&answers);
        let products = rows.flat_map(|(row, p)| self.products(row, p)).collect();
        let said = self.discriminator.forward(products);
        let (value, slopes) = of_domains(&said, domains[0], &shares);
        let opposite = -reversal(step.progress) as f32;
        let slopes = self.discriminator.backward(slopes);
        let each = slopes.len() / answers.len().max(1);
        let to = step.to_features.chunks_exact_mut(step.dim);
        for ((to, p), slopes) in to.zip(&answers).zip(slopes.chunks_exact(each.max(1))) {
            self.by_features(p, slopes, opposite, to);
        }
        value
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.discriminator.own()
    }
}

impl Cdan {
    /// How much each sample counts; half of the weight is each domain's.
    fn shares(&self, answers: &[Vec<f64>], source: usize) -> Vec<f64> {
        let one = |p: &Vec<f64>| if self.by_entropy { 1.0 + (-entropy(p)).exp() } else { 1.0 };
        let domains = [&answers[..source], &answers[source..]].map(|answers| {
            let each: Vec<f64> = answers.iter().map(one).collect();
            let sum: f64 = each.iter().sum();
            each.into_iter().map(|w| 0.5 * self.weight * w / sum).collect::<Vec<f64>>()
        });
        domains.concat()
    }

    /// `p⊗f`, class by class, or `(R_f·f)⊙(R_p·p)/√k`.
    fn products(&self, row: &[f32], p: &[f64]) -> Vec<f32> {
        let Some([of_row, _]) = &self.map else {
            return p.iter().flat_map(|&p| row.iter().map(move |v| p as f32 * v)).collect();
        };
        let mixed = of_row.chunks_exact(row.len()).zip(self.mixed_answers(p));
        mixed.map(|(mixture, p)| p * dot(mixture, row)).collect()
    }

    /// `R_p·p/√k`.
    fn mixed_answers(&self, p: &[f64]) -> impl Iterator<Item = f32> {
        let answers = self.map.as_ref().map_or([].as_slice(), |[_, answers]| answers);
        let scale = 1.0 / (MIXTURES as f64).sqrt();
        answers.chunks_exact(p.len()).map(move |mixture| {
            let sum: f64 = mixture.iter().zip(p).map(|(m, p)| f64::from(*m) * p).sum();
            (scale * sum) as f32
        })
    }

    /// Adds `factor` times the slopes by the features, from those by the products.
    fn by_features(&self, p: &[f64], slopes: &[f32], factor: f32, to: &mut [f32]) {
        let dim = to.len();
        let mut add = |factor: f32, values: &[f32]| {
            to.iter_mut().zip(values).for_each(|(to, v)| *to += factor * v);
        };
        match &self.map {
            None => {
                let classes = p.iter().zip(slopes.chunks_exact(dim));
                classes.for_each(|(&p, slopes)| add(factor * p as f32, slopes));
            }
            Some([of_row, _]) => {
                let mixed = of_row.chunks_exact(dim).zip(self.mixed_answers(p));
                mixed.zip(slopes).for_each(|((mixture, p), s)| add(factor * p * s, mixture));
            }
        }
    }
}

/// Values of variance 1, by Box and Muller.
fn normal(n: usize, seed: u64, which: u64) -> Vec<f32> {
    let mut draws = generator(seed, "mixtures of products", which, 0);
    let mut one = || {
        let (radius, angle): (f64, f64) = (1.0 - draws.random::<f64>(), draws.random());
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    };
    (0..n).map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The products of random mixtures have the inner products of the products themselves, in the mean.
    #[test]
    fn mixtures_keep_inner_products() {
        let (dim, classes) = (32, 8);
        let maps = [dim, classes].map(|n| normal(MIXTURES * n, 5, n as u64));
        let discriminator = Perceptron::default;
        let with = |map| Cdan {
            weight: 1.0,
            hidden: 1,
            by_entropy: true,
            map,
            discriminator: discriminator(),
        };
        let (mixed, whole) = (with(Some(maps)), with(None));
        let rows = [0, 1].map(|k| -> Vec<f32> {
            (0..dim).map(|i| (i as f32 * (0.3 + 0.02 * k as f32)).sin()).collect()
        });
        let p = [vec![0.125; classes], vec![0.125; classes]];
        let inner = |cdan: &Cdan| -> f64 {
            let [a, b] = [0, 1].map(|k| cdan.products(&rows[k], &p[k]));
            a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
        };
        let (ours, exact) = (inner(&mixed), inner(&whole));
        assert!((ours - exact).abs() < 0.25 * exact.abs(), "{ours}, not {exact}");
    }

    #[test]
    fn draws_have_variance_one() {
        let draws = normal(20_000, 1, 2);
        let mean = draws.iter().sum::<f32>() / 20_000.0;
        let square = draws.iter().map(|v| v * v).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05, "{mean}, {square}");
        assert_ne!(draws, normal(20_000, 1, 3));
    }
}
