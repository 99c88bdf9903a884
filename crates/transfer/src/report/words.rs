//! Numbers as a person reads them. A narrow no-break space keeps a number and its unit together.

use offshoot_stats::adaptation::OpenSet;

const GAP: char = '\u{202f}';

/// `0.941` → `94.1 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "–".into();
    }
    format!("{:.1}{GAP}%", 100.0 * share)
}

/// `0.941` → `94 %`.
pub fn whole_percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}{GAP}%", 100.0 * share) } else { "–".into() }
}

/// A source without the folders that it lies in: `digits_usps@weights/usps.pth` → `digits_usps@usps.pth`.
pub fn source(name: &str) -> String {
    let last = |path: &str| -> String {
        path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path).into()
    };
    match name.split_once('@') {
        Some((recipe, path)) => format!("{recipe}@{}", last(path)),
        None => last(name),
    }
}

/// `2026-11-23T11:02:41Z` → `2026-11-23 11:02 UTC`; any other text as it is.
pub fn moment(rfc3339: &str) -> String {
    let minutes = rfc3339.split_at_checked(16).filter(|(_, rest)| rest.ends_with('Z'));
    minutes.map_or_else(|| rfc3339.into(), |(m, _)| format!("{} UTC", m.replacen('T', " ", 1)))
}

/// As [`percent`]; a dash where nothing was measured.
pub fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), percent)
}

/// `[0.9214, 0.958]` → `92–96 %`; with one decimal where whole numbers would be equal.
pub fn percent_range([low, high]: [f64; 2]) -> String {
    if !(low.is_finite() && high.is_finite()) {
        return "–".into();
    }
    let [low, high] = [100.0 * low, 100.0 * high];
    if (high - low) < 2.0 && high > low {
        format!("{low:.1}–{high:.1}{GAP}%")
    } else {
        format!("{low:.0}–{high:.0}{GAP}%")
    }
}

/// `0.53` → `+53.0 points`, `-0.021` → `−2.1 points`.
pub fn points(difference: f64) -> String {
    if !difference.is_finite() {
        return "–".into();
    }
    let sign = if difference < 0.0 { '−' } else { '+' };
    format!("{sign}{:.1} points", 100.0 * difference.abs())
}

/// `[0.47, 0.59]` → `+47 to +59`.
pub fn points_range([low, high]: [f64; 2]) -> String {
    let one = |v: f64| {
        let sign = if v < 0.0 { '−' } else { '+' };
        format!("{sign}{:.0}", 100.0 * v.abs())
    };
    format!("{} to {}", one(low), one(high))
}

/// `1.234` → `+1.23`, `-0.5` → `−0.50`.
pub fn signed(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let sign = if value < 0.0 { '−' } else { '+' };
    format!("{sign}{:.2}", value.abs())
}

/// `0.1234` → `0.123`.
pub fn decimal(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "–".into() }
}

/// `[0.1234, 0.3]` → `0.123–0.300`.
pub fn decimal_range([low, high]: [f64; 2]) -> String {
    format!("{}–{}", decimal(low), decimal(high))
}

/// `0.00316` → `3.16e-3`.
pub fn scientific(value: f64) -> String {
    format!("{value:.2e}")
}

/// Three digits that matter: `0.0713`, `12.3`, `4.12e-5`.
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v < 1e-3 => scientific(value),
        v if v < 10.0 => decimal(value),
        v if v < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `0.04` → `40 ms`, `83.2` → `1 min 23 s`.
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 0.0995 => format!("{:.0}{GAP}ms", 1000.0 * s),
        s if s < 9.95 => format!("{s:.1}{GAP}s"),
        s if s < 59.5 => format!("{whole}{GAP}s"),
        s if s < 3600.0 => format!("{}{GAP}min {:02}{GAP}s", whole / 60, whole % 60),
        _ => format!("{}{GAP}h {:02}{GAP}min", whole / 3600, whole % 3600 / 60),
    }
}

/// `9_100_000` → `9.1 MB`; powers of 1000.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 || unit == "TB" {
            let decimals = usize::from(value < 9.95 && unit != "B");
            return format!("{value:.decimals$}{GAP}{unit}");
        }
        value /= 1000.0;
    }
    unreachable!("the last unit takes every value")
}

/// `70000` → `70,000`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 class`, `7 classes`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// What calling samples unknown is worth by their labels.
pub fn open_set(f: &OpenSet) -> String {
    let known = format!(
        "Of {} of a known class, {} are called unknown and {} are recognised on average ({} if nothing were called unknown).",
        counted(f.known, "sample", "samples"),
        percent(f.known_called_unknown),
        percent(f.known_recall),
        percent(f.known_recall_closed),
    );
    let (Some(recall), Some(harmonic), Some(auroc)) = (f.unknown_recall, f.harmonic, f.auroc)
    else {
        return known;
    };
    format!(
        "{known} Of {} of no known class, {} are called so. That is {} in the harmonic mean; unknown ones are the less sure \
         in {} of pairs.",
        counted(f.unknown, "sample", "samples"),
        percent(recall),
        percent(harmonic),
        percent(auroc)
    )
}

/// The parts of a sentence, and whether each is something to type, which stands between backquotes.
pub fn spans(text: &str) -> Vec<(bool, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    // A backquote without its partner is one of a name.
    if parts.len().is_multiple_of(2) {
        return vec![(false, text)];
    }
    parts.into_iter().enumerate().map(|(i, part)| (i % 2 == 1, part)).collect()
}

/// At most `max` characters; the middle gives way, because names often differ at both ends.
pub fn shortened(text: &str, max: usize) -> String {
    let length = text.chars().count();
    if length <= max {
        return text.into();
    }
    let kept = max.saturating_sub(1);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(length - kept / 2).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: String) -> String {
        text.replace(GAP, " ")
    }

    #[test]
    fn a_source_is_told_without_its_folders() {
        assert_eq!(source("digits_usps@/data/weights/usps.pth"), "digits_usps@usps.pth");
        assert_eq!(source("models/minilm/"), "minilm");
        assert_eq!(source("random:resnet18"), "random:resnet18");
    }

    #[test]
    fn numbers_read_like_prose() {
        assert_eq!(plain(percent(0.941)), "94.1 %");
        assert_eq!(plain(percent(f64::NAN)), "–");
        assert_eq!(plain(percent_range([0.9214, 0.958])), "92–96 %");
        assert_eq!(plain(percent_range([0.991, 0.994])), "99.1–99.4 %");
        assert_eq!(points(-0.021), "−2.1 points");
        assert_eq!(points_range([-0.02, 0.53]), "−2 to +53");
        assert_eq!(moment("2026-11-23T11:02:41Z"), "2026-11-23 11:02 UTC");
        assert_eq!(moment("at noon"), "at noon");
        assert_eq!(plain(seconds(0.04)), "40 ms");
        assert_eq!(plain(seconds(83.2)), "1 min 23 s");
        assert_eq!(plain(seconds(59.7)), "1 min 00 s");
        assert_eq!(plain(seconds(7300.0)), "2 h 01 min");
        assert_eq!(plain(bytes(0)), "0 B");
        assert_eq!(plain(bytes(9_140_000)), "9.1 MB");
        assert_eq!(plain(bytes(999_999)), "1.0 MB");
        assert_eq!(plain(bytes(u64::MAX)), "18446744 TB");
        assert_eq!(count(70_000), "70,000");
        assert_eq!(count(999), "999");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("short", 8), "short");
        assert_eq!(shortened("a_very_long_name", 7), "a_v…ame");
        assert_eq!(shortened("äöüäöüäöü", 5), "äö…öü");
    }
}
