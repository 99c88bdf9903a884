//! From paths, lists of paths and streams to samples, one after the other.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use offshoot_data::{ColumnNames, Input, ReadOptions, Sample, Text, TextStream};

use crate::{Result, TransferError};

/// The largest image that is read from a stream.
const STREAM_BYTES: u64 = 256 << 20;

/// What to label.
pub enum PredictInput {
    /// Files, folders (every image or text below them, sorted), manifests (`.csv` with a `path`
    /// column), tables of texts and any other form of data that `train` reads.
    Paths(Vec<PathBuf>),
    /// As they were typed: for a run on texts, what is no path is a text itself.
    Typed(Vec<String>),
    /// Standard input: the bytes of one image, or a list of paths, one a line. Which of them is
    /// decided by the first bytes. For a run on texts: one text a line, JSON lines, or CSV with a
    /// header ([`TextStream`]).
    Stream(Box<dyn BufRead + Send>),
}

/// Samples that are still to be labelled, opened one after the other.
pub struct Inputs<'a> {
    paths: VecDeque<PathBuf>,
    lines: Option<&'a mut (dyn BufRead + 'a)>,
    texts: Option<TextStream<'a>>,
    samples: VecDeque<Sample>,
    /// How tables of texts are read; `None` where pictures are.
    columns: Option<ColumnNames>,
}

impl<'a> Inputs<'a> {
    /// Inputs for a run on texts where `columns` says how their tables are read, else for one on
    /// pictures.
    pub fn new(input: &'a mut PredictInput, columns: Option<&ColumnNames>) -> Result<Self> {
        let mut inputs = Self {
            paths: VecDeque::new(),
            lines: None,
            texts: None,
            samples: VecDeque::new(),
            columns: columns.cloned(),
        };
        match (input, columns) {
            (PredictInput::Paths(paths), _) => inputs.paths = std::mem::take(paths).into(),
            (PredictInput::Typed(typed), None) => {
                inputs.paths = typed.drain(..).map(PathBuf::from).collect();
            }
            (PredictInput::Typed(typed), Some(columns)) => {
                for (i, typed) in typed.drain(..).enumerate() {
                    match Path::new(&typed).exists() {
                        true => inputs.samples.extend(texts_of(Path::new(&typed), columns)?),
                        false => inputs.samples.push_back(sample(
                            format!("text {}", i + 1),
                            Input::Text(Text::from(typed.as_str())),
                        )),
                    }
                }
            }
            (PredictInput::Stream(stream), Some(columns)) => {
                inputs.texts = Some(TextStream::new(stream.as_mut(), columns)?);
            }
            (PredictInput::Stream(stream), None) => inputs.look_at(stream.as_mut())?,
        }
        Ok(inputs)
    }

    /// One picture, or a list of paths.
    fn look_at(&mut self, stream: &'a mut (dyn BufRead + 'a)) -> Result<()> {
        let start = stream.fill_buf().map_err(|e| TransferError::io("-", e))?;
        if looks_like_text(start) {
            self.lines = Some(stream);
            return Ok(());
        }
        let mut bytes = Vec::new();
        let mut limited = stream.take(STREAM_BYTES + 1);
        limited.read_to_end(&mut bytes).map_err(|e| TransferError::io("-", e))?;
        if bytes.len() as u64 > STREAM_BYTES {
            let detail = format!("standard input: more than {STREAM_BYTES} bytes");
            return Err(TransferError::Unusable(detail));
        }
        self.samples.push_back(sample("-".into(), Input::Encoded(bytes.into())));
        Ok(())
    }

    fn next_sample(&mut self) -> Result<Option<Sample>> {
        loop {
            if let Some(sample) = self.samples.pop_front() {
                return Ok(Some(sample));
            } else if let Some(path) = self.paths.pop_front() {
                self.samples.extend(match &self.columns {
                    Some(columns) => texts_of(&path, columns)?,
                    None => expand(&path)?,
                });
            } else if let Some(texts) = &mut self.texts {
                return Ok(texts.next().transpose()?);
            } else if let Some(line) = self.next_line()? {
                self.paths.push_back(line);
            } else {
                return Ok(None);
            }
        }
    }

    /// The next path that is not blank.
    fn next_line(&mut self) -> Result<Option<PathBuf>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        loop {
            let mut line = Vec::new();
            let read = lines.take(1 << 16).read_until(b'\n', &mut line);
            if read.map_err(|e| TransferError::io("-", e))? == 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.trim().is_empty() {
                return Ok(Some(text.into()));
            }
        }
    }
}

impl Iterator for Inputs<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        self.next_sample().transpose()
    }
}

