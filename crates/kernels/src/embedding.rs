//! Embedding tables: gather with the sum over tables, and the sparse gradient.

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

/// Adds each row of `gradient` to the row of `table` that `ids` name, in the order of the rows: the
/// gradient of a table that [`embed`] read.
///
/// # Panics
/// When `gradient` does not hold one row of `features` values for each of `ids`, or an id points past
/// the table's end.
pub fn scatter(features: usize, ids: &[u32], gradient: &[f32], table: &mut [f32]) {
    assert_eq!(gradient.len(), ids.len() * features, "embedding gradient");
    for (&id, gradient) in ids.iter().zip(gradient.chunks_exact(features)) {
        let row = &mut table[id as usize * features..][..features];
        for (sum, g) in row.iter_mut().zip(gradient) {
            *sum += g;
        }
    }
}
