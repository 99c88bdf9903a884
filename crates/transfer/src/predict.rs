//! Labels for new inputs.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use offshoot_data::{ColumnNames, Input, ReadOptions, Sample, TextStream};
use offshoot_stats::Rows;
use rayon::prelude::*;

use crate::documents::{PredictReport, Prediction, SCHEMA};
use crate::inputs::Ready;
use crate::pictures::Unreadable;
use crate::plan::PredictPlan;
use crate::run::RunFolder;
use crate::source::Source;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};

/// The largest image that is read from a stream.
const STREAM_BYTES: u64 = 256 << 20;

/// What to label.
pub enum PredictInput<'a> {
    /// Files, folders (every image or text below them, sorted), manifests (`.csv` with a `path`
    /// column), tables of texts and any other form of data that `train` reads.
    Paths(Vec<PathBuf>),
    /// Standard input: the bytes of one image, or a list of paths, one a line. Which of them is
    /// decided by the first bytes. For a run on texts: one text a line, JSON lines, or CSV with a
    /// header ([`TextStream`]).
    Stream(&'a mut (dyn BufRead + 'a)),
}

/// A sample as the network reads it, or why it cannot be read.
type Prepared = std::result::Result<Ready, Unreadable>;

/// Labels inputs in their order and hands each row to `sink` as soon as its batch is done.
/// Unreadable inputs give a row with `error`; memory follows the batch, not the input.
///
/// # Errors
/// [`TransferError::Unusable`] when not one input could be read; whatever `sink` returns.
pub fn predict(
    plan: &PredictPlan,
    input: PredictInput<'_>,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&Prediction) -> Result<()>,
) -> Result<PredictReport> {
    let mut watch = Watch::new(observer);
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut report = PredictReport {
        schema: SCHEMA,
        command: "predict".into(),
        run: plan.run.clone(),
        seconds: 0.0,
        rows: 0,
        unreadable: 0,
        unfamiliar: 0,
    };
    watch.phase(Phase::Predict, None, |watch| {
        let texts = matches!(source.inputs, crate::inputs::Inputs::Texts(_));
        let mut inputs = match texts {
            true => Inputs::of_texts(input, &plan.columns)?,
            false => Inputs::new(input)?,
        };
        let batch = source.engine.step(plan.batch);
        let mut done = 0;
        let first = inputs.take(batch)?;
        let mut current = prepare(&first, &source);
        let mut names = first;
        // One batch is labelled while the next one is decoded.
        while !names.is_empty() {
            let next = inputs.take(batch)?;
            let (prepared, predictions) = rayon::join(
                || prepare(&next, &source),
                || label(&names, &current, &trained, &source, plan.top),
            );
            for prediction in predictions? {
                match prediction.error {
                    None => report.rows += 1,
                    Some(_) => report.unreadable += 1,
                }
                report.unfamiliar += usize::from(prediction.unfamiliar);
                sink(&prediction)?;
            }
            done += names.len();
            watch.progress(Phase::Predict, done, done + next.len() + inputs.waiting(), 0)?;
            (names, current) = (next, prepared);
        }
        Ok(())
    })?;
    if report.rows == 0 {
        return Err(TransferError::Unusable(match report.unreadable {
            0 => {
                "no input was given: name files, folders or a CSV, or send one picture, a list of \
                  paths, or texts to `-`"
                    .into()
            }
            1 => "the only input cannot be read".into(),
            n => format!("none of the {n} inputs can be read"),
        }));
    }
    report.seconds = watch.seconds();
    Ok(report)
}

fn prepare(samples: &[Sample], source: &Source) -> Vec<Prepared> {
    samples.par_iter().map(|s| source.inputs.prepare(&s.input)).collect()
}

fn label(
    samples: &[Sample],
    prepared: &[Prepared],
    trained: &Trained,
    source: &Source,
    top: usize,
) -> Result<Vec<Prediction>> {
    let fits = |input: &&Ready| source.engine.refuses(input).is_none();
    let ready: Vec<&Ready> = prepared.iter().flatten().filter(fits).collect();
    let mut features = vec![0.0; ready.len() * trained.dim];
    if !ready.is_empty() {
        source.engine.run(&ready, &mut features)?;
    }
    let rows = Rows::new(ready.len(), trained.dim, &features)
        .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
    let probabilities = trained.probabilities(rows)?;
    let mut answers = probabilities.rows().enumerate();
    let one = |(sample, prepared): (&Sample, &Prepared)| {
        let refused = match prepared {
            Err(reason) => Some(reason.detail.clone()),
            Ok(input) => source.engine.refuses(input),
        };
        match refused {
            Some(reason) => unreadable(sample, reason),
            None => match answers.next() {
                Some((i, p)) => prediction(sample, p, rows.row(i), trained, top),
                None => unreadable(sample, "no answer".into()),
            },
        }
    };
    Ok(samples.iter().zip(prepared).map(one).collect())
}

fn unreadable(sample: &Sample, reason: String) -> Prediction {
    Prediction {
        input: sample.id.clone(),
        label: None,
        probability: None,
        top: Vec::new(),
        unfamiliar: false,
        distance: None,
        error: Some(reason),
    }
}

