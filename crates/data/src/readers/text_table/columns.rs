//! Which column of a table holds what: as the user says, else by its name, else by its content.

use std::collections::BTreeSet;

use crate::{DataError, Result};

use super::super::image_folder::split_named;
use super::super::{ColumnNames, labels, manifest};
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
const SPLIT: &[&str] = &["split", "subset", "partition", "set", "fold"];
const DOMAIN: &[&str] = &["domain"];
const GROUP: &[&str] = &["group", "author", "user", "user_id", "author_id"];
/// What a column can be for, as flags and messages call it.
const ROLES: [&str; 6] = ["text", "pair", "label", "split", "domain", "group"];
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

    /// In the order of [`ROLES`].
    fn places(&self) -> [Option<usize>; 6] {
        [Some(self.text), self.pair, self.label, self.split, self.domain, self.group]
    }
}

/// Chooses the columns of `table` and tells what it chose.
///
/// # Errors
/// [`DataError::Malformed`] where a column that the user named is not there or named for two roles,
/// or none looks like texts.
pub(in super::super) fn choose(
    table: &Table,
    wanted: &ColumnNames,
) -> Result<(Columns, Vec<String>)> {
    let rows = table.first()?;
    let view = View { table, rows: &rows, facts: facts(table.names.len(), &rows) };
    let named = view.all_named(wanted)?;
    let [text, pair, mut label, split, domain, group] = named;
    let (text, pair) = match text {
        Some(text) => (text, pair),
        None => view.texts(pair, &[named.as_slice(), &[table.class]].concat())?,
    };
    // What is guessed takes no column from what is named.
    let free = |c: &usize| !named.contains(&Some(*c)) && *c != text && Some(*c) != pair;
    let split = split.or_else(|| view.spelled(SPLIT, |c| free(c) && view.holds_splits(*c)));
    let told = |c: &usize| free(c) && Some(*c) != split;
    // A domain may be a group, too.
    let domain = domain.or_else(|| view.spelled(DOMAIN, |c| told(c) || Some(*c) == group));
    let group = group.or_else(|| view.spelled(GROUP, |c| told(c) || Some(*c) == domain));
    let used = [Some(text), pair, split, domain, group];
    let mut notes = Vec::new();
    if label.is_none() {
        let free = |c: &usize| !used.contains(&Some(*c));
        label = table.class.filter(free).or_else(|| view.spelled(LABEL, free));
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
        match position(names, name) {
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

    /// The columns that the user named, in the order of [`ROLES`].
    fn all_named(&self, wanted: &ColumnNames) -> Result<[Option<usize>; 6]> {
        let mut named = [None; 6];
        for ((column, role), name) in named.iter_mut().zip(ROLES).zip(in_order(wanted)) {
            *column = self.named(role, name)?;
        }
        match named_twice(&self.table.names, &named) {
            Some(detail) => Err(self.refused(detail)),
            None => Ok(named),
        }
    }

    fn spelled(&self, spellings: &[&str], free: impl Fn(&usize) -> bool) -> Option<usize> {
        spelled(&self.table.names, spellings, free)
    }

    /// The text's column and the pair's, by name or by content, none of those that are taken.
    fn texts(
        &self,
        pair: Option<usize>,
        taken: &[Option<usize>],
    ) -> Result<(usize, Option<usize>)> {
        let free = |c: &usize| !taken.contains(&Some(*c));
        if let Some(found) = spelled_texts(&self.table.names, pair, free) {
            return Ok(found);
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

    /// Most of its fields are splits. Others are mistakes, which the row's reader names: without the
    /// column, test samples would be trained on.
    fn holds_splits(&self, column: usize) -> bool {
        let fields = self.rows.iter().map(|r| r.fields[column].trim());
        let filled: Vec<&str> = fields.filter(|f| !labels::is_missing(f)).collect();
        let splits = filled.iter().filter(|f| split_named(f).is_some()).count();
        2 * splits > filled.len() || filled.is_empty()
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
        let places = columns.places();
        let used: Vec<String> = ROLES
            .iter()
            .zip(places)
            .filter_map(|(role, column)| Some(format!("{role} from {}", self.list(&[column?]))))
            .collect();
        let unused: Vec<usize> =
            (0..self.facts.len()).filter(|c| !places.contains(&Some(*c))).collect();
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

/// The columns of texts by their names alone; `None` where no column is of texts.
///
/// # Errors
/// [`DataError::Malformed`] at `place` where one is named for two roles.
pub(in super::super) fn of_names(
    place: &str,
    names: &[String],
    wanted: &ColumnNames,
) -> Result<Option<Columns>> {
    let named = in_order(wanted).map(|name| position(names, name.as_ref()?));
    if let Some(detail) = named_twice(names, &named) {
        return Err(DataError::malformed(place, detail));
    }
    let [text, pair, ..] = named;
    let texts = match &wanted.text {
        Some(_) => text.map(|text| (text, pair)),
        None => spelled_texts(names, pair, |c| !named.contains(&Some(*c))),
    };
    Ok(texts.map(|(text, pair)| Columns {
        text,
        pair,
        label: None,
        split: None,
        domain: None,
        group: None,
    }))
}

/// In the order of [`ROLES`].
fn in_order(wanted: &ColumnNames) -> [&Option<String>; 6] {
    let ColumnNames { text, pair, label, split, domain, group } = wanted;
    [text, pair, label, split, domain, group]
}

/// What is wrong where one column is named for two roles. Only a domain may be a group, too.
fn named_twice(names: &[String], named: &[Option<usize>; 6]) -> Option<String> {
    let roles = || ROLES.iter().zip(named).filter_map(|(role, column)| Some((*role, (*column)?)));
    roles().enumerate().find_map(|(i, (second, column))| {
        let clashes = |(first, other): &(&str, usize)| {
            *other == column && (*first, second) != ("domain", "group")
        };
        let (first, _) = roles().take(i).find(clashes)?;
        Some(format!(
            "column `{}` is named for the {first} (--{first}-column) and for the {second} \
             (--{second}-column); each needs a column of its own",
            manifest::shorten(&names[column])
        ))
    })
}

/// The column that the user calls `name`.
fn position(names: &[String], name: &str) -> Option<usize> {
    let exact = names.iter().position(|n| n == name);
    exact.or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(name)))
}

/// The first free column with the first of these spellings.
fn spelled(names: &[String], spellings: &[&str], free: impl Fn(&usize) -> bool) -> Option<usize> {
    let position = |spelling: &str| names.iter().position(|n| plain(n) == spelling);
    spellings.iter().find_map(|spelling| position(spelling).filter(&free))
}

/// The text's column and the pair's by usual names; `pair` where it is named.
fn spelled_texts(
    names: &[String],
    pair: Option<usize>,
    free: impl Fn(&usize) -> bool,
) -> Option<(usize, Option<usize>)> {
    let column = |spelling: &str| spelled(names, &[spelling], &free);
    let both = |(a, b): &(&str, &str)| Some((column(a)?, Some(column(b)?)));
    let usual = || PAIRS.iter().find_map(both);
    let found = if pair.is_none() { usual() } else { None };
    found.or_else(|| Some((spelled(names, TEXT, &free)?, pair)))
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
    let firsts = PAIRS.iter().map(|(first, _)| *first);
    let usual: Vec<&str> = usual.into_iter().chain(firsts).collect();
    if view.spelled(&usual, |_| true).is_some() {
        return Ok(false);
    }
    let is_sentence = table.names.iter().any(|n| n.split_whitespace().count() >= 4);
    let is_class = view.like_labels(&[]).into_iter().any(|c| {
        rows.iter().any(|r| r.fields[c].trim() == table.names[c]) && !table.names[c].is_empty()
    });
    Ok(is_sentence || is_class)
}
