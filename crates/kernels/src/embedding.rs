//! Embedding tables: gather with the sum over tables, and the sparse gradient.

use std::collections::BTreeMap;

/// `output` row = word row + position row (+ type row); one table row of `features` values each.
///
/// # Panics
/// When the rows' numbers disagree in length or point past a table's end.
pub fn embed(features: usize, tables: &[(&[f32], &[u32])], output: &mut [f32]) {
    for (r, row) in output.chunks_exact_mut(features).enumerate() {
        for (t, (table, ids)) in tables.iter().enumerate() {
            let from = &table[ids[r] as usize * features..][..features];
            if t == 0 {
                row.copy_from_slice(from);
            } else {
                for (x, y) in row.iter_mut().zip(from) {
                    *x += y;
                }
            }
        }
    }
}

/// The gradient of a table of which `ids` were read: the rows that were, in rising order, and for
/// each the sum of the gradients at its places, in the order of the places.
///
/// # Panics
/// When `gradient` does not hold one row of `features` values for each of `ids`.
pub fn scatter(features: usize, ids: &[u32], gradient: &[f32]) -> BTreeMap<u32, Vec<f32>> {
    assert_eq!(gradient.len(), ids.len() * features, "embedding gradient");
    let mut rows: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
    for (&id, gradient) in ids.iter().zip(gradient.chunks_exact(features)) {
        let row = rows.entry(id).or_insert_with(|| vec![0.0; features]);
        for (sum, g) in row.iter_mut().zip(gradient) {
            *sum += g;
        }
    }
    rows
}
