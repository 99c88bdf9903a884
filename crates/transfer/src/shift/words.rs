//! The verdict as a sentence.

use offshoot_stats::shift::Size;

use super::document::ShiftReport;
use crate::report::words::{decimal, whole_percent};

/// What was found, in one or two sentences.
pub fn sentence(report: &ShiftReport) -> String {
    let has = |kind: &str| report.verdict.iter().any(|v| v == kind);
    let p = p(report.p_value);
    let mut out = match (has("covariate"), has("label"), has("concept")) {
        (false, false, false) => format!("Nothing speaks for a mismatch ({p})."),
        (false, true, false) => {
            format!("Classes are more or less frequent than in the source ({p}).")
        }
        (true, false, false) => format!("Inputs look different ({p})."),
        (true, true, false) => {
            format!("Inputs look different, and classes are more or less frequent ({p}).")
        }
        (false, false, true) => format!("The same inputs have other labels ({p})."),
        (covariate, _, true) => {
            let also = if covariate {
                "inputs look different"
            } else {
                "classes are more or less frequent"
            };
            format!("The same inputs have other labels, and {also} ({p}).")
        }
    };
    if report.undecided && has("covariate") {
        out.push_str(if report.label_shift.is_some() {
            " Without target labels it cannot be told whether classes are more or less frequent, too."
        } else {
            " Without source labels it cannot be told whether that is due to classes being more or less \
             frequent."
        });
    }
    out
}

/// How large the mismatch of inputs is, in a sentence.
pub fn size(report: &ShiftReport) -> String {
    let Some(c2st) = report.measures.iter().find(|m| m.name == "c2st") else {
        return String::new();
    };
    let accuracy = c2st.value.max(0.5);
    let times = report.measures.iter().find(|m| m.name == "sliced_wasserstein").and_then(|m| {
        let times = m.value / m.chance.filter(|c| *c > 0.0)?;
        (times >= 1.5).then(|| {
            format!(" Along random directions the sets are {times:.1} times as far apart as two random parts.")
        })
    });
    let told = match report.size {
        Size::Tiny if report.p_value > 0.05 => "nothing to see".to_string(),
        size => size.word().to_string(),
    };
    format!(
        "{told}: a linear classifier tells source from target in {} of cases, where chance is {}.{}",
        whole_percent(accuracy),
        whole_percent(0.5),
        times.unwrap_or_default()
    )
}

/// `p = 0.012`.
pub fn p(p: f64) -> String {
    format!("p = {}", decimal(p))
}
