//! What can go wrong in a run, and the exit code that says so to a shell.

use std::io;
use std::path::{Path, PathBuf};

use crate::adapt::document::AdaptReport;
use crate::documents::TrainReport;

/// An error of this crate: what was expected, what came, where.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The request itself is wrong: an unknown name, an invalid option, a run that does not exist.
    #[error("{detail}")]
    Usage {
        /// What was asked for and why it cannot be.
        detail: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// The data could not be read or cannot be used.
    #[error(transparent)]
    Data(#[from] offshoot_data::DataError),
    /// The data as a whole was refused.
    #[error("{0}")]
    BadData(String),
    /// Input of which everything that is wrong has been told, file by file or here.
    #[error("{0}")]
    Unusable(String),
    /// More samples are unreadable than a run goes on with.
    #[error(
        "{bad} of {total} samples cannot be read, more than {allowed_percent} %; the first is {first}"
    )]
    TooManyUnreadable {
        /// How many could not be read.
        bad: usize,
        /// How many there are.
        total: usize,
        /// The share that is allowed, in per cent.
        allowed_percent: u32,
        /// `path: reason` of the first.
        first: String,
    },
    /// The checkpoint could not be read.
    #[error(transparent)]
    Weights(#[from] offshoot_weights::WeightsError),
    /// The network could not be built.
    #[error(transparent)]
    Network(#[from] offshoot_nn::NnError),
    /// A model (or a trained run) that is damaged, tampered with or of the wrong kind.
    #[error("{0}")]
    ModelRefused(String),
    /// Statistics refused the numbers.
    #[error(transparent)]
    Stats(#[from] offshoot_stats::StatsError),
    /// A file could not be read or written.
    #[error("{}: {source}{}", path.display(), needed(*bytes))]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// How many bytes had to be written, where the disk may be full.
        bytes: Option<u64>,
    },
    /// The time that was given does not suffice for anything.
    #[error(
        "the features of {samples} samples alone take about {needed:.0} s, and {given:.0} s were given"
    )]
    TooLittleTime {
        /// Samples whose features are missing.
        samples: usize,
        /// Seconds that they take, as measured on a batch.
        needed: f64,
        /// Seconds that were given.
        given: f64,
    },
    /// A number that is not finite appeared in training.
    #[error("{0}")]
    Diverged(String),
    /// `--require` was not met.
    #[error("required {metric} {required}, reached {reached:.4}")]
    GateFailed {
        /// Which metric.
        metric: String,
        /// The threshold.
        required: f64,
        /// What the test split gave.
        reached: f64,
        /// Everything that was measured.
        report: Box<Measured>,
    },
    /// The observer asked to stop; finished work is kept.
    #[error("stopped; what is finished is kept{}", run.as_deref().map(|r| format!(" in {}", r.display())).unwrap_or_default())]
    Stopped {
        /// The run folder, where one was begun.
        run: Option<PathBuf>,
    },
    /// A mistake in this program.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The document of a command whose figures were not what was required.
#[derive(Debug, Clone)]
pub enum Measured {
    /// Of `train`, `eval` or `demo`.
    Train(TrainReport),
    /// Of `adapt`.
    Adapt(AdaptReport),
}

fn needed(bytes: Option<u64>) -> String {
    bytes.map(|b| format!(" ({b} bytes needed)")).unwrap_or_default()
}

impl TransferError {
    /// An I/O error about `path`.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source, bytes: None }
    }

    /// An I/O error while writing `bytes` bytes to `path`.
    pub fn io_writing(path: &Path, source: io::Error, bytes: u64) -> Self {
        Self::Io { path: path.into(), source, bytes: Some(bytes) }
    }

    /// The same, where `bytes` bytes had to be written in all.
    pub fn needing(self, bytes: u64) -> Self {
        match self {
            Self::Io { path, source, .. } => Self::Io { path, source, bytes: Some(bytes) },
            other => other,
        }
    }

    /// A wrong request, with advice.
    pub fn usage(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { detail: detail.into(), hint: Some(hint.into()) }
    }

    /// The process's exit code: 1 internal, 2 usage, 3 bad data, 4 model refused, 5 resources,
    /// 6 diverged, 7 gate failed, 75 stopped and resumable.
    pub fn exit_code(&self) -> u8 {
        use offshoot_nn::NnError;
        match self {
            Self::Internal(_) => 1,
            Self::Usage { .. } | Self::Network(NnError::Unknown { .. }) => 2,
            Self::Data(_)
            | Self::BadData(_)
            | Self::Unusable(_)
            | Self::TooManyUnreadable { .. }
            | Self::Stats(_) => 3,
            Self::Weights(_) | Self::Network(_) | Self::ModelRefused(_) => 4,
            Self::Io { .. } | Self::TooLittleTime { .. } => 5,
            Self::Diverged(_) => 6,
            Self::GateFailed { .. } => 7,
            Self::Stopped { .. } => 75,
        }
    }

    /// One sentence of advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::TooManyUnreadable { .. } => {
                Some("`offshoot check DATA` lists every unreadable file and its reason".into())
            }
            Self::Stopped { run: Some(run) } => {
                let name = run.file_name().unwrap_or_default().to_string_lossy();
                Some(format!("`offshoot runs resume {name}` goes on"))
            }
            Self::TooLittleTime { needed, .. } => Some(format!(
                "`--time {:.0}s` would suffice for a probe; fewer samples or a smaller --model also help",
                1.5 * needed + 5.0
            )),
            Self::Stopped { run: None } => Some("the same command goes on from there".into()),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                    "free some space, or name another place with --runs-dir or OFFSHOOT_CACHE"
                        .into(),
                ),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(
                    "name a place that can be written with --runs-dir or OFFSHOOT_CACHE".into(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_file_and_the_bytes() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = TransferError::io_writing(Path::new("runs/a/run.json"), full, 812);
        assert_eq!(error.exit_code(), 5);
        let text = error.to_string();
        assert!(text.contains("runs/a/run.json") && text.contains("812 bytes needed"), "{text}");
    }

    #[test]
    fn a_stopped_run_says_how_to_go_on() {
        let error = TransferError::Stopped { run: Some("runs/emoji-1".into()) };
        assert_eq!(error.exit_code(), 75);
        assert_eq!(error.hint().unwrap(), "`offshoot runs resume emoji-1` goes on");
    }
}
