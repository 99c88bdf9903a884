//! Draws that go by what rows hold, so that it does not matter in which order they come.

use crate::Rows;

/// All rows in an order that only their features decide.
pub(crate) fn order(rows: Rows<'_>) -> Vec<usize> {
    let hashes: Vec<u64> = (0..rows.n()).map(|i| hash(rows.row(i))).collect();
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by_key(|&i| hashes[i]);
    order
}

/// The fold of each row, which neither its place nor its class's name decides.
pub(crate) fn folds(rows: Rows<'_>, labels: &[u32], n_classes: usize, folds: usize) -> Vec<usize> {
    deal(rows, &order(rows), labels, n_classes, folds)
}

/// [`folds`] for a known order of content: within a class dealt out in that order, beginning with a fold that the
/// content decides, so that small classes do not all fall into the first folds.
pub(crate) fn deal(
    rows: Rows<'_>,
    order: &[usize],
    labels: &[u32],
    n_classes: usize,
    folds: usize,
) -> Vec<usize> {
    let mut next: Vec<Option<usize>> = vec![None; n_classes];
    let mut out = vec![0; labels.len()];
    for &i in order {
        let turn = &mut next[labels[i] as usize];
        let fold = turn.unwrap_or_else(|| (hash(rows.row(i)) % folds.max(1) as u64) as usize);
        out[i] = fold;
        *turn = Some((fold + 1) % folds.max(1));
    }
    out
}

/// FNV-1a of a row's bytes, finished as splitmix64 does, so that all bits are even.
fn hash(row: &[f32]) -> u64 {
    let bytes = row.iter().flat_map(|x| x.to_le_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
