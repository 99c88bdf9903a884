//! A network as the loop sees it, whether it reads pictures or texts.

use std::collections::BTreeSet;

use offshoot_nn::cpu::train::{self, NormMode, Trainer};
use offshoot_nn::cpu::{self, Learned, Plan, PlanOptions, TextPlan, TextTrainer};
use offshoot_nn::{ModelInput, Params, Precision, Recipe, TextBatch};

use crate::{Result, TransferError};

/// What a batch brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Brought {
    /// Pictures, vectors, or activations of one size, end to end.
    Values(Vec<f32>),
    /// Tokens of texts.
    Tokens(TextBatch),
    /// Tokens of texts, and the rows that frozen layers made of them.
    Rows(TextBatch, Vec<f32>),
}

impl Brought {
    /// Adds the batch to itself, `copies` times in all.
    pub fn repeat(&mut self, copies: usize) -> Result<()> {
        let one = self.clone();
        (1..copies).try_for_each(|_| self.append(&one))
    }

    /// Adds another batch of the same kind after this one.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        match (self, other) {
            (Self::Values(all), Self::Values(values)) => all.extend_from_slice(values),
            (Self::Tokens(all), Self::Tokens(batch)) => all.append(batch),
            (Self::Rows(all, rows), Self::Rows(batch, own)) => {
                all.append(batch);
                rows.extend_from_slice(own);
            }
            _ => return Err(mixed()),
        }
        Ok(())
    }
}

fn mixed() -> TransferError {
    TransferError::Internal("a network was given what it does not read".into())
}

/// How a network that learns is built.
pub struct Options<'a> {
    /// Of dense products.
    pub precision: Precision,
    /// The last stage that is frozen.
    pub frozen_until: Option<String>,
    /// Whether the input is that stage's activations.
    pub from_activations: bool,
    /// Keys of what learns.
    pub learns: &'a BTreeSet<String>,
    /// What batch norms normalise by.
    pub norm: NormMode,
    /// Stochastic depth.
    pub drop_path: f64,
    /// Stages whose outputs loss terms want.
    pub taps: Vec<String>,
}

/// A network that learns.
pub enum Net {
    /// It reads pictures.
    Pictures(Box<Trainer>),
    /// It reads texts; with the batch of the last forward pass.
    Texts(Box<TextTrainer>, TextBatch),
}

impl Net {
    /// Prepares the part of `params` that learns.
    pub fn new(recipe: &Recipe, params: &Params, options: &Options<'_>) -> Result<Self> {
        let learns = Some(options.learns.clone());
        let from_activations = options.from_activations && options.frozen_until.is_some();
        let frozen = options.frozen_until.clone();
        Ok(match &recipe.input {
            ModelInput::Picture(_) => {
                let options = train::TrainOptions {
                    precision: options.precision,
                    from_activations,
                    frozen_until: frozen,
                    learns,
                    norm: options.norm,
                    drop_path: options.drop_path as f32,
                    taps: options.taps.clone(),
                    ..train::TrainOptions::default()
                };
                Self::Pictures(Box::new(Trainer::new(recipe, params, &options)?))
            }
            ModelInput::Text(_) => {
                let precision = options.precision;
                let options =
                    cpu::TrainOptions { isa: None, precision, frozen, from_activations, learns };
                let trainer = TextTrainer::new(recipe, params, &options)?;
                Self::Texts(Box::new(trainer), TextBatch::new())
            }
        })
    }

    /// Features `[n, dim]` of `n` samples, in training form.
    pub fn forward(
        &mut self,
        input: &Brought,
        n: usize,
        drops: Option<&dyn Fn(usize, usize) -> f32>,
    ) -> Result<Vec<f32>> {
        Ok(match (self, input) {
            (Self::Pictures(trainer), Brought::Values(values)) => {
                trainer.forward_dropping(values, n, drops)?.to_vec()
            }
            (Self::Texts(trainer, last), Brought::Tokens(batch)) => {
                last.clone_from(batch);
                trainer.forward(batch)?.to_vec()
            }
            (Self::Texts(trainer, last), Brought::Rows(batch, rows)) => {
                last.clone_from(batch);
                trainer.forward_from(batch, rows)?.to_vec()
            }
            _ => return Err(mixed()),
        })
    }

