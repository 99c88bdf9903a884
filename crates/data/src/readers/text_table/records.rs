//! Rows of CSV, TSV and JSON lines, and of what is decoded elsewhere.

use std::path::Path;

use crate::text::encoding::{self, Encoding};
use crate::{DataError, Result};

use super::super::{extension, manifest};

/// A larger file is split up by its owner, or read as features.
pub(super) const MAX_BYTES: u64 = 4 << 30;
/// No single text is longer.
const MAX_FIELD: usize = 64 << 20;
/// Rows that names and columns are judged by.
pub(in super::super) const JUDGED: usize = 1000;
/// Objects with more keys are no rows of a table.
pub(super) const MAX_COLUMNS: usize = 10_000;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Record {
    /// The line on which it begins, from 1.
    pub row: u64,
    /// One a column.
    pub fields: Vec<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Delimited {
        delimiter: u8,
        quoting: bool,
    },
    JsonLines,
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only Parquet files have it"))]
    Rows,
}

/// A file of rows, in memory.
pub(in super::super) struct Table {
    /// The file, for messages.
    pub place: String,
    /// Names of the columns.
    pub names: Vec<String>,
    /// What there is to tell about how it was read.
    pub notes: Vec<String>,
    /// The column that the file itself calls its class (Orange's header of three rows).
    pub class: Option<usize>,
    content: String,
    form: Form,
    /// Of a form that is no text.
    rows: Vec<Record>,
    /// Rows before the first of data.
    skip: usize,
}

impl Table {
    pub fn open(path: &Path) -> Result<Table> {
        if extension(path) == "parquet" {
            return binary(path);
        }
        let place = path.display().to_string();
        let size = std::fs::metadata(path).map_err(DataError::io(path))?.len();
        if size > MAX_BYTES {
            let detail = format!("{size} bytes; a table of texts has at most {MAX_BYTES}");
            return Err(DataError::malformed(place, detail));
        }
        let bytes = std::fs::read(path).map_err(DataError::io(path))?;
        let (content, encoding) =
            encoding::decode_named(&bytes).map_err(|why| DataError::malformed(&place, why))?;
        drop(bytes);
        let form = match extension(path).as_str() {
            "jsonl" | "ndjson" => Form::JsonLines,
            "tsv" | "tab" => tabbed(&content),
            _ => match manifest::delimiter(&content) {
                b'\t' => tabbed(&content),
                delimiter => Form::Delimited { delimiter, quoting: true },
            },
        };
        let mut table = Table {
            place,
            names: Vec::new(),
            notes: Vec::new(),
            class: None,
            content,
            form,
            rows: Vec::new(),
            skip: 0,
        };
        if encoding == Encoding::Windows1252 {
            table.notes.push(format!("{}: not UTF-8; read as Windows-1252", table.place));
        }
        table.refuse_open_quote()?;
        table.read_names()?;
        Ok(table)
    }

    /// Rows of data in order. Every row has one field a column.
    pub fn records(&self) -> Box<dyn Iterator<Item = Result<Record>> + '_> {
        match self.form {
            Form::Delimited { delimiter, quoting } => {
                let rows = delimited(&self.place, &self.content, delimiter, quoting);
                Box::new(rows.skip(self.skip))
            }
            Form::Rows => Box::new(self.rows.iter().cloned().map(Ok)),
            Form::JsonLines => Box::new(
                lines(&self.content)
                    .map(|(row, at, line)| json_record(&self.place, row, at, line, &self.names)),
            ),
        }
    }

    /// The first rows, by which columns are judged.
    pub fn first(&self) -> Result<Vec<Record>> {
        self.records().take(JUDGED).collect()
    }

    /// Whether names come from a first row.
    pub fn has_header(&self) -> bool {
        matches!(self.form, Form::Delimited { .. })
    }

    /// Takes the first row for data instead of names.
    pub fn without_header(mut self) -> Table {
        self.skip = 0;
        self.names = (1..=self.names.len()).map(|n| format!("column {n}")).collect();
        self
    }

    fn read_names(&mut self) -> Result<()> {
        if self.form == Form::JsonLines {
            for (row, at, line) in lines(&self.content).take(JUDGED) {
                for name in json_object(&self.place, row, at, line)?.keys() {
                    if !self.names.contains(name) && self.names.len() < MAX_COLUMNS {
                        self.names.push(name.clone());
                    }
                }
            }
            return Ok(());
        }
        let head: Vec<Record> = self.records().take(3).collect::<Result<_>>()?;
        let Some(header) = head.first() else { return Ok(()) };
        self.names = header.fields.iter().map(|n| n.trim().to_owned()).collect();
        self.skip = 1;
        if let [_, types, flags] = head.as_slice()
            && is_orange(types, flags)
        {
            self.skip = 3;
            self.class = flags.fields.iter().position(|f| f.split(' ').any(|w| w == "class"));
        }
        Ok(())
    }

    /// A quote that never closes makes one field of all that follows; better to say so.
    fn refuse_open_quote(&self) -> Result<()> {
        let Form::Delimited { delimiter, quoting: true } = self.form else { return Ok(()) };
        let Some(at) = open_quote(self.content.as_bytes(), delimiter) else { return Ok(()) };
        let row = 1 + self.content[..at].matches('\n').count();
        let detail = format!("byte {at}: a quoted field begins here and never ends");
        Err(DataError::malformed(format!("{}:{row}", self.place), detail))
    }
}

