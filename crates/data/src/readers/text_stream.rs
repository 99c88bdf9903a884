//! Texts from a pipe, one after the other: lines, JSON lines, or CSV with a header.

use std::io::{BufRead, Cursor, Read};

use crate::text::encoding;
use crate::{DataError, Input, Result, Sample, Text};

use super::text_table::records::{json_object, json_record};
use super::text_table::{self, columns};
use super::{ColumnNames, manifest};

/// No single line is longer.
const MAX_LINE: u64 = 64 << 20;
/// What messages call the stream.
const PLACE: &str = "-";

/// Unlabelled samples of a stream, read on demand. Their ids are `-:1`, `-:2`, … by line. What is no text, no object
/// or no row of so many fields is [`Input::Broken`], and the next line is another chance; only a stream that cannot
/// be read on is an error.
///
/// The first line decides the form. An object in braces begins JSON lines; a line whose fields are
/// short names, one of them usual for texts (`text`, `sentence`, …) or [`ColumnNames::text`], is
/// the header of a CSV; else every line that is not blank is a text.
pub struct TextStream<'a> {
    form: Form<'a>,
}

type Source<'a> = std::io::Chain<Cursor<Vec<u8>>, Box<dyn BufRead + 'a>>;

enum Form<'a> {
    Lines { source: Source<'a>, row: u64 },
    Json { source: Source<'a>, row: u64, wanted: ColumnNames },
    Table { rows: csv::ByteRecordsIntoIter<Source<'a>>, columns: columns::Columns },
}

impl<'a> TextStream<'a> {
    /// Looks at the first line of `input`.
    ///
    /// # Errors
    /// [`DataError::Malformed`] where the stream cannot be read or is no text, or where the header
    /// lacks a column that `wanted` names.
    pub fn new(input: &'a mut (dyn BufRead + 'a), wanted: &ColumnNames) -> Result<Self> {
        let mut input: Box<dyn BufRead + 'a> = Box::new(input);
        let start = input.fill_buf().map_err(failed)?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            // UTF-16 has no line ends that bytes could be cut at.
            let mut bytes = Vec::new();
            input.take(MAX_LINE).read_to_end(&mut bytes).map_err(failed)?;
            let text = encoding::decode(&bytes).map_err(|why| DataError::malformed(PLACE, why))?;
            input = Box::new(Cursor::new(text.into_bytes()));
        }
        let mut first = Vec::new();
        while first.iter().all(u8::is_ascii_whitespace) {
            if read_line(&mut input, &mut first)? == 0 {
                break;
            }
        }
        if first.starts_with(b"\xef\xbb\xbf") {
            first.drain(..3);
        }
        let line = text_of(&first, 1)?;
        let source = Cursor::new(first).chain(input);
        let form = if line.trim_start().starts_with('{') {
            // Flags that contradict each other do so in every line.
            if let Ok(object) = json_object(PLACE, 1, 0, &line) {
                let names: Vec<String> = object.keys().cloned().collect();
                columns::of_names(&id(1), &names, wanted)?;
            }
            Form::Json { source, row: 0, wanted: wanted.clone() }
        } else {
            match header(&line, wanted)? {
                Some((delimiter, columns)) => {
                    let reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(source);
                    Form::Table { rows: reader.into_byte_records(), columns }
                }
                None => Form::Lines { source, row: 0 },
            }
        };
        Ok(TextStream { form })
    }

    fn next_sample(&mut self) -> Result<Option<Sample>> {
        let (row, read) = match &mut self.form {
            Form::Lines { source, row } => {
                let Some(line) = next_line(source, row)? else { return Ok(None) };
                (*row, line.map(|line| sample(*row, Input::Text(Text::from(line.as_str())))))
            }
            Form::Json { source, row, wanted } => {
                let Some(line) = next_line(source, row)? else { return Ok(None) };
                (*row, line.and_then(|line| of_json(*row, &line, wanted)))
            }
            Form::Table { rows, columns } => {
                let Some(record) = rows.next() else { return Ok(None) };
                match record {
                    Ok(record) => {
                        let row = record.position().map_or(1, csv::Position::line);
                        (row, of_record(row, &record, columns))
                    }
                    Err(error) => match (error.is_io_error(), error.position()) {
                        (false, Some(position)) => {
                            (position.line(), Err(manifest::row_error(PLACE, &error)))
                        }
                        _ => return Err(manifest::row_error(PLACE, &error)),
                    },
                }
            }
        };
        Ok(Some(read.unwrap_or_else(|error| sample(row, Input::Broken(detail(error).into())))))
    }
}

