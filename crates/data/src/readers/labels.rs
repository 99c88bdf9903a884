//! From the labels that a file holds to sorted class names.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// True for what spreadsheets and data frames write where there is no label.
pub(super) fn is_missing(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("nan")
}

/// Class names in order, and the index of each label in them.
///
/// Names that are all whole numbers are ordered by value ("2" before "10"), others as strings.
pub(super) fn index(labels: &[Option<String>]) -> (Vec<String>, Vec<Option<u32>>) {
    let distinct: BTreeSet<&str> = labels.iter().flatten().map(String::as_str).collect();
    let mut classes: Vec<&str> = distinct.into_iter().collect();
    if classes.iter().all(|c| whole_number(c).is_some()) {
        classes.sort_by(|a, b| by_value(a, b));
    }
    let index_of: BTreeMap<&str, u32> = classes.iter().copied().zip(0u32..).collect();
    let indices = labels
        .iter()
        .map(|label| label.as_deref().and_then(|l| index_of.get(l).copied()))
        .collect();
    (classes.into_iter().map(str::to_owned).collect(), indices)
}

fn whole_number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn by_value(a: &str, b: &str) -> Ordering {
    whole_number(a).cmp(&whole_number(b)).then(a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value_and_names_as_strings() {
        let order = |names: &[&str]| {
            let labels: Vec<_> = names.iter().map(|n| Some((*n).to_owned())).collect();
            index(&labels).0
        };
        assert_eq!(order(&["10", "2", "-1", "2"]), ["-1", "2", "10"]);
        assert_eq!(order(&["10", "2", "a"]), ["10", "2", "a"]);
    }

    #[test]
    fn a_missing_label_has_no_index() {
        let labels = [Some("b".to_owned()), None, Some("a".to_owned())];
        assert_eq!(index(&labels).1, [Some(1), None, Some(0)]);
    }
}
