//! Adapter: a linear map learns to show the source's network a world that it knows.

use offshoot_random::generator;

use super::super::remap::Matched;
use super::Method;
use crate::Result;
use crate::draw::normal;
use crate::learn::{Shares, Start};
use crate::network::{Layer, Nonlinearity, Perceptron};

/// Deviation of what the map begins with beside names that match, so that dimensions can find each other.
const NOISE: f64 = 0.01;

/// The registry line.
pub const METHOD: Method = Method {
    name: "adapter",
    summary: "learn a linear map of observations and the last layers, keep the rest",
    paper: "Taylor, Stone & Liu 2007, JMLR 8 (inter-task mappings), learnt",
    maps: true,
    start: |given| {
        let mut policy = given.source.clone();
        let seed = given.task.seed;
        let (original, matched) = given.original;
        policy.actor = adapted(&original.actor, &policy.actor, matched, (seed, 0))?;
        policy.critic = match (&original.critic, &policy.critic) {
            (Some(from), Some(to)) => Some(adapted(from, to, matched, (seed, 1))?),
            _ => None,
        };
        let count = policy.actor.layers().len();
        let learns = |layer| layer == 0 || layer + 1 == count;
        let layers = (0..count).map(|layer| if learns(layer) { 1.0 } else { 0.0 }).collect();
        let shares = vec![Shares { until: 1.0, layers }];
        Ok(Start { policy: Some(policy), shares, ..Start::default() })
    },
};

/// The hidden layers of `original` between a linear layer that turns the target's observations into the
/// source's, and the last layer of `moved`.
fn adapted(
    original: &Perceptron,
    moved: &Perceptron,
    matched: &Matched,
    (seed, which): (u64, u64),
) -> Result<Perceptron> {
    let (seen, knows) = (matched.observation.len(), original.inputs());
    let last = original.layers().len() - 1;
    let mut layers = vec![Layer { inputs: seen, outputs: knows, then: Nonlinearity::Linear }];
    layers.extend_from_slice(&original.layers()[..last]);
    layers.push(moved.layers()[last]);
    let mut to = Perceptron::zeros(layers)?;
    let (first, head) = (to.span(1).start, to.span(last + 1));
    to.values_mut()[first..head.start]
        .copy_from_slice(&original.values()[..original.span(last).start]);
    to.values_mut()[head].copy_from_slice(&moved.values()[moved.span(last)]);
    let mut draws = generator(seed, "adapter", which, 0);
    let (weight, _) = to.layer_mut(0);
    for (row, place) in weight.chunks_exact_mut(knows).zip(&matched.observation) {
        for (column, value) in row.iter_mut().enumerate() {
            let same = if *place == Some(column) { 1.0 } else { 0.0 };
            *value = same + (NOISE * normal(&mut draws)) as f32;
        }
    }
    Ok(to)
}
