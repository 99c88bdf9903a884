//! Stratified cross-validation.

use offshoot_random::permutation;

/// The fold of each sample, `0..folds`: each class is dealt out evenly, in a shuffled order.
///
/// The dealing goes on from class to class, so that folds differ by one sample at most and a class
/// with fewer samples than folds does not always fall into the first ones.
pub fn stratified_folds(labels: &[u32], folds: usize, seed: u64) -> Vec<usize> {
    let order = permutation(labels.len(), seed, "cross-validation", 0);
    let mut by_class = order;
    by_class.sort_by_key(|&i| labels[i]);
    let mut out = vec![0; labels.len()];
    for (turn, i) in by_class.into_iter().enumerate() {
        out[i] = turn % folds.max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fold_holds_its_share_of_every_class() {
        let labels: Vec<u32> = (0..103).map(|i| u32::from(i % 4 == 0)).collect();
        let folds = stratified_folds(&labels, 5, 0);
        for fold in 0..5 {
            let members = || (0..103).filter(|&i| folds[i] == fold);
            assert!((20..=21).contains(&members().count()));
            assert!((5..=6).contains(&members().filter(|&i| labels[i] == 1).count()));
        }
        assert_ne!(folds, stratified_folds(&labels, 5, 1));
    }
}
