//! DELTA: the last feature map must stay near the source's, channel by channel; most so where a channel
//! helps to tell the classes apart.

use offshoot_data::wording::Choice;
use rayon::prelude::*;

use super::{Kind, LossTerm, Regularizer, SourceFacts, Step, classify, softmax};
use crate::{Result, TransferError};

/// `β·Σ_c ω_c·‖FM_c − FM_c⁰‖²`, mean over samples and pixels (Li et al. 2019, eq. 6). ω is the softmax of
/// a fifth of how much the loss of the head that was fitted on the source's features grows without a
/// channel, times the number of channels. The growth is standardised over channels, as the Transfer Learning
/// Library has it, so that ω does not depend on how large the loss is.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "delta",
    summary: "keep the last feature map near the source's: delta(beta=0.01)",
    paper: "Li et al. 2019, arXiv:1901.09229",
    choices: &[Choice { name: "beta", default: 0.01, range: [0.0, 1000.0] }],
    make: |values| Kind::Term(Box::new(Delta { beta: values[0], ..Delta::default() })),
};

/// Of the softmax over channels.
const SOFTENING: f64 = 5.0;

#[derive(Default)]
struct Delta {
    beta: f64,
    stage: Option<String>,
    attention: Vec<f32>,
}

impl LossTerm for Delta {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        let (stage, channels) = source.last_map.clone().ok_or_else(|| {
            TransferError::usage(
                "`delta` compares a feature map that is pooled to the features, and this network has none",
                "`l2-sp` and `bss` work with every network",
            )
        })?;
        self.stage = Some(stage);
        self.attention = attention(source, channels);
        Ok(())
    }

    fn stage(&self) -> Option<String> {
        self.stage.clone()
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [now, then] = step.stage;
        let channels = self.attention.len().max(1);
        let pixels = (now.len() / channels).max(1) as f64;
        let factor = self.beta / pixels;
        let mut total = 0.0;
        let rows = now.chunks_exact(channels).zip(then.chunks_exact(channels));
        for ((now, then), to) in rows.zip(step.to_stage.chunks_exact_mut(channels)) {
            let each = now.iter().zip(then).zip(to).zip(&self.attention);
            for (((now, then), to), weight) in each {
                let difference = f64::from(now - then);
                total += f64::from(*weight) * difference * difference;
                *to += (2.0 * factor * f64::from(*weight) * difference) as f32;
            }
        }
        factor * total
    }
}

/// How much each feature matters to the head, as a softmax with mean 1.
fn attention(source: &SourceFacts<'_>, channels: usize) -> Vec<f32> {
    if source.dim != channels {
        return vec![1.0; channels];
    }
    let (weight, bias) = source.head;
    let classes = bias.len();
    let loss = |logits: &[f64], label: usize| {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logits.iter().map(|l| (l - largest).exp()).sum::<f64>().ln() - logits[label]
    };
    let rows = || source.features.chunks_exact(source.dim).zip(source.labels);
    let whole: Vec<(Vec<f64>, f64)> = rows()
        .map(|(row, &label)| {
            let logits: Vec<f64> = classify(weight, bias, row).into_iter().map(f64::from).collect();
            let usual = loss(&logits, label as usize);
            (logits, usual)
        })
        .collect();
    let growth = |c: usize| -> f64 {
        let mut without = vec![0.0; classes];
        let mut total = 0.0;
        for ((row, &label), (logits, usual)) in rows().zip(&whole) {
            for (k, logit) in without.iter_mut().enumerate() {
                *logit = logits[k] - f64::from(weight[k * source.dim + c]) * f64::from(row[c]);
            }
            total += loss(&without, label as usize) - usual;
        }
        total / source.labels.len().max(1) as f64
    };
    let growth: Vec<f64> = (0..channels).into_par_iter().map(growth).collect();
    let mean = growth.iter().sum::<f64>() / channels as f64;
    let variance = growth.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / channels as f64;
    // Where no channel matters more than another, all weigh the same.
    if !(variance.is_finite() && variance > 0.0) {
        return vec![1.0; channels];
    }
    let standard: Vec<f32> = growth.iter().map(|g| ((g - mean) / variance.sqrt()) as f32).collect();
    softmax(&standard, SOFTENING).into_iter().map(|w| (w * channels as f64) as f32).collect()
}
