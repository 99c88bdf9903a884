//! `--require METRIC=VALUE`, and `--require no-harm`.

use std::collections::BTreeMap;

use offshoot_transfer::{Result, TransferError};

/// The guard against negative transfer found no harm.
const NO_HARM: &str = "no-harm";

/// Parses `accuracy=0.9` or `no-harm`.
pub fn parse_with_guard(text: &str) -> std::result::Result<(String, f64), String> {
    match text.trim() {
        NO_HARM => Ok((NO_HARM.into(), 0.0)),
        other => parse(other),
    }
}

/// Parses `accuracy=0.9`.
pub fn parse(text: &str) -> std::result::Result<(String, f64), String> {
    let (metric, value) =
        text.split_once('=').ok_or("expected METRIC=VALUE, as in accuracy=0.9")?;
    let value = value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    Ok((metric.trim().to_string(), value.ok_or("expected a number after `=`")?))
}

/// The requirements by metric.
///
/// # Errors
/// Wrong usage for a metric that is required twice: one of both would say nothing.
pub fn map(required: &[(String, f64)]) -> Result<BTreeMap<String, f64>> {
    let mut by_metric = BTreeMap::new();
    for (metric, value) in required {
        if by_metric.insert(metric.clone(), *value).is_some() {
            return Err(TransferError::usage(
                format!("`--require {metric}` is given twice"),
                "each metric once",
            ));
        }
    }
    Ok(by_metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_required_once() {
        let once = ("accuracy".to_string(), 0.9);
        assert_eq!(map(std::slice::from_ref(&once)).unwrap()["accuracy"], 0.9);
        assert_eq!(map(&[once.clone(), once]).unwrap_err().exit_code(), 2);
    }
}
