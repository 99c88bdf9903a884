//! Which of several sources? Short roll-outs in the target say.

use crate::Result;
use crate::learn::evaluate;
use crate::policy::Policy;
use crate::world::{Constants, Kind};

/// Episodes that a source acts in before it is chosen.
pub const EPISODES: usize = 20;
/// Which of a seed's evaluation episodes these are.
const NUMBER: u64 = 3;

/// Mean returns of policies in a world in which none of them has learnt, over the same first states, and
/// which is best; of equals the first.
///
/// # Errors
/// For a policy of other names than the world's.
pub fn choose(
    policies: &[Vec<Policy>],
    kind: &Kind,
    constants: &Constants,
    seed: u64,
) -> Result<(usize, Vec<f64>)> {
    let mut means = Vec::new();
    for seeds in policies {
        let mut sum = 0.0;
        for policy in seeds {
            sum += evaluate(policy, kind, constants, EPISODES, (seed, NUMBER))?.mean();
        }
        means.push(sum / seeds.len().max(1) as f64);
    }
    let mut best = 0;
    for (at, mean) in means.iter().enumerate() {
        if *mean > means[best] {
            best = at;
        }
    }
    Ok((best, means))
}
