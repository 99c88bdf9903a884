//! What turns samples that are ready into feature vectors.

use offshoot_nn::TextBatch;
use offshoot_nn::cpu::{Plan, TextPlan};

use crate::inputs::Ready;
use crate::{Result, TransferError};

/// Tokens that pass through an encoder together; more only take memory.
const TOKENS: usize = 8192;
/// Texts are so much smaller than pictures that more of them are taken in a step.
const TEXTS_A_PICTURE: usize = 8;

/// Computes feature rows. The result for one sample depends on that sample only.
pub trait Engine: Send + Sync {
    /// Values a feature row.
    fn dim(&self) -> usize;
    /// Bytes that a sample takes when it is ready, for estimates.
    fn input_bytes(&self) -> usize;
    /// Samples that are made ready for one step where the user asks for `batch`.
    fn step(&self, batch: usize) -> usize {
        batch.max(1)
    }
    /// Why this engine cannot take a sample.
    fn refuses(&self, input: &Ready) -> Option<String>;
    /// Computes a row for each input: `features` is `[inputs, dim]`.
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()>;
}

impl Engine for Plan {
    fn dim(&self) -> usize {
        self.feature_dim()
    }
    fn input_bytes(&self) -> usize {
        4 * self.input_shape().len()
    }
    fn refuses(&self, input: &Ready) -> Option<String> {
        wrong_length(input, self.input_shape().len())
    }
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()> {
        Ok(self.features(&joined(inputs)?, inputs.len(), features)?)
    }
}

impl Engine for TextPlan {
    fn dim(&self) -> usize {
        self.feature_dim()
    }
    fn input_bytes(&self) -> usize {
        // Tables read texts of any length, which few have.
        8 * self.input().longest.min(TOKENS)
    }
    fn step(&self, batch: usize) -> usize {
        batch.max(1).saturating_mul(TEXTS_A_PICTURE)
    }
    fn refuses(&self, input: &Ready) -> Option<String> {
        match input {
            Ready::Tokens(_) => None,
            _ => Some("a picture or a vector, where texts are read".into()),
        }
    }
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()> {
        end_to_end(inputs, [TOKENS, self.feature_dim()], features, |batch, features| {
            Ok(self.features(batch, features)?)
        })
    }
}

/// Gives `run` the texts end to end, `tokens` and what the last one has beyond them at a time, and the place of their vectors among `features`
/// `[inputs, dim]`. Lengths may be mixed without padding.
///
/// # Errors
/// An input that is no text, and as `run`.
pub fn end_to_end(
    inputs: &[&Ready],
    [tokens, dim]: [usize; 2],
    features: &mut [f32],
    mut run: impl FnMut(&TextBatch, &mut [f32]) -> Result<()>,
) -> Result<()> {
    let mut batch = TextBatch::new();
    let mut written = 0;
    for (i, input) in inputs.iter().enumerate() {
        let Ready::Tokens(text) = input else {
            return Err(TransferError::Internal("an encoder was given no text".into()));
        };
        batch.push_masked(&text.ids, &text.types, &vec![true; text.ids.len()])?;
        if batch.tokens() >= tokens || i + 1 == inputs.len() {
            let end = written + batch.len() * dim;
            run(&batch, &mut features[written..end])?;
            written = end;
            batch.clear();
        }
    }
    Ok(())
}

/// The input itself: raw pixels, or feature vectors that the data already holds.
#[derive(Debug)]
pub struct Identity(
    /// Values a sample.
    pub usize,
);

impl Engine for Identity {
    fn dim(&self) -> usize {
        self.0
    }
    fn input_bytes(&self) -> usize {
        4 * self.0
    }
    fn refuses(&self, input: &Ready) -> Option<String> {
        wrong_length(input, self.0)
    }
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()> {
        features.copy_from_slice(&joined(inputs)?);
        Ok(())
    }
}

fn wrong_length(input: &Ready, expected: usize) -> Option<String> {
    match input {
        Ready::Values(values) if values.len() == expected => None,
        Ready::Values(values) => {
            Some(format!("{} values, where {expected} are read", values.len()))
        }
        _ => Some("a text, where pictures are read".into()),
    }
}

fn joined(inputs: &[&Ready]) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    for input in inputs {
        let Ready::Values(input) = input else {
            return Err(TransferError::Internal("a network for pictures was given a text".into()));
        };
        values.extend_from_slice(input);
    }
    Ok(values)
}