/// A list of paths has no control characters but line ends; every image format has them at its
/// beginning.
fn looks_like_text(start: &[u8]) -> bool {
    let start = &start[..start.len().min(512)];
    start.iter().all(|&b| b >= 0x20 || b == b'\n' || b == b'\r' || b == b'\t')
        && !start.starts_with(b"\xff\xd8")
}

fn sample(id: String, input: Input) -> Sample {
    Sample { id, input, label: None, split: None, domain: None, group: None }
}

/// The samples that a path stands for. A single file is taken as an image and judged when it is
/// decoded, so that one bad path does not end the whole list.
fn expand(path: &Path) -> Result<Vec<Sample>> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if path.is_dir() {
        return Ok(offshoot_data::images(&[path])?.samples);
    }
    if ["csv", "npy", "npz", "gz"].contains(&extension.as_str()) || extension.contains("ubyte") {
        if extension == "csv" {
            return listed(path);
        }
        return Ok(offshoot_data::open(path, &Default::default())?.samples);
    }
    Ok(vec![sample(path.display().to_string(), Input::File(path.into()))])
}

/// The texts that a path stands for: of a table, of the `.txt` files below a folder, or one file.
fn texts_of(path: &Path, columns: &ColumnNames) -> Result<Vec<Sample>> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if path.is_dir()
        || ["csv", "tsv", "tab", "jsonl", "ndjson", "parquet"].contains(&extension.as_str())
    {
        let options = ReadOptions { columns: columns.clone(), ..ReadOptions::default() };
        return Ok(offshoot_data::open(path, &options)?.samples);
    }
    let input = match path.exists() {
        true => Input::TextFile(path.into()),
        false => Input::Broken("no such file; texts themselves go to standard input (`-`)".into()),
    };
    Ok(vec![sample(path.display().to_string(), input)])
}

/// The files of a CSV's `path` column (its first column where none has that name), relative to the
/// CSV's folder. Labels are not needed.
fn listed(path: &Path) -> Result<Vec<Sample>> {
    let failed = |e: csv::Error| TransferError::Unusable(format!("{}: {e}", path.display()));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(failed)?;
    let headers = reader.byte_headers().map_err(failed)?;
    let clean = |h: &[u8]| {
        let text = String::from_utf8_lossy(h);
        text.trim_start_matches('\u{feff}').trim().to_lowercase()
    };
    let column = headers.iter().position(|h| clean(h) == "path").unwrap_or(0);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut samples = Vec::new();
    for row in reader.byte_records() {
        let row = row.map_err(failed)?;
        if let Some(cell) = row.get(column).filter(|c| !c.is_empty()) {
            let name = String::from_utf8_lossy(cell).into_owned();
            samples.push(sample(name.clone(), Input::File(folder.join(name))));
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(mut input: PredictInput) -> Vec<String> {
        let inputs = Inputs::new(&mut input, None).unwrap();
        inputs.map(|sample| sample.unwrap().id).collect()
    }

    fn stream(bytes: &'static [u8]) -> PredictInput {
        PredictInput::Stream(Box::new(bytes))
    }

    #[test]
    fn a_list_of_paths_is_one_a_line() {
        let list = ids(stream(b"a.png\r\n\n  \nb c.jpg\nd.png"));
        assert_eq!(list, ["a.png", "b c.jpg", "d.png"]);
    }

    #[test]
    fn image_bytes_on_a_stream_are_one_input() {
        for start in
            [&b"\x89PNG\r\n\x1a\n\0\0"[..], b"\xff\xd8\xff\xe0\0\x10JFIF", b"GIF89a\x01\0\x01\0"]
        {
            assert_eq!(ids(stream(start)), ["-"]);
        }
        assert!(ids(stream(b"")).is_empty());
    }

    #[test]
    fn a_csv_names_files_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.csv");
        std::fs::write(&path, "label,path\nx,a.png\ny,\"b,c.png\"\n").unwrap();
        let samples = listed(&path).unwrap();
        assert_eq!(samples[1].id, "b,c.png");
        assert!(matches!(&samples[0].input, Input::File(f) if *f == dir.path().join("a.png")));
    }

    #[test]
    fn what_is_typed_is_a_path_where_there_is_one_and_else_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("one.txt");
        std::fs::write(&file, "from a file").unwrap();
        let typed = vec!["a good film".to_owned(), file.display().to_string()];
        let mut input = PredictInput::Typed(typed.clone());
        let columns = ColumnNames::default();
        let samples: Vec<Sample> =
            Inputs::new(&mut input, Some(&columns)).unwrap().map(Result::unwrap).collect();
        assert_eq!(samples[0].id, "text 1");
        assert!(matches!(&samples[0].input, Input::Text(text) if &*text.text == "a good film"));
        assert!(matches!(&samples[1].input, Input::TextFile(path) if *path == file));
        assert_eq!(ids(PredictInput::Typed(typed))[0], "a good film");
    }
}
