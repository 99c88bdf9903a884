//! Pictures: one patch of a grid at a time is painted in the mean colour.

use offshoot_data::{Input, Sample};

use super::{Occlusion, contribution};
use crate::Result;
use crate::documents::{Explanation, Patches};
use crate::inputs::Ready;
use crate::pictures::{Content, Pictures, Unreadable};
use crate::show::png;

/// Patches a side, where the picture is large enough.
const SIDE: usize = 8;
/// Pixels a side that a patch has at least.
const LEAST: usize = 2;

impl Occlusion<'_> {
    pub(super) fn explain_picture(
        &self,
        pictures: &Pictures,
        sample: &Sample,
        class: Option<usize>,
    ) -> Result<std::result::Result<(Explanation, usize), Unreadable>> {
        let seen = match pictures.read(&sample.input) {
            Ok(Content::Encoded(bytes)) => pictures.seen(&Input::Encoded(bytes)),
            Ok(Content::Pixels(store, index)) => pictures.seen(&Input::Pixels { store, index }),
            Ok(_) => Err(Unreadable::no_picture()),
            Err(reason) => Err(reason),
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(reason) => return Ok(Err(reason)),
        };
        let whole = pictures.normalise(&seen.pixels);
        let side = SIDE.min(self.answers.isqrt()).min(seen.width / LEAST).max(1);
        let grey = pictures.mean_colour();
        let patch = |index: usize| {
            let mut values = whole.clone();
            for (y, line) in values.chunks_exact_mut(seen.width * seen.channels).enumerate() {
                for (x, pixel) in line.chunks_exact_mut(seen.channels).enumerate() {
                    let at = y * side / seen.height * side + x * side / seen.width;
                    if at == index {
                        pixel.copy_from_slice(&grey);
                    }
                }
            }
            Ready::Values(values)
        };
        let ready = Ready::Values(whole.clone());
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
        explanation.picture = png::encode(&seen).unwrap_or_default();
        Ok(Ok((explanation, 1 + side * side)))
    }
}
