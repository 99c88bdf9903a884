//! Which column of a table holds what: as the user says, else by its name, else by its content.

use std::collections::BTreeSet;

use crate::{DataError, Result};

use super::super::image_folder::split_named;
use super::super::{ColumnNames, labels};
use super::records::{Record, Table};

/// What columns of texts are called, the likeliest first.
const TEXT: &[&str] = &[
    "text",
    "sentence",
    "review",
    "content",
    "document",
    "body",
    "comment",
    "message",
    "tweet",
    "review_text",
    "reviewtext",
    "utterance",
    "query",
    "question",
    "abstract",
    "description",
];
/// What the two columns of pairs are called.
const PAIRS: &[(&str, &str)] = &[
    ("text", "text_pair"),
    ("text", "pair"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
];
const LABEL: &[&str] = &[
    "label",
    "class",
    "target",
    "category",
    "sentiment",
    "topic",
    "intent",
    "emotion",
    "rating",
    "stars",
    "label_text",
    "polarity",
    "y",
];
const SPLIT: &[&str] = &["split", "subset", "partition", "set"];
const DOMAIN: &[&str] = &["domain"];
const GROUP: &[&str] = &["group", "author", "user", "user_id", "author_id"];
/// More classes than this are no classes but ids.
const MAX_CLASSES: usize = 500;
/// A class's name is not longer, in characters.
const MAX_NAME: f64 = 60.0;

/// Where each column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Columns {
    pub text: usize,
    pub pair: Option<usize>,
    pub label: Option<usize>,
    pub split: Option<usize>,
    pub domain: Option<usize>,
    pub group: Option<usize>,
}

impl Columns {
    pub fn names(&self, names: &[String]) -> ColumnNames {
        let name = |column: Option<usize>| column.and_then(|c| names.get(c)).cloned();
        ColumnNames {
            text: name(Some(self.text)),
            pair: name(self.pair),
            label: name(self.label),
            split: name(self.split),
            domain: name(self.domain),
            group: name(self.group),
        }
    }

    fn roles(&self) -> [(&'static str, Option<usize>); 6] {
        [
            ("text", Some(self.text)),
            ("pair", self.pair),
            ("label", self.label),
            ("split", self.split),
            ("domain", self.domain),
            ("group", self.group),
        ]
    }
}

/// Chooses the columns of `table` and tells what it chose.
///
/// # Errors
/// [`DataError::Malformed`] where a column that the user named is not there, or none looks like
/// texts.
pub(in super::super) fn choose(
    table: &Table,
    wanted: &ColumnNames,
) -> Result<(Columns, Vec<String>)> {
    let rows = table.first()?;
    let view = View { table, rows: &rows, facts: facts(table.names.len(), &rows) };
    let mut label = view.named("label", &wanted.label)?;
    let split = view.named("split", &wanted.split)?;
    let pair = view.named("pair", &wanted.pair)?;
    let (text, pair) = match view.named("text", &wanted.text)? {
        Some(text) => (text, pair),
        None => view.texts(pair, label.or(table.class))?,
    };
    let split = split.or_else(|| view.spelled(SPLIT).filter(|&c| view.holds_splits(c)));
    let taken = |c: &usize| *c != text && Some(*c) != pair;
    let domain = view.named("domain", &wanted.domain)?.or(view.spelled(DOMAIN)).filter(taken);
    let group = view.named("group", &wanted.group)?.or(view.spelled(GROUP)).filter(taken);
    let used = [Some(text), pair, split, domain, group];
    let mut notes = Vec::new();
    if label.is_none() {
        let free = |c: &usize| !used.contains(&Some(*c));
        label = table.class.or_else(|| view.spelled(LABEL)).filter(free);
    }
    if label.is_none() {
        match view.like_labels(&used).as_slice() {
            [one] => label = Some(*one),
            [] => {}
            several => notes.push(format!(
                "{}: no column is called `label`, and {} could be it: name one (--label-column)",
                table.place,
                view.list(several)
            )),
        }
    }
    let columns = Columns { text, pair, label, split, domain, group };
    notes.insert(0, view.describe(&columns));
    Ok((columns, notes))
}

/// What one column's first fields are like.
struct Facts {
    /// Fields that are not empty.
    filled: usize,
    /// Characters of a filled field, on average.
    length: f64,
    /// Words of a filled field, on average.
    words: f64,
    /// How many fields are numbers.
    numbers: usize,
    /// Different fields.
    distinct: usize,
}

fn facts(columns: usize, rows: &[Record]) -> Vec<Facts> {
    let column = |c: usize| {
        let fields = || rows.iter().map(move |r| r.fields[c].trim()).filter(|f| !f.is_empty());
        let filled = fields().count();
        let mean = |total: usize| total as f64 / filled.max(1) as f64;
        Facts {
            filled,
            length: mean(fields().map(|f| f.chars().count()).sum()),
            words: mean(fields().map(|f| f.split_whitespace().count()).sum()),
            numbers: fields().filter(|f| f.parse::<f64>().is_ok()).count(),
            distinct: fields().collect::<BTreeSet<_>>().len(),
        }
    };
    (0..columns).map(column).collect()
}

struct View<'a> {
    table: &'a Table,
    rows: &'a [Record],
    facts: Vec<Facts>,
}

