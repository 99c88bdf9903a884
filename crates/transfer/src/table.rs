//! CSV files that a spreadsheet can open without running anything.

use crate::{Result, TransferError};

/// Puts an apostrophe before a cell that a spreadsheet would take for a formula: one that starts
/// with `=`, `+`, `@`, tab or carriage return, or with `-` unless it is a number.
pub fn neutral(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '@', '\t', '\r'])
        || (cell.starts_with('-') && cell.parse::<f64>().is_err());
    if formula { format!("'{cell}") } else { cell.to_string() }
}

/// A CSV document with a header; every cell neutralised.
pub fn csv<R, C>(header: &[&str], rows: R) -> Result<Vec<u8>>
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| TransferError::Internal(format!("csv: {e}"));
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(row.into_iter().map(|c| neutral(&c))).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| TransferError::Internal(format!("csv: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_neutralised_and_numbers_are_not() {
        for formula in ["=cmd|'/c calc'!A0", "+1", "@SUM(A1)", "-2+3", "\t=1", "\r=1"] {
            assert_eq!(neutral(formula), format!("'{formula}"));
        }
        for plain in ["", "cat", "-1.5", "-1e-9", "a=b"] {
            assert_eq!(neutral(plain), plain);
        }
    }

    #[test]
    fn cells_are_quoted() {
        let text = csv(&["a", "b"], [["x,\"y\"".to_string(), "=1".to_string()]]).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "a,b\n\"x,\"\"y\"\"\",'=1\n");
    }
}
