//! Tables of text for standard output.

use crate::context::clean;

/// Which side of a column is even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Lays out rows under a header, two spaces between columns, no space at the end of a line.
pub fn text<const N: usize>(header: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|c| clean(c))).collect();
    let width = |cell: &str| cell.chars().count();
    let mut widths = header.map(|(name, _)| width(name));
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for ((cell, widest), (_, align)) in cells.iter().zip(widths).zip(header) {
            let space = " ".repeat(widest - width(cell));
            match align {
                Align::Left => line.extend([cell, space.as_str(), "  "]),
                Align::Right => line.extend([space.as_str(), cell, "  "]),
            }
        }
        format!("{}\n", line.trim_end())
    };
    let mut table = line(header.map(|(name, _)| name));
    for row in &rows {
        table.push_str(&line(row.each_ref().map(String::as_str)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_even_and_nothing_steers_the_terminal() {
        let rows = [["ä".to_string(), "10".into()], ["b\x1b[2J\n".into(), "9".into()]];
        let table = text([("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(table, "name     n\nä       10\nb\u{fffd}[2J\u{fffd}   9\n");
    }
}
