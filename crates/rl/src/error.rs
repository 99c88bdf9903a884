//! What worlds and learners can refuse.

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
