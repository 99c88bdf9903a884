//! Rows of a Parquet file (feature `parquet`): its columns of words, numbers and truth values.
//!
//! Files are hostile until shown otherwise: what the footer promises is checked before anything is
//! decoded, and what the checks did not foresee does not end the process. Read are uncompressed, Snappy
//! and gzip pages; other codecs are refused by name. Whole numbers that a data set of Hugging Face calls
//! classes get the names that it gives them.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use crate::text::encoding;
use crate::{DataError, Result};

use super::records::{MAX_BYTES, MAX_COLUMNS, Record, refuse_long};

/// A file that unpacks to more times its size is no table of texts.
const MAX_RATIO: u64 = 1000;
/// Small files may unpack to this whatever their size.
const ALWAYS: u64 = 16 << 20;

/// What a file holds.
pub(super) struct Read {
    pub names: Vec<String>,
    pub rows: Vec<Record>,
    pub notes: Vec<String>,
}

/// Reads all rows. A row's number is its place in the file, from 1.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Malformed`] for a file that is damaged, hostile or too large.
pub(super) fn read(path: &Path) -> Result<Read> {
    let place = path.display().to_string();
    let size = std::fs::metadata(path).map_err(DataError::io(path))?.len();
    if size > MAX_BYTES {
        let detail = format!("{size} bytes; a table of texts has at most {MAX_BYTES}");
        return Err(DataError::malformed(place, detail));
    }
    let file = File::open(path).map_err(DataError::io(path))?;
    // Nothing that the panic may have left half done is used afterwards.
    let read = catch_unwind(AssertUnwindSafe(|| rows(&place, file, size)));
    read.unwrap_or_else(|_| Err(DataError::malformed(place, "its parts contradict each other")))
}

fn rows(place: &str, file: File, size: u64) -> Result<Read> {
    let broken = |error: parquet::errors::ParquetError| {
        let detail: String = error.to_string().escape_debug().take(200).collect();
        DataError::malformed(place, format!("no Parquet file that can be read: {detail}"))
    };
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let metadata = reader.metadata();
    check(place, metadata, size)?;
    let schema = metadata.file_metadata().schema();
    let (flat, nested): (Vec<&Arc<Type>>, Vec<&Arc<Type>>) =
        schema.get_fields().iter().partition(|field| is_flat(field));
    let names: Vec<String> = flat.iter().map(|field| field.name().to_owned()).collect();
    let mut notes = Vec::new();
    if !nested.is_empty() {
        let left: Vec<String> = nested
            .iter()
            .take(8)
            .map(|f| format!("`{}`", super::manifest::shorten(f.name())))
            .collect();
        notes.push(format!("{place}: lists and records are not read: {}", left.join(", ")));
    }
    if names.is_empty() {
        return Ok(Read { names, rows: Vec::new(), notes });
    }
    let fields = flat.into_iter().cloned().collect();
    let wanted = Type::group_type_builder(schema.name()).with_fields(fields).build();
    let classes = class_names(metadata.file_metadata().key_value_metadata());
    let mut rows = Vec::new();
    let mut bytes = 0u64;
    for (row, number) in
        reader.get_row_iter(Some(wanted.map_err(broken)?)).map_err(broken)?.zip(1..)
    {
        let row = row.map_err(|error| match broken(error) {
            DataError::Malformed { place, detail } => {
                DataError::malformed(format!("{place}:{number}"), detail)
            }
            other => other,
        })?;
        let columns = row.into_columns().into_iter();
        let fields: Vec<String> =
            columns.map(|(name, field)| scalar(field, classes.get(&name))).collect();
        refuse_long(place, number, &fields)?;
        bytes += fields.iter().map(|field| field.len() as u64).sum::<u64>();
        if bytes > MAX_BYTES {
            let detail = format!("more than {MAX_BYTES} bytes of text");
            return Err(DataError::malformed(place, detail));
        }
        rows.push(Record { row: number, fields });
    }
    Ok(Read { names, rows, notes })
}

/// What the footer promises must be possible.
fn check(place: &str, metadata: &ParquetMetaData, size: u64) -> Result<()> {
    let refused = |detail: String| Err(DataError::malformed(place, detail));
    let columns = metadata.file_metadata().schema_descr().num_columns();
    if columns > MAX_COLUMNS {
        return refused(format!("{columns} columns; at most {MAX_COLUMNS}"));
    }
    let mut unpacked = 0u64;
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let sizes = [column.compressed_size(), column.uncompressed_size(), column.num_values()];
        if sizes.iter().any(|size| *size < 0) {
            return refused("a column of negative size".into());
        }
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = start.checked_add(column.compressed_size());
        if start < 0 || end.is_none_or(|end| end as u64 > size) {
            return refused("a column that lies outside of the file".into());
        }
        match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) => {}
            other => {
                let name: String = format!("{other:?}").chars().take(20).collect();
                return refused(format!("pages packed by {name}; read are Snappy and gzip"));
            }
        }
        unpacked = unpacked.saturating_add(column.uncompressed_size() as u64);
    }
    let most = size.saturating_mul(MAX_RATIO).clamp(ALWAYS, MAX_BYTES);
    if unpacked > most {
        return refused(format!("{size} bytes that would unpack to {unpacked}; at most {most}"));
    }
    Ok(())
}

/// One value a row.
fn is_flat(field: &Type) -> bool {
    let info = field.get_basic_info();
    let repeated =
        info.has_repetition() && info.repetition() == parquet::basic::Repetition::REPEATED;
    field.is_primitive() && !repeated
}

