//! Counter-based randomness: every draw is keyed by (seed, purpose, epoch, index).
//!
//! Two draws with the same key are equal and two with different keys are independent, so results
//! depend neither on the order in which work is done nor on the number of threads.

/// What draws: ChaCha with eight rounds.
pub use rand_chacha::ChaCha8Rng as Generator;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The generator for one key.
///
/// `purpose` names the use ("split", "bootstrap"), so that two uses never share a stream.
pub fn generator(seed: u64, purpose: &str, epoch: u64, index: u64) -> Generator {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(epoch.to_le_bytes());
    hash.update(index.to_le_bytes());
    hash.update(purpose.as_bytes());
    Generator::from_seed(hash.finalize().into())
}

/// A permutation of `0..n`, by Fisher and Yates.
pub fn permutation(n: usize, seed: u64, purpose: &str, epoch: u64) -> Vec<usize> {
    use rand::RngExt;
    let mut rng = generator(seed, purpose, epoch, 0);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

/// `most` places of `0..n` at most, drawn without replacement, in ascending order: the first of [`permutation`].
pub fn some(n: usize, most: usize, seed: u64, purpose: &str, epoch: u64) -> Vec<usize> {
    let mut places = permutation(n, seed, purpose, epoch);
    places.truncate(most);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn same_key_same_draws() {
        let draw = |purpose| generator(7, purpose, 1, 2).random::<u64>();
        assert_eq!(draw("split"), draw("split"));
        assert_ne!(draw("split"), draw("bootstrap"));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(100, 0, "test", 0);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn some_are_the_first_of_a_permutation_in_order() {
        let drawn = some(100, 10, 0, "test", 0);
        let mut first = permutation(100, 0, "test", 0)[..10].to_vec();
        first.sort_unstable();
        assert_eq!(drawn, first);
        assert_eq!(some(3, 10, 0, "test", 0), [0, 1, 2]);
    }
}