impl Iterator for TextStream<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        self.next_sample().transpose()
    }
}

fn of_json(row: u64, line: &str, wanted: &ColumnNames) -> Result<Sample> {
    let names: Vec<String> = json_object(PLACE, row, 0, line)?.keys().cloned().collect();
    let columns = columns::of_names(&id(row), &names, wanted)?.ok_or_else(|| {
        let detail = "no field of texts (`text`, `sentence`, …); --text-column names it";
        DataError::malformed(id(row), detail)
    })?;
    let record = json_record(PLACE, row, 0, line, &names)?;
    text_table::sample(PLACE, id(row), record, &columns, None)
}

fn of_record(row: u64, record: &csv::ByteRecord, columns: &columns::Columns) -> Result<Sample> {
    let fields = record.iter().map(|field| text_of(field, row)).collect::<Result<_>>()?;
    let record = text_table::records::Record { row, fields };
    text_table::sample(PLACE, id(row), record, columns, None)
}

/// What is wrong, without the place: the sample has it.
fn detail(error: DataError) -> String {
    match error {
        DataError::Malformed { detail, .. } | DataError::Picture { detail, .. } => detail,
        other => other.to_string(),
    }
}

/// Delimiter and columns where `line` is a header.
fn header(line: &str, wanted: &ColumnNames) -> Result<Option<(u8, columns::Columns)>> {
    const NAME: usize = 40;
    let delimiter = manifest::delimiter(line);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(line.as_bytes());
    let Ok(fields) = reader.headers() else { return Ok(None) };
    let names: Vec<String> = fields.iter().map(|n| n.trim().to_owned()).collect();
    let found = columns::of_names(&id(1), &names, wanted)?;
    if let (Some(column), None) = (&wanted.text, &found) {
        let detail =
            format!("no column `{column}`; the first line is `{}`", manifest::shorten(line));
        return Err(DataError::malformed(id(1), detail));
    }
    let are_names = names.iter().all(|n| n.len() <= NAME && n.split_whitespace().count() <= 2);
    // One word alone is a text, unless it is the word itself.
    let is_header = names.len() > 1 || names == ["text"] || wanted.text.is_some();
    Ok(found.filter(|_| are_names && is_header).map(|columns| (delimiter, columns)))
}

