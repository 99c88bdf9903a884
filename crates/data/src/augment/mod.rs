//! Augmentation: training pictures are looked at in other ways each time, so that a network learns what
//! they show and not their pixels.
//!
//! A user writes a list of methods with options, or a preset: `crop(scale=0.5),flip`. Every draw follows
//! from (seed, method, view, sample), so a view of a sample is the same whenever it is made.

mod crop;
mod erasing;
mod flip;
mod geometry;
mod jitter;
mod pad_crop;
mod rand_augment;
mod tones;

use std::fmt;
use std::str::FromStr;

use offshoot_random::{Generator, generator};

use crate::wording::{self, Choice};
use crate::{Picture, Transform};

/// A method of the registry.
#[derive(Debug)]
pub struct Augmentation {
    /// The word that a user types.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its options.
    pub choices: &'static [Choice],
    /// Changes a picture by the values of its options; size and channels stay.
    apply: fn(Picture, &[f64], &mut Generator) -> Picture,
}

/// All methods in alphabetical order; `crop` comes first when a list is applied, since it decides what
/// of the picture the others see.
pub fn all() -> &'static [Augmentation] {
    &[
        crop::AUGMENTATION,
        erasing::AUGMENTATION,
        flip::AUGMENTATION,
        jitter::AUGMENTATION,
        pad_crop::AUGMENTATION,
        rand_augment::AUGMENTATION,
    ]
}

/// Lists that have a name.
pub const PRESETS: [(&str, &str); 4] = [
    ("none", ""),
    ("light", "crop(scale=0.6),flip"),
    ("standard", "crop(scale=0.35),flip,jitter"),
    ("strong", "crop(scale=0.25),flip,rand-augment,erasing"),
];

/// Methods with their options, ready to be applied.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipeline {
    crop: Option<Vec<f64>>,
    steps: Vec<(&'static str, Vec<f64>)>,
}

/// A list that cannot be: what is wrong with it, and what there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct PipelineError {
    detail: String,
    hint: String,
}

impl PipelineError {
    /// What to do instead.
    pub fn hint(&self) -> String {
        self.hint.clone()
    }
}

/// What keys the draws of one look at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Of the run.
    pub seed: u64,
    /// The sample's number.
    pub sample: u64,
    /// The view's number.
    pub view: u64,
}

impl Pipeline {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.crop.is_none() && self.steps.is_empty()
    }

    /// The picture as `transform` would make it, changed: `[size, size, channels]` bytes.
    pub fn apply(&self, picture: Picture, transform: &Transform, look: Look) -> Vec<u8> {
        let draws =
            |name: &str| generator(look.seed, &format!("augment {name}"), look.view, look.sample);
        let side = transform.size.max(1);
        let mut picture = match &self.crop {
            Some(values) => crop::crop(picture, transform, values, &mut draws("crop")),
            None => {
                let pixels = transform.apply_to(picture);
                Picture { width: side, height: side, channels: transform.channels.count(), pixels }
            }
        };
        for (name, values) in &self.steps {
            if let Some(method) = all().iter().find(|method| method.name == *name) {
                picture = (method.apply)(picture, values, &mut draws(name));
            }
        }
        picture.pixels
    }
}

impl FromStr for Pipeline {
    type Err = PipelineError;
    fn from_str(text: &str) -> Result<Self, PipelineError> {
        let presets = || PRESETS.map(|(name, _)| name).join(", ");
        let names = || all().iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
        let wrong = |detail: String| PipelineError {
            detail,
            hint: format!("presets are {}; methods are {}", presets(), names()),
        };
        let preset = PRESETS.iter().find(|(name, _)| *name == text.trim());
        let calls = wording::calls(preset.map_or(text, |(_, list)| list)).map_err(wrong)?;
        let mut pipeline = Self::default();
        for call in calls {
            let method = all()
                .iter()
                .find(|method| method.name == call.name)
                .ok_or_else(|| wrong(format!("unknown augmentation `{}`", call.name)))?;
            let values = call.values(method.choices).map_err(wrong)?;
            match method.name {
                "crop" => pipeline.crop = Some(values),
                name => pipeline.steps.push((name, values)),
            }
        }
        Ok(pipeline)
    }
}

/// The list with all options; two pipelines that write alike do alike.
impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crop = self.crop.iter().map(|values| ("crop", values));
        let steps = self.steps.iter().map(|(name, values)| (*name, values));
        for (i, (name, values)) in crop.chain(steps).enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let choices = all().iter().find(|m| m.name == name).map_or(&[][..], |m| m.choices);
            let options: Vec<String> =
                choices.iter().zip(values).map(|(c, v)| format!("{}={v}", c.name)).collect();
            write!(f, "{comma}{name}({})", options.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