/// Names of classes by column, as the library `datasets` writes them into its files.
fn class_names(entries: Option<&Vec<KeyValue>>) -> BTreeMap<String, Vec<String>> {
    let entry = entries.into_iter().flatten().find(|entry| entry.key == "huggingface");
    let text = entry.and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let features = told.pointer("/info/features").and_then(serde_json::Value::as_object);
    let names = |feature: &serde_json::Value| -> Option<Vec<String>> {
        let names = feature.get("names")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let found = features.into_iter().flatten();
    found.filter_map(|(column, feature)| Some((column.clone(), names(feature)?))).collect()
}

fn scalar(field: Field, classes: Option<&Vec<String>>) -> String {
    let number = |n: i64| {
        let name = classes.and_then(|names| names.get(usize::try_from(n).ok()?)).cloned();
        // `datasets` writes −1 where there is no label.
        if classes.is_some() && n < 0 {
            String::new()
        } else {
            name.unwrap_or_else(|| n.to_string())
        }
    };
    match field {
        Field::Str(text) => text,
        Field::Bytes(bytes) => encoding::decode(bytes.data()).unwrap_or_default(),
        Field::Bool(truth) => truth.to_string(),
        Field::Byte(n) => number(n.into()),
        Field::Short(n) => number(n.into()),
        Field::Int(n) => number(n.into()),
        Field::Long(n) => number(n),
        Field::UByte(n) => number(n.into()),
        Field::UShort(n) => number(n.into()),
        Field::UInt(n) => number(n.into()),
        Field::ULong(n) => n.to_string(),
        Field::Float(n) => n.to_string(),
        Field::Double(n) => n.to_string(),
        Field::Float16(n) => n.to_string(),
        // No field of a table of texts.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;

    use crate::{Input, ReadOptions, open};

    /// A file of texts and whole numbers.
    fn written(
        path: &Path,
        texts: &[&str],
        labels: &[i64],
        told: Option<&str>,
        packed: Compression,
    ) {
        let schema = "message rows { required binary text (UTF8); required int64 label; \
                      optional group tags (LIST) { repeated group list { optional binary element; } } }";
        let schema = parse_message_type(schema).unwrap();
        let entry = told.map(|told| vec![KeyValue::new("huggingface".to_owned(), told.to_owned())]);
        let properties = WriterProperties::builder()
            .set_compression(packed)
            .set_key_value_metadata(entry)
            .build();
        let file = File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(labels, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![0i16; texts.len()];
        column.typed::<ByteArrayType>().write_batch(&[], Some(&levels), Some(&levels)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    use super::*;

    fn file(root: &tempfile::TempDir, name: &str) -> PathBuf {
        root.path().join(name)
    }

    #[test]
    fn texts_and_named_classes_are_read() {
        let root = tempfile::tempdir().unwrap();
        let told =
            r#"{"info":{"features":{"label":{"names":["bad","good"],"_type":"ClassLabel"}}}}"#;
        for packed in
            [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default())]
        {
            let path = file(&root, "d.parquet");
            written(&path, &["a film", "caf\u{e9}", "x"], &[1, 0, -1], Some(told), packed);
            let data = open(&path, &ReadOptions::default()).unwrap();
            let texts: Vec<String> = data
                .samples
                .iter()
                .map(|s| match &s.input {
                    Input::Text(text) => text.text.to_string(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(texts, ["a film", "café", "x"]);
            assert_eq!(data.classes, ["bad", "good"]);
            let labels: Vec<Option<u32>> = data.samples.iter().map(|s| s.label).collect();
            assert_eq!(labels, [Some(1), Some(0), None]);
            assert_eq!(data.samples[1].id, "d.parquet:2");
            assert!(
                data.notes.iter().any(|note| note.contains("not read: `tags`")),
                "{:?}",
                data.notes
            );
        }
    }

    #[test]
    fn a_folder_of_parts_is_read_and_numbers_stay_numbers() {
        let root = tempfile::tempdir().unwrap();
        let part = |name: &str, n: i64| {
            written(
                &file(&root, name),
                &["a b c", "d e f"],
                &[n, 1 - n],
                None,
                Compression::SNAPPY,
            );
        };
        part("train-00000-of-00001.parquet", 0);
        part("test-00000-of-00001.parquet", 1);
        let data = open(root.path(), &ReadOptions::default()).unwrap();
        assert_eq!((data.samples.len(), data.classes.join(",")), (4, "0,1".to_owned()));
        assert!(data.samples.iter().all(|sample| sample.split.is_some()));
    }

    #[test]
    fn what_is_no_parquet_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        for bytes in
            [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"text,label\na,b\n"]
        {
            let path = file(&root, "d.parquet");
            fs::write(&path, bytes).unwrap();
            let message = open(&path, &ReadOptions::default()).unwrap_err().to_string();
            assert!(message.contains("d.parquet: no Parquet file"), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn changed_files_are_read_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
            cut in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let root = tempfile::tempdir().unwrap();
            let path = file(&root, "d.parquet");
            written(&path, &["a film", "a b c d", "x"], &[1, 0, 1], None, Compression::SNAPPY);
            let mut bytes = fs::read(&path).unwrap();
            for (place, value) in changes {
                let at = place.index(bytes.len());
                bytes[at] = value;
            }
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            fs::write(&path, bytes).unwrap();
            let start = std::time::Instant::now();
            let _ = open(&path, &ReadOptions::default());
            prop_assert!(start.elapsed().as_secs() < 10);
        }
    }
}
