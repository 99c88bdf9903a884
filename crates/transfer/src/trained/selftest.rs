//! `export/selftest.json`: an input anyone can make, and what the whole classifier says to it.

use std::path::Path;

use offshoot_stats::Rows;
use offshoot_stats::adaptation::unsureness;
use offshoot_stats::conformal;
use serde::{Deserialize, Serialize};

use super::Trained;
use crate::inputs::{Inputs, Ready};
use crate::pictures::Pictures;
use crate::source::Source;
use crate::trust::PROMISED;
use crate::{Result, TransferError};

/// Another instruction set or runtime may differ by this much, relative to the largest value.
const TOLERANCE: f64 = 1e-3;
/// And so much where bf16 computed on one side and f32 on the other.
const ROUNDED: f64 = 0.05;
const SHOWN_FEATURES: usize = 16;
/// How the picture is made.
const PIXELS: &str = "pixels (row-major, channels innermost) with value \
                      (37 * pixel + 83 * channel) mod 256, normalised as preprocessor_config.json says";
/// The text, as it is.
const TEXT: &str =
    "A film about two people, 3 cats and a naïve émigré in 北京 \u{1f642}: unforgettable?";

/// A made input and its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// How to make the input.
    input: String,
    /// The first features.
    features: Vec<f32>,
    /// Calibrated probabilities in class order.
    probabilities: Vec<f64>,
    /// What the prediction set and the alarm say; absent in runs from before there were sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<TrustTest>,
    /// How unsure the answer is, and above what it would be of no known class; absent where every input has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<[f64; 2]>,
}

/// The prediction set and the alarm as numbers, so that another processor's rounding does not decide about a
/// class at the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TrustTest {
    /// How strange each class would be; it is in the set where this is not above its threshold.
    scores: Vec<f64>,
    /// Of each class, for the usual promise; `null` where there are too few calibration samples for it.
    thresholds: Vec<Option<f64>>,
    /// Above 1 is unfamiliar.
    distance: f64,
}

impl TrustTest {
    fn of(trained: &Trained, rows: Rows<'_>) -> Result<Option<Self>> {
        let Some(trust) = &trained.trust else { return Ok(None) };
        let raw = trained.head.predict(rows)?;
        let score = trust.sets.as_ref().and_then(|sets| conformal::find(sets.score()));
        let thresholds = trust.thresholds(PROMISED);
        let finite = |t: f64| t.is_finite().then_some(t);
        Ok(Some(Self {
            scores: score.map(|score| score.of_row(raw.row(0))).unwrap_or_default(),
            thresholds: thresholds.unwrap_or_default().into_iter().map(finite).collect(),
            distance: trust.familiarity.distances(rows, &trained.head)?[0],
        }))
    }

    fn agrees(&self, other: &Self, tolerance: f64) -> bool {
        let known = |test: &Self| test.thresholds.iter().map(|t| t.unwrap_or(2.0)).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = (known(self), known(other));
        close(&self.scores, &other.scores, tolerance)
            && close(&a, &b, tolerance)
            // An energy is exponentiated, and with it the difference.
            && close(&[self.distance.max(1e-300).ln()], &[other.distance.max(1e-300).ln()], 10.0 * tolerance)
    }
}

impl SelfTest {
    /// Runs the classifier on the made input.
    pub fn record(trained: &Trained, source: &Source) -> Result<Self> {
        let input = if source.inputs.texts().is_some() { TEXT } else { PIXELS };
        let mut features = Self::features(source, trained.dim)?;
        let rows = Rows::new(1, trained.dim, &features).ok_or_else(|| {
            TransferError::Internal("self-test features do not form a row".into())
        })?;
        let probabilities = trained.probabilities(rows)?.row(0).to_vec();
        let trust = TrustTest::of(trained, rows)?;
        let unknown = unknown(trained, &probabilities);
        features.truncate(SHOWN_FEATURES);
        Ok(Self { input: input.into(), features, probabilities, trust, unknown })
    }

    /// What `source` makes of the made input: `dim` features.
    pub fn features(source: &Source, dim: usize) -> Result<Vec<f32>> {
        let mut features = vec![0.0; dim];
        source.engine.run(&[&Self::made(source, dim)?], &mut features)?;
        Ok(features)
    }

