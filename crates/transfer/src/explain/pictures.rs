//! Pictures: one patch of a grid at a time is painted in the mean colour.

use offshoot_data::{Input, Picture, Sample};

use super::{Occlusion, contribution, together};
use crate::Result;
use crate::documents::{Explanation, Patches};
use crate::inputs::Ready;
use crate::pictures::{Content, Pictures, Unreadable};
use crate::show::png;

/// Patches a side, where the picture is large enough.
const SIDE: usize = 8;
/// Pixels a side that a patch has at least.
const LEAST: usize = 2;

/// A picture as one source sees it.
struct View<'a> {
    pictures: &'a Pictures,
    seen: Picture,
    /// Normalised.
    whole: Vec<f32>,
}

impl<'a> View<'a> {
    fn of(pictures: &'a Pictures, input: &Input) -> std::result::Result<Self, Unreadable> {
        let seen = match pictures.read(input)? {
            Content::Encoded(bytes) => pictures.seen(&Input::Encoded(bytes)),
            Content::Pixels(store, index) => pictures.seen(&Input::Pixels { store, index }),
            _ => Err(Unreadable::no_picture()),
        }?;
        let whole = pictures.normalise(&seen.pixels);
        Ok(Self { pictures, seen, whole })
    }

    /// With one patch of a grid in the mean colour.
    fn without(&self, index: usize, side: usize) -> Vec<f32> {
        let Picture { width, height, channels, .. } = self.seen;
        let grey = self.pictures.mean_colour();
        let mut values = self.whole.clone();
        for (y, line) in values.chunks_exact_mut(width * channels).enumerate() {
            for (x, pixel) in line.chunks_exact_mut(channels).enumerate() {
                if y * side / height * side + x * side / width == index {
                    pixel.copy_from_slice(&grey);
                }
            }
        }
        values
    }
}

impl Occlusion<'_> {
    pub(super) fn explain_picture(
        &self,
        all: &[&Pictures],
        sample: &Sample,
        class: Option<usize>,
    ) -> Result<std::result::Result<(Explanation, usize), Unreadable>> {
        let mut views = Vec::with_capacity(all.len());
        for &pictures in all {
            match View::of(pictures, &sample.input) {
                Ok(view) => views.push(view),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let Some(first) = views.first() else { return Ok(Err(Unreadable::no_picture())) };
        let narrowest = views.iter().map(|view| view.seen.width).min().unwrap_or(LEAST);
        let side = SIDE.min(self.answers.isqrt()).min(narrowest / LEAST).max(1);
        // Several sources lose the same part of the picture.
        let patch = |index: usize| {
            together(views.iter().map(|view| Ready::Values(view.without(index, side))).collect())
        };
        let ready = together(views.iter().map(|view| Ready::Values(view.whole.clone())).collect());
        if let Some(reason) = self.refuses(&ready) {
            return Ok(Err(reason));
        }
        let (mut explanation, class) = self.asked_about(&sample.id, &ready, class)?;
        let parts: Vec<Ready> = (0..side * side).map(patch).collect();
        let probabilities = self.answers(&parts, class)?;
        let whole = explanation.class_probability;
        explanation.patches = Some(Patches {
            side,
            contributions: probabilities.iter().map(|&p| contribution(whole, p)).collect(),
            probabilities,
        });
        explanation.picture = png::encode(&first.seen).unwrap_or_default();
        Ok(Ok((explanation, 1 + side * side)))
    }
}
