//! What each of several sources is worth, in words and as rows of a table.

use super::data::ReportData;
use super::words::{count, counted, decimal, percent, points, points_range};
use crate::SourceReport;
use crate::guard::document::Gap;

/// A row of the table of sources.
pub struct SourceRow<'a> {
    pub told: &'a SourceReport,
    /// `left out: harms`, or the weight.
    pub verdict: String,
    /// Held-out samples that are right without it, more than with it.
    pub harm: String,
    pub harm_range: String,
    /// The same of errors on the test split, where the guard looked.
    pub gap: String,
    pub gap_range: String,
}

/// One row a source, in the order in which they were named.
pub fn rows(report: &ReportData) -> Vec<SourceRow<'_>> {
    let gap = |model: &str| {
        let gaps = report.guard.as_ref()?.by_source.iter();
        gaps.filter(|gap| gap.source == model).map(|gap| gap.gap).next()
    };
    let one = |told| SourceRow {
        told,
        verdict: verdict(told),
        harm: told.harm.map_or("–".into(), points),
        harm_range: told.harm_ci.map(points_range).unwrap_or_default(),
        gap: gap(&told.model).map_or("–".into(), |gap: Gap| points(gap.value)),
        gap_range: gap(&told.model).map(|gap| points_range(gap.ci)).unwrap_or_default(),
    };
    report.sources.iter().map(one).collect()
}

fn verdict(told: &SourceReport) -> String {
    match told.left_out.as_deref() {
        Some("harm") => "left out: it harms".into(),
        Some(_) => "left out: it adds nothing".into(),
        None => decimal(told.weight),
    }
}

/// Which sources were left out, or what the others are worth.
pub fn sentence(report: &ReportData) -> Option<String> {
    let sources = &report.sources;
    if sources.is_empty() {
        return None;
    }
    let harmful: Vec<String> = sources
        .iter()
        .filter(|told| told.left_out.as_deref() == Some("harm"))
        .map(|told| {
            let gain = told.harm.map_or(String::new(), |harm| {
                format!(
                    " ({} of {} held-out samples are right without it)",
                    points(harm),
                    count(told.harm_samples)
                )
            });
            format!("“{}”{gain}", told.model)
        })
        .collect();
    let useless: Vec<String> = sources
        .iter()
        .filter(|told| told.left_out.as_deref() == Some("weight"))
        .map(|told| format!("“{}”", told.model))
        .collect();
    let all = counted(sources.len(), "source", "sources");
    let mut parts = Vec::new();
    if !harmful.is_empty() {
        parts.push(format!("harmful and left out: {}", harmful.join(", ")));
    }
    if !useless.is_empty() {
        parts.push(format!("left out, as they add nothing: {}", useless.join(", ")));
    }
    if parts.is_empty() {
        // The one whose loss would cost most.
        let needed = sources.iter().filter(|told| told.harm_ci.is_some_and(|ci| ci[1] < 0.0));
        let needed = needed.min_by(|a, b| a.harm.unwrap_or(0.0).total_cmp(&b.harm.unwrap_or(0.0)));
        let worth = needed.map_or(
            "without any one of them as many held-out samples are right, as far as they tell"
                .into(),
            |told| {
                let share = percent(-told.harm.unwrap_or(0.0));
                format!(
                    "most is owed to “{}”, without which {share} fewer held-out samples are right",
                    told.model
                )
            },
        );
        return Some(format!("None of the {all} harms; {worth}."));
    }
    Some(format!("Of {all}, {}.", parts.join("; ")))
}