    /// The made input, as `source` reads it.
    fn made(source: &Source, dim: usize) -> Result<Ready> {
        Ok(match &source.inputs {
            Inputs::Pictures(pictures) => {
                // A source of vectors has no pixels, but as many values as features.
                let n = if source.network.is_some() { pictures.len() } else { dim };
                Ready::Values(Self::input(pictures, n))
            }
            Inputs::Texts(texts) => {
                let tokens = texts.tokens(&TEXT.into());
                Ready::Tokens(tokens.map_err(|e| TransferError::ModelRefused(e.detail))?)
            }
            Inputs::Several(_) => {
                let each =
                    source.parts.iter().map(|p| Self::made(&p.source, p.source.engine.dim()));
                Ready::Several(each.collect::<Result<_>>()?)
            }
        })
    }

    /// The made input of `n` values.
    pub fn input(pictures: &Pictures, n: usize) -> Vec<f32> {
        let channels = pictures.spec().channels.count();
        let value = |i: usize| {
            let (pixel, channel) = (i / channels, i % channels);
            pictures.normalised_byte(channel, (pixel * 37 + channel * 83) as u8)
        };
        (0..n).map(value).collect()
    }

    /// Refuses other probabilities than the recorded ones.
    pub fn agrees(&self, probabilities: &[f64]) -> Result<()> {
        if close(&self.probabilities, probabilities, TOLERANCE) {
            return Ok(());
        }
        Err(TransferError::ModelRefused(
            "the self-test gives another answer than when it was written: weights or program differ"
                .into(),
        ))
    }

    /// Refuses another prediction set, alarm or rule for what is unknown than the recorded ones; `features` are of the
    /// made input.
    pub fn trusts(&self, trained: &Trained, features: &[f32]) -> Result<()> {
        let rows = Rows::new(1, features.len(), features).ok_or_else(|| {
            TransferError::Internal("self-test features do not form a row".into())
        })?;
        let same = match (&self.trust, TrustTest::of(trained, rows)?) {
            (Some(then), Some(now)) => then.agrees(&now, TOLERANCE),
            (then, now) => then.is_none() && now.is_none(),
        };
        let unknown = unknown(trained, trained.probabilities(rows)?.row(0));
        match same && self.as_unknown(unknown, TOLERANCE) {
            true => Ok(()),
            false => Err(TransferError::ModelRefused(
                "the self-test gives another prediction set, alarm or rule for what is unknown than when it was written"
                    .into(),
            )),
        }
    }

    /// Reads what a run wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|e| TransferError::io(path, e))?;
        serde_json::from_slice(&text)
            .map_err(|e| TransferError::ModelRefused(format!("{}: {e}", path.display())))
    }

    /// Whether what is unknown is found as it was; tests from before that was recorded say nothing.
    fn as_unknown(&self, now: Option<[f64; 2]>, tolerance: f64) -> bool {
        let Some(then) = self.unknown else { return true };
        now.is_some_and(|now| close(&then, &now, tolerance))
    }

    /// Refuses a classifier that answers differently now; the run computed in `precision`.
    pub fn check(&self, trained: &Trained, source: &Source, precision: &str) -> Result<()> {
        let now = Self::record(trained, source)?;
        let features =
            |test: &Self| -> Vec<f64> { test.features.iter().map(|&v| v.into()).collect() };
        let tolerance = if source.facts.precision == precision { TOLERANCE } else { ROUNDED };
        let same = close(&features(self), &features(&now), tolerance)
            && close(&self.probabilities, &now.probabilities, tolerance)
            && match (&self.trust, &now.trust) {
                (Some(then), Some(now)) => then.agrees(now, tolerance),
                (then, _) => then.is_none(),
            }
            && self.as_unknown(now.unknown, tolerance);
        if same {
            return Ok(());
        }
        Err(TransferError::ModelRefused(
            "the self-test gives another answer than when the run was written: weights, \
             preprocessing or program differ"
                .into(),
        ))
    }
}

fn unknown(trained: &Trained, answer: &[f64]) -> Option<[f64; 2]> {
    trained.unknown.map(|rule| [unsureness(answer), rule.above])
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    let largest = a.iter().chain(b).fold(1e-6, |m: f64, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_relative_to_the_largest_value() {
        assert!(close(&[100.0, 0.0], &[100.05, 0.05], TOLERANCE));
        assert!(!close(&[1.0, 0.0], &[1.0, 0.01], TOLERANCE));
        assert!(!close(&[1.0], &[1.0, 0.0], TOLERANCE));
    }
}
