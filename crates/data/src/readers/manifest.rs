//! A CSV file that names each picture: `path,label[,split,domain,group]`.

use std::io::Read;
use std::path::Path;

use crate::text::encoding;
use crate::{DataError, Dataset, Input, Result, Sample};

use super::image_folder::split_of_row;
use super::{ReadOptions, extension, labels, name_of};

/// A manifest larger than this is not one.
const MAX_BYTES: u64 = 1 << 30;
/// No path or label is longer than this.
const MAX_FIELD: usize = 64 << 10;

/// What the column of paths is called.
const PATH: &[&str] = &["path", "file", "filename", "file_name", "image", "filepath"];
/// Bytes in which the header must end.
const HEADER_BYTES: u64 = 64 << 10;

/// A table with a column of paths, in which no column of texts is asked for.
pub(super) fn recognises(path: &Path, options: &ReadOptions) -> bool {
    path.is_file()
        && matches!(extension(path).as_str(), "csv" | "tsv")
        && options.columns.text.is_none()
        && has_paths(path)
}

/// Whether a table's first line names a column of paths. One that is no text is left to [`read`],
/// which says why.
fn has_paths(path: &Path) -> bool {
    let mut start = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return true };
    if file.take(HEADER_BYTES).read_to_end(&mut start).is_err() {
        return true;
    }
    let Ok(content) = encoding::decode(&start) else { return true };
    let delimiter = delimiter(&content);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(content.as_bytes());
    reader.headers().is_ok_and(|header| {
        header.iter().any(|name| PATH.contains(&name.trim().to_lowercase().as_str()))
    })
}

/// Where each column of the header is.
struct Columns {
    path: usize,
    label: Option<usize>,
    split: Option<usize>,
    domain: Option<usize>,
    group: Option<usize>,
}

pub(super) fn read(path: &Path, _options: &ReadOptions) -> Result<Dataset> {
    let place = path.display().to_string();
    let size = std::fs::metadata(path).map_err(DataError::io(path))?.len();
    if size > MAX_BYTES {
        let detail = format!("{size} bytes; a manifest has at most {MAX_BYTES}");
        return Err(DataError::malformed(place, detail));
    }
    let bytes = std::fs::read(path).map_err(DataError::io(path))?;
    let content = encoding::decode(&bytes).map_err(|why| DataError::malformed(&place, why))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(&content))
        .trim(csv::Trim::None)
        .from_reader(content.as_bytes());
    let header = reader.headers().map_err(|e| row_error(&place, &e))?;
    let columns = columns(&place, header)?;
    // `path, label` has a space behind each comma, which belongs to no field.
    let spaced = header.iter().skip(1).any(|name| name.starts_with(' '));

    let folder = path.parent().unwrap_or(Path::new(""));
    let mut samples = Vec::new();
    let mut names = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| row_error(&place, &e))?;
        let row = record.position().map_or(0, csv::Position::line);
        let here = || format!("{place}:{row}");
        if let Some(long) = record.iter().find(|f| f.len() > MAX_FIELD) {
            let detail = format!("a field of {} bytes; the most is {MAX_FIELD}", long.len());
            return Err(DataError::malformed(here(), detail));
        }
        let field = |column: Option<usize>| {
            let text = column.and_then(|c| record.get(c)).unwrap_or_default().trim();
            (!labels::is_missing(text)).then(|| text.to_owned())
        };
        let id = field(Some(columns.path))
            .ok_or_else(|| DataError::malformed(here(), "the path is empty"))?;
        let split = match field(columns.split) {
            Some(name) => Some(split_of_row(&here(), &name)?),
            None => None,
        };
        // Labels keep their spaces, so that the data doctor sees classes that differ by one.
        let label = columns.label.and_then(|c| record.get(c)).unwrap_or_default();
        let label = if spaced { label.trim_start() } else { label };
        names.push((!labels::is_missing(label.trim())).then(|| label.to_owned()));
        samples.push(Sample {
            input: Input::File(folder.join(&id)),
            id,
            label: None,
            split,
            domain: field(columns.domain),
            group: field(columns.group),
        });
    }
    let (classes, indices) = labels::index(&names);
    for (sample, label) in samples.iter_mut().zip(indices) {
        sample.label = label;
    }
    Ok(Dataset { name: name_of(path), classes, samples, notes: Vec::new() })
}

/// Comma, unless the first line has more semicolons or tabs.
pub(super) fn delimiter(content: &str) -> u8 {
    let first = content.lines().next().unwrap_or_default();
    let count = |c: char| first.matches(c).count();
    let mut best = (',', count(','));
    for other in [';', '\t'] {
        if count(other) > best.1 {
            best = (other, count(other));
        }
    }
    best.0 as u8
}

fn columns(place: &str, header: &csv::StringRecord) -> Result<Columns> {
    let names: Vec<String> = header.iter().map(|n| n.trim().to_lowercase()).collect();
    let find = |spellings: &[&str]| names.iter().position(|n| spellings.contains(&n.as_str()));
    let path = find(PATH);
    let path = path.ok_or_else(|| {
        let detail = format!(
            "expected a header with a column `path`, found `{}`",
            shorten(&names.join(","))
        );
        DataError::malformed(format!("{place}:1"), detail)
    })?;
    Ok(Columns {
        path,
        label: find(&["label", "class", "target", "category"]),
        split: find(&["split", "subset", "partition"]),
        domain: find(&["domain"]),
        group: find(&["group"]),
    })
}

pub(super) fn row_error(place: &str, error: &csv::Error) -> DataError {
    let row = error.position().map_or(1, csv::Position::line);
    let byte = error.position().map_or(0, csv::Position::byte);
    let detail = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("byte {byte}: expected {expected_len} fields as in the header, found {len}")
        }
        _ => error.to_string(),
    };
    DataError::malformed(format!("{place}:{row}"), detail)
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
