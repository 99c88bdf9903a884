//! What every method asks of its input.

use crate::{Result, Rows, StatsError};

/// Refuses labels that do not fit the rows or the classes, and values that are not finite.
pub(crate) fn labelled(rows: Rows<'_>, labels: &[u32], n_classes: usize) -> Result<()> {
    if labels.len() != rows.n() {
        return Err(StatsError::Shape {
            expected: format!("{} labels", rows.n()),
            actual: format!("{}", labels.len()),
        });
    }
    if rows.n() == 0 || rows.d() == 0 || n_classes == 0 {
        return Err(StatsError::Unusable(format!(
            "expected samples, features and classes, got {} × {} and {n_classes} classes",
            rows.n(),
            rows.d()
        )));
    }
    if let Some(row) = labels.iter().position(|&y| y as usize >= n_classes) {
        return Err(StatsError::Shape {
            expected: format!("labels below {n_classes}"),
            actual: format!("{} (row {row})", labels[row]),
        });
    }
    finite(rows)
}

/// Refuses values that are not finite.
pub(crate) fn finite(rows: Rows<'_>) -> Result<()> {
    match rows.data().iter().position(|x| !x.is_finite()) {
        Some(at) => Err(StatsError::NotFinite { what: "features", row: at / rows.d() }),
        None => Ok(()),
    }
}

/// Refuses two sides of different width, with fewer than two rows or with values that are not finite; the side is
/// named.
pub(crate) fn sides(source: Rows<'_>, target: Rows<'_>) -> Result<()> {
    width(target, source.d())?;
    for (what, rows) in [("source", source), ("target", target)] {
        if rows.n() < 2 || rows.d() == 0 {
            return Err(StatsError::Unusable(format!(
                "expected at least 2 samples and 1 feature in the {what}, got {} × {}",
                rows.n(),
                rows.d()
            )));
        }
        if let Err(StatsError::NotFinite { row, .. }) = finite(rows) {
            return Err(StatsError::NotFinite { what, row });
        }
    }
    Ok(())
}

/// Refuses rows of another width.
pub(crate) fn width(rows: Rows<'_>, d: usize) -> Result<()> {
    if rows.d() == d {
        return Ok(());
    }
    Err(StatsError::Shape { expected: format!("{d} features"), actual: format!("{}", rows.d()) })
}

/// Number of samples of each class.
pub(crate) fn counts(labels: &[u32], n_classes: usize) -> Vec<usize> {
    let mut counts = vec![0; n_classes];
    labels.iter().for_each(|&y| counts[y as usize] += 1);
    counts
}