#[cfg(feature = "parquet")]
fn binary(path: &Path) -> Result<Table> {
    let super::parquet::Read { names, rows, notes } = super::parquet::read(path)?;
    let place = path.display().to_string();
    let content = String::new();
    Ok(Table { place, names, notes, class: None, content, form: Form::Rows, rows, skip: 0 })
}

#[cfg(not(feature = "parquet"))]
fn binary(path: &Path) -> Result<Table> {
    let detail =
        "this program was built without the feature `parquet`; CSV or JSON lines do as well";
    Err(DataError::malformed(path.display().to_string(), detail))
}

/// Rows two and three of Orange's tables: the types of the columns, and what they are for.
fn is_orange(types: &Record, flags: &Record) -> bool {
    const TYPES: [&str; 8] = ["d", "c", "s", "t", "discrete", "continuous", "string", "time"];
    const FLAGS: [&str; 6] = ["class", "meta", "ignore", "i", "m", "c"];
    let is_flag = |word: &str| FLAGS.contains(&word) || word.contains('=');
    types.fields.iter().all(|t| TYPES.contains(&t.trim()))
        && flags.fields.iter().all(|f| f.split_whitespace().all(is_flag))
}

/// Tab-separated files are written with and without quoting. Where every line has the same number
/// of tabs although quoting would join lines, a quote is a character as any other.
fn tabbed(content: &str) -> Form {
    let filled = || content.lines().filter(|line| !line.is_empty());
    let tabs = |line: &str| line.bytes().filter(|&b| b == b'\t').count();
    let columns = filled().next().map_or(0, tabs);
    let even = filled().all(|line| tabs(line) == columns);
    let quoting = !even || {
        let quoted = delimited("", content, b'\t', true);
        let rows = quoted.take_while(std::result::Result::is_ok).count();
        rows == filled().count() && open_quote(content.as_bytes(), b'\t').is_none()
    };
    Form::Delimited { delimiter: b'\t', quoting }
}

fn delimited<'a>(
    place: &'a str,
    content: &'a str,
    delimiter: u8,
    quoting: bool,
) -> impl Iterator<Item = Result<Record>> + 'a {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .quoting(quoting)
        .from_reader(content.as_bytes());
    reader.into_records().map(move |record| {
        let record = record.map_err(|e| manifest::row_error(place, &e))?;
        let row = record.position().map_or(1, csv::Position::line);
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        refuse_long(place, row, &fields)?;
        Ok(Record { row, fields })
    })
}

pub(super) fn refuse_long(place: &str, row: u64, fields: &[String]) -> Result<()> {
    let Some(long) = fields.iter().find(|f| f.len() > MAX_FIELD) else { return Ok(()) };
    let detail = format!("a field of {} bytes; the most is {MAX_FIELD}", long.len());
    Err(DataError::malformed(format!("{place}:{row}"), detail))
}

/// Where a quoted field begins that never ends, by the rules of RFC 4180.
fn open_quote(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut opened = None;
    let mut field_begins = true;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if opened.is_some() {
            if byte == b'"' {
                if bytes.get(at + 1) == Some(&b'"') {
                    at += 1;
                } else {
                    opened = None;
                }
            }
        } else if byte == b'"' && field_begins {
            opened = Some(at);
        }
        field_begins = opened.is_none() && (byte == delimiter || byte == b'\n' || byte == b'\r');
        at += 1;
    }
    opened
}

/// Lines that are not blank: number from 1, first byte, content.
fn lines(content: &str) -> impl Iterator<Item = (u64, usize, &str)> {
    let mut at = 0;
    let numbered = content.split('\n').zip(1u64..).map(move |(line, row)| {
        let here = at;
        at += line.len() + 1;
        (row, here, line)
    });
    numbered.filter(|(_, _, line)| !line.trim().is_empty())
}

pub(in super::super) type Object = serde_json::Map<String, serde_json::Value>;

pub(in super::super) fn json_object(
    place: &str,
    row: u64,
    at: usize,
    line: &str,
) -> Result<Object> {
    serde_json::from_str(line).map_err(|error| {
        let detail =
            format!("byte {}: expected a JSON object: {error}", at + error.column().max(1) - 1);
        DataError::malformed(format!("{place}:{row}"), detail)
    })
}

pub(in super::super) fn json_record(
    place: &str,
    row: u64,
    at: usize,
    line: &str,
    names: &[String],
) -> Result<Record> {
    let mut object = json_object(place, row, at, line)?;
    let fields: Vec<String> = names.iter().map(|n| scalar(object.remove(n))).collect();
    refuse_long(place, row, &fields)?;
    Ok(Record { row, fields })
}

/// Lists and objects are no field of a table.
fn scalar(value: Option<serde_json::Value>) -> String {
    use serde_json::Value;
    match value {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
    }
}
