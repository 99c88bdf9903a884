//! What statistics can refuse.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// Shapes that do not fit together.
    #[error("expected {expected}, got {actual}")]
    Shape {
        /// What was expected.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A value that is NaN or infinite.
    #[error("{what} holds a value that is not finite (row {row})")]
    NotFinite {
        /// Which input.
        what: &'static str,
        /// Which row.
        row: usize,
    },
    /// Too little or degenerate data for the method.
    #[error("{0}")]
    Unusable(String),
}