/// The next line that is not blank, or what is wrong with it; an error where nothing more can be read.
fn next_line(source: &mut Source<'_>, row: &mut u64) -> Result<Option<Result<String>>> {
    loop {
        let mut line = Vec::new();
        if read_line(source, &mut line)? == 0 {
            return Ok(None);
        }
        *row += 1;
        let text = match text_of(&line, *row) {
            Ok(text) => text,
            Err(error) => return Ok(Some(Err(error))),
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.trim().is_empty() {
            return Ok(Some(Ok(text.to_owned())));
        }
    }
}

fn read_line(source: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<usize> {
    let mut limited = source.take(MAX_LINE + 1);
    let read = limited.read_until(b'\n', line).map_err(failed)?;
    if read as u64 > MAX_LINE {
        return Err(DataError::malformed(PLACE, format!("a line of more than {MAX_LINE} bytes")));
    }
    Ok(read)
}

fn text_of(bytes: &[u8], row: u64) -> Result<String> {
    encoding::decode_part(bytes).map_err(|why| DataError::malformed(id(row), why))
}

fn failed(source: std::io::Error) -> DataError {
    DataError::Io { path: PLACE.into(), source }
}

fn id(row: u64) -> String {
    format!("{PLACE}:{row}")
}

fn sample(row: u64, input: Input) -> Sample {
    Sample { id: id(row), input, label: None, split: None, domain: None, group: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8], wanted: &ColumnNames) -> Result<Vec<String>> {
        let mut input = bytes;
        TextStream::new(&mut input, wanted)?
            .map(|sample| {
                let sample = sample?;
                let text = match sample.input {
                    Input::Text(text) => text,
                    Input::Broken(why) => return Ok(format!("{}! {why}", sample.id)),
                    _ => panic!("not a text"),
                };
                let pair = text.pair.map(|p| format!("|{p}")).unwrap_or_default();
                Ok(format!("{} {}{pair}", sample.id, text.text))
            })
            .collect()
    }

    #[test]
    fn the_first_line_decides_the_form() {
        let none = ColumnNames::default();
        let all = |bytes: &[u8]| texts(bytes, &none).unwrap();
        assert_eq!(all(b"good film\r\n\n  \nbad, really\n"), ["-:1 good film", "-:4 bad, really"]);
        assert_eq!(all(b"text\n\"two\nlines\"\nb\n"), ["-:2 two\nlines", "-:4 b"]);
        assert_eq!(all(b"id,review\n1,\"a, b\"\n"), ["-:2 a, b"]);
        assert_eq!(all(b"premise\thypothesis\nx\ty\n"), ["-:2 x|y"]);
        assert_eq!(all(b"{\"id\":1,\"text\":\"a\"}\n\n{\"text\":\"b\"}\n"), ["-:1 a", "-:3 b"]);
        assert_eq!(all(b"caf\xe9\n"), ["-:1 café"]);
        assert_eq!(all(b"\xff\xfea\0\n\0b\0"), ["-:1 a", "-:2 b"]);
        assert_eq!(all(b""), [""; 0]);
        let named = ColumnNames { text: Some("what".into()), ..none.clone() };
        assert_eq!(texts(b"text,what\na,b\n", &named).unwrap(), ["-:2 b"]);
    }

    #[test]
    fn only_the_beginning_has_a_byte_order_mark() {
        let all = |bytes: &[u8]| texts(bytes, &ColumnNames::default()).unwrap();
        let lines = ["-:1 good film", "-:2 ÿþbad film", "-:3 þÿodd", "-:4 third"];
        assert_eq!(all(b"good film\n\xff\xfebad film\n\xfe\xffodd\nthird\n"), lines);
        assert_eq!(all(b"\xef\xbb\xbfgood film\n\xff\xfebad film\n"), lines[..2]);
        assert_eq!(all(b"id,text\n1,\xff\xfebad film\n"), ["-:2 ÿþbad film"]);
    }

    #[test]
    fn a_column_has_one_role() {
        let pair = |name: &str| ColumnNames { pair: Some(name.into()), ..ColumnNames::default() };
        for bytes in [&b"text,body\na,b\n"[..], b"{\"text\":\"a\",\"body\":\"b\"}\n"] {
            // Named for the pair, it is not guessed to be the text.
            assert!(texts(bytes, &pair("text")).unwrap()[0].ends_with(" b|a"));
            let both = ColumnNames { text: Some("Text".into()), ..pair("text") };
            let message = texts(bytes, &both).unwrap_err().to_string();
            assert!(message.starts_with("-:1: column `text` is named for the text"), "{message}");
        }
        // Words of a pair that is usual do not take the place of those that are named.
        assert_eq!(texts(b"text,text_pair,b\nx,y,z\n", &pair("b")).unwrap(), ["-:2 x|z"]);
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let none = ColumnNames::default();
        let named = ColumnNames { text: Some("what".into()), ..none.clone() };
        // The lines behind it are read.
        for (bytes, expected) in [
            (&b"a\n\0\nc\n"[..], "-:2! "),
            (b"{\"text\":\"a\"}\n[1]\n{\"text\":\"c\"}\n", "-:2! "),
            (b"{\"text\":\"a\"}\n{\"id\":1}\n{\"text\":\"c\"}\n", "-:2! no field of texts"),
            (b"{\"text\":\"a\"}\n{\"text\":\n{\"text\":\"c\"}\n", "-:2! "),
            (b"text,label\na,b\nc\nc,d\n", "-:3! "),
        ] {
            let found = texts(bytes, &none).unwrap();
            assert!(found.len() == 3 && found[1].starts_with(expected), "{found:?}");
            assert!(found[0].ends_with(" a") && found[2].ends_with(" c"), "{found:?}");
            assert!(!found[1].contains("-:2: "), "the place is told twice: {found:?}");
        }
        let message = texts(b"text,label\na,b\n", &named).unwrap_err().to_string();
        assert!(message.contains("no column `what`"), "{message}");
    }
}