fn prediction(
    sample: &Sample,
    p: &[f64],
    row: &[f32],
    trained: &Trained,
    top: usize,
) -> Prediction {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]).then(a.cmp(&b)));
    let named = |&class: &usize| (trained.classes[class].clone(), p[class]);
    let familiarity = &trained.familiarity;
    let distance = familiarity.distance(row) / familiarity.threshold.max(f32::MIN_POSITIVE);
    Prediction {
        input: sample.id.clone(),
        label: order.first().map(|c| trained.classes[*c].clone()),
        probability: order.first().map(|c| p[*c]),
        top: order.iter().take(top.max(1)).map(named).collect(),
        unfamiliar: distance > 1.0,
        distance: Some(distance.into()),
        error: None,
    }
}

/// Inputs that are still to be labelled, opened one after the other.
struct Inputs<'a> {
    paths: VecDeque<PathBuf>,
    lines: Option<&'a mut (dyn BufRead + 'a)>,
    texts: Option<TextStream<'a>>,
    samples: VecDeque<Sample>,
    /// How tables of texts are read; `None` where pictures are.
    columns: Option<ColumnNames>,
}

impl<'a> Inputs<'a> {
    fn new(input: PredictInput<'a>) -> Result<Self> {
        let none = |paths: Vec<PathBuf>| Self {
            paths: paths.into(),
            lines: None,
            texts: None,
            samples: VecDeque::new(),
            columns: None,
        };
        match input {
            PredictInput::Paths(paths) => Ok(none(paths)),
            PredictInput::Stream(stream) => {
                let start = stream.fill_buf().map_err(|e| TransferError::io("-", e))?;
                if looks_like_text(start) {
                    return Ok(Self { lines: Some(stream), ..none(Vec::new()) });
                }
                let mut bytes = Vec::new();
                let mut limited = stream.take(STREAM_BYTES + 1);
                limited.read_to_end(&mut bytes).map_err(|e| TransferError::io("-", e))?;
                if bytes.len() as u64 > STREAM_BYTES {
                    let detail = format!("standard input: more than {STREAM_BYTES} bytes");
                    return Err(TransferError::Unusable(detail));
                }
                let sample = sample("-".into(), Input::Encoded(bytes.into()));
                Ok(Self { samples: VecDeque::from([sample]), ..none(Vec::new()) })
            }
        }
    }

    /// Inputs of a run on texts.
    fn of_texts(input: PredictInput<'a>, columns: &ColumnNames) -> Result<Self> {
        let (paths, texts) = match input {
            PredictInput::Paths(paths) => (paths.into(), None),
            PredictInput::Stream(stream) => {
                (VecDeque::new(), Some(TextStream::new(stream, columns)?))
            }
        };
        let columns = Some(columns.clone());
        Ok(Self { paths, lines: None, texts, samples: VecDeque::new(), columns })
    }

    /// Up to `n` more samples.
    fn take(&mut self, n: usize) -> Result<Vec<Sample>> {
        let mut taken = Vec::with_capacity(n);
        while taken.len() < n {
            if let Some(sample) = self.samples.pop_front() {
                taken.push(sample);
            } else if let Some(path) = self.paths.pop_front() {
                self.samples.extend(match &self.columns {
                    Some(columns) => texts_of(&path, columns)?,
                    None => expand(&path)?,
                });
            } else if let Some(sample) = self.texts.as_mut().and_then(Iterator::next) {
                taken.push(sample?);
            } else if let Some(line) = self.next_line()? {
                self.paths.push_back(line);
            } else {
                break;
            }
        }
        Ok(taken)
    }

    /// How many are known to come.
    fn waiting(&self) -> usize {
        self.samples.len() + self.paths.len()
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
    if path.is_dir() || ["csv", "tsv", "tab", "jsonl", "ndjson"].contains(&extension.as_str()) {
        let options = ReadOptions { columns: columns.clone(), ..ReadOptions::default() };
        return Ok(offshoot_data::open(path, &options)?.samples);
    }
    Ok(vec![sample(path.display().to_string(), Input::TextFile(path.into()))])
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

    fn ids(input: PredictInput<'_>, batch: usize) -> Vec<Vec<String>> {
        let mut inputs = Inputs::new(input).unwrap();
        let mut batches = Vec::new();
        loop {
            let taken = inputs.take(batch).unwrap();
            if taken.is_empty() {
                return batches;
            }
            batches.push(taken.into_iter().map(|s| s.id).collect());
        }
    }

    #[test]
    fn a_list_of_paths_is_read_batch_by_batch() {
        let mut list = "a.png\r\n\n  \nb c.jpg\nd.png".as_bytes();
        let batches = ids(PredictInput::Stream(&mut list), 2);
        assert_eq!(batches, [vec!["a.png", "b c.jpg"], vec!["d.png"]]);
    }

    #[test]
    fn image_bytes_on_a_stream_are_one_input() {
        for start in
            [&b"\x89PNG\r\n\x1a\n\0\0"[..], b"\xff\xd8\xff\xe0\0\x10JFIF", b"GIF89a\x01\0\x01\0"]
        {
            let mut bytes = start;
            assert_eq!(ids(PredictInput::Stream(&mut bytes), 4), [["-"]]);
        }
        assert!(ids(PredictInput::Stream(&mut &b""[..]), 4).is_empty());
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
}