    /// What a stage gave in the last forward pass.
    pub fn stage_output(&self, stage: &str, n: usize) -> Result<Vec<f32>> {
        match self {
            Self::Pictures(trainer) => Ok(trainer.stage_output(stage, n)?.to_vec()),
            Self::Texts(..) => Err(mixed()),
        }
    }

    /// Forms the gradients from the features' and those of stages.
    pub fn backward(&mut self, to_features: &[f32], stages: &[(&str, &[f32])]) -> Result<()> {
        match self {
            Self::Pictures(trainer) => trainer.backward_adding(to_features, stages)?,
            Self::Texts(trainer, batch) => trainer.backward(batch, to_features)?,
        }
        Ok(())
    }

    /// Everything that learns, in the order of the network; values may be changed.
    pub fn learned(&mut self) -> Box<dyn Iterator<Item = Learned<'_>> + '_> {
        match self {
            Self::Pictures(trainer) => Box::new(trainer.learned()),
            Self::Texts(trainer, _) => Box::new(trainer.learned()),
        }
    }

    /// How many values learn.
    pub fn learning(&self) -> usize {
        match self {
            Self::Pictures(trainer) => trainer.params().map(|p| p.len).sum(),
            Self::Texts(trainer, _) => trainer.learning(),
        }
    }

    /// Parameters and statistics of the stages that are not frozen.
    pub fn trained(&self) -> Params {
        match self {
            Self::Pictures(trainer) => trainer.trained(),
            Self::Texts(trainer, _) => trainer.params(),
        }
    }

    /// Takes over what [`Net::trained`] gave.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        match self {
            Self::Pictures(trainer) => trainer.load(params)?,
            Self::Texts(trainer, _) => trainer.load(params)?,
        }
        Ok(())
    }

    /// Whether running statistics follow the batches.
    pub fn moves_statistics(&self) -> bool {
        matches!(self, Self::Pictures(trainer) if trainer.moves_statistics())
    }

    /// See [`Trainer::set_norm_momentum`].
    pub fn set_norm_momentum(&mut self, momentum: f64) {
        if let Self::Pictures(trainer) = self {
            trainer.set_norm_momentum(momentum);
        }
    }
}

/// A frozen network, or a part of it.
pub enum Fixed {
    /// It reads pictures.
    Pictures(Plan),
    /// It reads texts.
    Texts(TextPlan),
}

impl Fixed {
    /// Packs `params`.
    pub fn new(recipe: &Recipe, params: &Params, options: &PlanOptions) -> Result<Self> {
        Ok(match &recipe.input {
            ModelInput::Picture(_) => Self::Pictures(Plan::new(recipe, params, options)?),
            ModelInput::Text(_) => Self::Texts(TextPlan::new(recipe, params, options)?),
        })
    }

    /// Its output for `n` samples, end to end.
    pub fn run(&self, input: &Brought, n: usize) -> Result<Vec<f32>> {
        let mut output;
        match (self, input) {
            (Self::Pictures(plan), Brought::Values(values)) => {
                output = vec![0.0; n * plan.feature_dim()];
                plan.features(values, n, &mut output)?;
            }
            (Self::Texts(plan), Brought::Tokens(batch)) => {
                output = vec![0.0; plan.output_rows(batch) * plan.feature_dim()];
                plan.features(batch, &mut output)?;
            }
            (Self::Texts(plan), Brought::Rows(batch, rows)) => {
                output = vec![0.0; plan.output_rows(batch) * plan.feature_dim()];
                plan.features_from(batch, rows, &mut output)?;
            }
            _ => return Err(mixed()),
        }
        Ok(output)
    }
}
