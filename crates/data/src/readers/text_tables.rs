//! A folder with one table of texts a part: `train.csv`, `test.csv`, `news-train.tab`.

use std::path::{Path, PathBuf};

use crate::{Dataset, Result, Split};

use super::image_folder::split_named;
use super::text_table::{self, Found};
use super::walk::entries;
use super::{ColumnNames, ReadOptions};

pub(super) fn recognises(path: &Path, options: &ReadOptions) -> bool {
    path.is_dir()
        && tables(path).is_ok_and(|tables| {
            tables.iter().any(|(split, _)| *split == Split::Train)
                && tables.iter().all(|(_, table)| text_table::recognises(table, options))
        })
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut found = Found::default();
    let mut columns: ColumnNames = options.columns.clone();
    for (split, table) in tables(path)? {
        // The other parts are read as the training part was. A test part may lack its labels.
        let alike = found.add(&table, &columns, Some(split))?;
        columns = ColumnNames { label: options.columns.label.clone(), split: None, ..alike };
    }
    Ok(found.into_dataset(path))
}

/// Tables whose name has the part's name as one of its words; the training part comes first.
fn tables(folder: &Path) -> Result<Vec<(Split, PathBuf)>> {
    let mut tables: Vec<(Split, PathBuf)> = Vec::new();
    for file in entries(folder)?.1.into_iter().filter(|f| text_table::has_ending(f)) {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let split = stem.split(|c: char| !c.is_alphanumeric()).find_map(split_named);
        tables.extend(split.map(|split| (split, file)));
    }
    tables.sort();
    Ok(tables)
}
