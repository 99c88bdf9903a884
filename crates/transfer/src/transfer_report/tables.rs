//! The document as tables for spreadsheets.

use super::answer;
use super::document::{LabelCount, TransferReport};
use crate::{Result, table};

/// File name and content of each.
pub fn tables(report: &TransferReport) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let number = |value: f64| format!("{value:.6}");
    let mut curves = Vec::new();
    let mut equivalents = Vec::new();
    for target in &report.targets {
        for curve in &target.curves {
            for point in &curve.points {
                curves.push(vec![
                    target.data.clone(),
                    curve.model.clone().unwrap_or_default(),
                    curve.method.clone(),
                    point.labels.to_string(),
                    number(point.share),
                    number(point.accuracy),
                    number(point.accuracy_ci[0]),
                    number(point.accuracy_ci[1]),
                    point.val_accuracy.map(number).unwrap_or_default(),
                    number(point.seconds),
                ]);
            }
        }
        for e in &target.equivalents {
            let end = |s: &LabelCount| format!("{}{:.1}", answer::sign(s.relation), s.labels);
            equivalents.push(vec![
                target.data.clone(),
                e.model.clone(),
                e.method.clone(),
                e.versus.clone(),
                e.labels.to_string(),
                number(e.accuracy),
                end(&e.equivalent),
                end(&e.equivalent_ci[0]),
                end(&e.equivalent_ci[1]),
                number(e.saved),
                number(e.over_full),
                number(e.over_full_ci[0]),
                number(e.over_full_ci[1]),
            ]);
        }
    }
    let matrix = report.matrix.iter().flat_map(|cell| {
        cell.by_labels.iter().map(|gap| {
            vec![
                cell.data.clone(),
                cell.model.clone(),
                cell.method.clone(),
                cell.versus.clone(),
                gap.labels.to_string(),
                number(gap.gap),
                number(gap.gap_ci[0]),
                number(gap.gap_ci[1]),
            ]
        })
    });
    let header = [
        "data",
        "model",
        "method",
        "labels",
        "share",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "val_accuracy",
        "seconds",
    ];
    let curves = table::csv(&header, curves)?;
    let header = [
        "data",
        "model",
        "method",
        "versus",
        "labels",
        "accuracy",
        "equivalent",
        "equivalent_low",
        "equivalent_high",
        "saved",
        "over_full",
        "over_full_low",
        "over_full_high",
    ];
    let equivalents = table::csv(&header, equivalents)?;
    let header = ["data", "model", "method", "versus", "labels", "gap", "gap_low", "gap_high"];
    let matrix = table::csv(&header, matrix)?;
    Ok(vec![("curves.csv", curves), ("equivalents.csv", equivalents), ("matrix.csv", matrix)])
}
