//! A table of texts: CSV, TSV, JSON lines or (feature `parquet`) Parquet, one text (or pair of texts) a row.
//!
//! Which column holds what is said by [`ColumnNames`](super::ColumnNames), or guessed from names and
//! content ([`columns`]) and told in the data set's notes.

pub(super) mod columns;
#[cfg(feature = "parquet")]
mod parquet;
pub(super) mod records;

use std::path::Path;

use crate::{Dataset, Input, Result, Sample, Split, Text};

use super::image_folder::split_of_row;
use super::{ColumnNames, ReadOptions, extension, labels, manifest, name_of};
use columns::Columns;
use records::{Record, Table};

/// Files that may be tables of texts.
const ENDINGS: [&str; 6] = ["csv", "tsv", "tab", "jsonl", "ndjson", "parquet"];

pub(super) fn has_ending(path: &Path) -> bool {
    path.is_file() && ENDINGS.contains(&extension(path).as_str())
}

/// A list of pictures is none, unless the column of texts is named.
pub(super) fn recognises(path: &Path, options: &ReadOptions) -> bool {
    has_ending(path) && !manifest::recognises(path, options)
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut found = Found::default();
    found.add(path, &options.columns, None)?;
    Ok(found.into_dataset(path))
}

/// Rows of one table or several; labels follow when all class names are known.
#[derive(Default)]
pub(super) struct Found {
    samples: Vec<Sample>,
    labels: Vec<Option<String>>,
    notes: Vec<String>,
}

impl Found {
    /// Reads a table. All of its rows are of the part `split`, or of the one in the split column.
    /// Returns the columns by name, so that further tables can be read alike.
    pub(super) fn add(
        &mut self,
        path: &Path,
        wanted: &ColumnNames,
        split: Option<Split>,
    ) -> Result<ColumnNames> {
        let mut table = Table::open(path)?;
        if columns::first_row_is_data(&table, wanted)? {
            table = table.without_header();
        }
        let (columns, mut notes) = columns::choose(&table, wanted)?;
        notes.splice(0..0, table.notes.iter().cloned());
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        for record in table.records() {
            let mut record = record?;
            let label = columns.label.map(|c| std::mem::take(&mut record.fields[c]));
            self.labels.push(label.filter(|l| !labels::is_missing(l.trim())));
            let id = format!("{file}:{}", record.row);
            let sample = sample(&table.place, id, record, &columns, split)?;
            self.samples.push(sample);
        }
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        Ok(columns.names(&table.names))
    }

    pub(super) fn into_dataset(mut self, path: &Path) -> Dataset {
        let (classes, indices) = labels::index(&self.labels);
        for (sample, label) in self.samples.iter_mut().zip(indices) {
            sample.label = label;
        }
        Dataset { name: name_of(path), classes, samples: self.samples, notes: self.notes }
    }
}

/// A row's text without its label.
pub(super) fn sample(
    place: &str,
    id: String,
    mut record: Record,
    columns: &Columns,
    split: Option<Split>,
) -> Result<Sample> {
    let short = |column: Option<usize>| {
        // Not taken out: a domain may be a group, too.
        let field = column.map(|c| record.fields[c].trim()).unwrap_or_default();
        (!labels::is_missing(field)).then(|| field.to_owned())
    };
    let named = short(columns.split);
    let (domain, group) = (short(columns.domain), short(columns.group));
    let split = match named {
        Some(name) => Some(split_of_row(&format!("{place}:{}", record.row), &name)?),
        None => split,
    };
    let mut text = |column: usize| std::mem::take(&mut record.fields[column]);
    let text = Text { text: text(columns.text).into(), pair: columns.pair.map(|c| text(c).into()) };
    Ok(Sample { id, input: Input::Text(text), label: None, split, domain, group })
}

#[cfg(test)]
mod tests;
