//! What can be wrong with a model.

/// An error of this crate: what was expected, what came, where.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    /// The checkpoint could not be read.
    #[error(transparent)]
    Weights(#[from] offshoot_weights::WeightsError),
    /// A checkpoint that does not fit the recipe.
    #[error("checkpoint does not fit recipe `{recipe}`: {detail}")]
    Mismatch {
        /// The recipe's name.
        recipe: String,
        /// The keys that are missing or of another shape.
        detail: String,
    },
    /// A name that no registry holds.
    #[error("unknown {family} `{name}`")]
    Unknown {
        /// Which registry.
        family: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest name that exists, for a hint.
        suggestion: Option<String>,
    },
    /// Something that the interpreter cannot compute.
    #[error("{0}")]
    Unsupported(String),
}