impl View<'_> {
    /// The column that the user named for `role`.
    fn named(&self, role: &str, name: &Option<String>) -> Result<Option<usize>> {
        let Some(name) = name else { return Ok(None) };
        let names = &self.table.names;
        let exact = names.iter().position(|n| n == name);
        let found = exact.or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(name)));
        match found {
            Some(column) => Ok(Some(column)),
            None => Err(self.refused(format!(
                "no column `{name}` for the {role}; there are {}",
                self.list(&(0..names.len()).collect::<Vec<_>>())
            ))),
        }
    }

    fn refused(&self, detail: String) -> DataError {
        DataError::malformed(format!("{}:1", self.table.place), detail)
    }

    fn position(&self, spelling: &str) -> Option<usize> {
        self.table.names.iter().position(|n| plain(n) == spelling)
    }

    fn spelled(&self, spellings: &[&str]) -> Option<usize> {
        spellings.iter().find_map(|s| self.position(s))
    }

    /// The text's column and the pair's, by name or by content.
    fn texts(&self, pair: Option<usize>, label: Option<usize>) -> Result<(usize, Option<usize>)> {
        if pair.is_none() {
            for (first, second) in PAIRS {
                if let (Some(a), Some(b)) = (self.position(first), self.position(second)) {
                    return Ok((a, Some(b)));
                }
            }
        }
        let free = |c: &usize| Some(*c) != pair && Some(*c) != label;
        if let Some(text) = self.spelled(TEXT).filter(free) {
            return Ok((text, pair));
        }
        // The longest that are not numbers and mostly of more than one word.
        let likely = (0..self.facts.len()).filter(free).filter(|&c| {
            let facts = &self.facts[c];
            facts.filled > 0 && 2 * facts.numbers < facts.filled && facts.words >= 1.5
        });
        let longest = likely.max_by(|&a, &b| self.facts[a].length.total_cmp(&self.facts[b].length));
        longest.map(|text| (text, pair)).ok_or_else(|| {
            self.refused(format!(
                "expected a column `path` of pictures or one of texts (`text`, `sentence`, …; \
                 --text-column names it), found {}",
                self.list(&(0..self.facts.len()).collect::<Vec<_>>())
            ))
        })
    }

    fn holds_splits(&self, column: usize) -> bool {
        let fields = self.rows.iter().map(|r| r.fields[column].trim());
        fields.filter(|f| !labels::is_missing(f)).all(|f| split_named(f).is_some())
    }

    /// Columns that hold a few short values over and over.
    fn like_labels(&self, used: &[Option<usize>]) -> Vec<usize> {
        let is_like = |&c: &usize| {
            let facts = &self.facts[c];
            let most = MAX_CLASSES.min(self.rows.len() / 2);
            !used.contains(&Some(c))
                && (2..=most).contains(&facts.distinct)
                && facts.length <= MAX_NAME
        };
        (0..self.facts.len()).filter(is_like).collect()
    }

    fn list(&self, columns: &[usize]) -> String {
        let shown: Vec<String> = columns
            .iter()
            .take(12)
            .map(|&c| format!("`{}`", self.table.names[c].chars().take(40).collect::<String>()))
            .collect();
        let rest = if columns.len() > 12 { ", …" } else { "" };
        format!("{}{rest}", shown.join(", "))
    }

    fn describe(&self, columns: &Columns) -> String {
        let roles = columns.roles();
        let used: Vec<String> = roles
            .iter()
            .filter_map(|(role, column)| Some(format!("{role} from {}", self.list(&[(*column)?]))))
            .collect();
        let unused: Vec<usize> = (0..self.facts.len())
            .filter(|c| roles.iter().all(|(_, column)| column != &Some(*c)))
            .collect();
        let mut told = format!("columns: {}", used.join(", "));
        if columns.label.is_none() {
            told.push_str("; no label");
        }
        if !unused.is_empty() {
            told.push_str(&format!("; not used: {}", self.list(&unused)));
        }
        told
    }
}

/// The columns of texts, domains and groups by their names alone; `None` where no column is of
/// texts.
pub(in super::super) fn of_names(names: &[String], wanted: &ColumnNames) -> Option<Columns> {
    let position = |spelling: &str| names.iter().position(|n| plain(n) == spelling);
    let named = |name: &Option<String>| {
        let name = name.as_ref()?;
        names.iter().position(|n| n == name || n.eq_ignore_ascii_case(name))
    };
    let (text, pair) = match &wanted.text {
        Some(_) => (named(&wanted.text)?, named(&wanted.pair)),
        None => PAIRS
            .iter()
            .find_map(|(a, b)| Some((position(a)?, Some(position(b)?))))
            .or_else(|| Some((TEXT.iter().find_map(|s| position(s))?, named(&wanted.pair))))?,
    };
    Some(Columns { text, pair, label: None, split: None, domain: None, group: None })
}

/// A name as spellings are written.
fn plain(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

/// Whether the first row of a table is data: no name is one that is usual, and one of them is a
/// sentence, or a class of the rows below.
pub(in super::super) fn first_row_is_data(table: &Table, wanted: &ColumnNames) -> Result<bool> {
    if *wanted != ColumnNames::default() || table.class.is_some() || !table.has_header() {
        return Ok(false);
    }
    let rows = table.first()?;
    let view = View { table, rows: &rows, facts: facts(table.names.len(), &rows) };
    let usual = [TEXT, LABEL, SPLIT, DOMAIN, GROUP].concat();
    if view.spelled(&usual).is_some() || PAIRS.iter().any(|(a, _)| view.position(a).is_some()) {
        return Ok(false);
    }
    let is_sentence = table.names.iter().any(|n| n.split_whitespace().count() >= 4);
    let is_class = view.like_labels(&[]).into_iter().any(|c| {
        rows.iter().any(|r| r.fields[c].trim() == table.names[c]) && !table.names[c].is_empty()
    });
    Ok(is_sentence || is_class)
}
