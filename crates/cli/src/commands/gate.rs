//! `--require METRIC=VALUE`, and `--require no-harm`.

use std::collections::BTreeMap;

/// The guard against negative transfer found no harm.
const NO_HARM: &str = "no-harm";

/// Parses `accuracy=0.9` or `no-harm`.
pub fn parse_with_guard(text: &str) -> Result<(String, f64), String> {
    match text.trim() {
        NO_HARM => Ok((NO_HARM.into(), 0.0)),
        other => parse(other),
    }
}

/// Parses `accuracy=0.9`.
pub fn parse(text: &str) -> Result<(String, f64), String> {
    let (metric, value) =
        text.split_once('=').ok_or("expected METRIC=VALUE, as in accuracy=0.9")?;
    let value = value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    Ok((metric.trim().to_string(), value.ok_or("expected a number after `=`")?))
}

/// The requirements by metric; the last of several for one metric counts.
pub fn map(required: &[(String, f64)]) -> BTreeMap<String, f64> {
    required.iter().cloned().collect()
}
