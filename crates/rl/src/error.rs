//! What worlds and learners can refuse.

use offshoot_transfer::TransferError;

/// An error of this crate: what was expected, what came, where.
#[derive(Debug, thiserror::Error)]
pub enum RlError {
    /// A name that nothing has.
    #[error("unknown {what} `{name}`; there are {known}")]
    Unknown {
        /// What kind of thing was asked for.
        what: &'static str,
        /// What it was called.
        name: String,
        /// The names that exist, in backticks.
        known: String,
    },
    /// A constant outside of what its world can compute with.
    #[error("constant `{name}` of `{world}`: expected {low} to {high}, got {value}")]
    OutOfRange {
        /// The world.
        world: &'static str,
        /// The constant.
        name: &'static str,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
        /// What came.
        value: f64,
    },
    /// Something of another size or form than what it is given to.
    #[error("{what}: expected {expected}, got {actual}")]
    Shape {
        /// Which input.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A file of a policy or a checkpoint that is damaged or does not belong.
    #[error("{0}")]
    Refused(String),
    /// A number that is not finite appeared in training.
    #[error("{0}")]
    Diverged(String),
    /// A run could not be read or written.
    #[error(transparent)]
    Run(#[from] TransferError),
    /// A mistake in this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// A request that cannot be met, and why.
    #[error("{0}")]
    Unusable(String),
}

impl RlError {
    /// `name` is none of `known`.
    pub fn unknown<'a>(
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
        Self::Unknown { what, name: name.into(), known: known.join(", ") }
    }

    /// `what` should have been `expected`.
    pub fn shape(
        what: &'static str,
        expected: impl std::fmt::Display,
        actual: impl std::fmt::Display,
    ) -> Self {
        Self::Shape { what, expected: expected.to_string(), actual: actual.to_string() }
    }
}

/// A run's errors know their exit code.
impl From<RlError> for TransferError {
    fn from(error: RlError) -> Self {
        match error {
            RlError::Run(error) => error,
            RlError::Refused(detail) => Self::ModelRefused(detail),
            RlError::Diverged(detail) => Self::Diverged(detail),
            RlError::Internal(detail) => Self::Internal(detail),
            other => Self::Usage { detail: other.to_string(), hint: None },
        }
    }
}
