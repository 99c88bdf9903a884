//! Two ways in which adaptation without labels fails, and how they are seen.

use std::collections::BTreeSet;

/// `exp(H)` of shares: how many classes there are in effect.
pub fn effective(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    if sum <= 0.0 {
        return 0.0;
    }
    let entropy: f64 =
        shares.iter().map(|s| s / sum).filter(|s| *s > 0.0).map(|s| -s * s.ln()).sum();
    entropy.exp()
}

/// Deviations of a normal variable beyond which classes are not spread alike over the batches: one chance in a
/// thousand.
const SORTED: f64 = 3.09;

/// Whether batches hold different classes, by the source's own answers: Pearson's χ² of batch against class, as a
/// normal deviation (Wilson and Hilferty 1931). Where they do, the statistics of a batch carry its class away.
pub fn sorted(answers: &[u32], batches: &[Vec<usize>], classes: usize) -> Option<f64> {
    let counts = |places: &[usize]| {
        let mut counts = vec![0.0; classes];
        places.iter().for_each(|&place| counts[answers[place] as usize] += 1.0);
        counts
    };
    let all: Vec<usize> = batches.iter().flatten().copied().collect();
    let total = counts(&all);
    let n = all.len() as f64;
    let present: BTreeSet<usize> = (0..classes).filter(|&c| total[c] > 0.0).collect();
    let freedom = (batches.len().saturating_sub(1) * present.len().saturating_sub(1)) as f64;
    if freedom < 1.0 {
        return None;
    }
    let mut statistic = 0.0;
    for batch in batches {
        let own = counts(batch);
        for &c in &present {
            let expected = total[c] * batch.len() as f64 / n;
            statistic += (own[c] - expected).powi(2) / expected;
        }
    }
    let spread = 2.0 / (9.0 * freedom);
    let deviation = ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    (deviation > SORTED).then_some(deviation)
}

/// Watches how many classes are answered while a network learns from its own answers.
pub struct Diversity {
    /// Of every batch, before anything was learned.
    expected: Vec<f64>,
    /// A moving mean of what is left of that.
    left: f64,
    resets: usize,
}

/// What is to be done about a batch's answers.
pub enum Verdict {
    /// To go on.
    Fine,
    /// They ran together: the network is to begin anew, without an update by this batch.
    BeginAnew,
    /// They ran together again; what a person should know.
    GiveUp(String),
}

/// How often a network may begin anew.
const RESETS: usize = 1;

/// Share of the classes below which the answers have collapsed.
const COLLAPSED: f64 = 0.5;
/// Weight of the past in the moving mean: about ten batches.
const MEMORY: f64 = 0.9;

impl Diversity {
    /// From the mean answer to each batch.
    pub fn new(means: &[Vec<f64>]) -> Self {
        Self { expected: means.iter().map(|mean| effective(mean)).collect(), left: 1.0, resets: 0 }
    }

    /// Looks at the mean answer to the batch number `batch`; true where answers have collapsed.
    pub fn has_collapsed(&mut self, batch: usize, mean: &[f64]) -> bool {
        let expected = self.expected.get(batch).copied().unwrap_or(1.0).max(1.0);
        self.left = MEMORY * self.left + (1.0 - MEMORY) * effective(mean) / expected;
        self.left < COLLAPSED
    }

    /// Looks at the mean answer to the batch number `batch`, and says what is to be done about it.
    pub fn verdict(&mut self, batch: usize, mean: &[f64]) -> Verdict {
        if !self.has_collapsed(batch, mean) {
            return Verdict::Fine;
        }
        if self.resets == RESETS {
            return Verdict::GiveUp(format!(
                "answers ran together into few classes {} times ({:.0} % of them were left): gradients are given up",
                self.resets + 1,
                100.0 * self.left
            ));
        }
        self.resets += 1;
        self.left = 1.0;
        Verdict::BeginAnew
    }

    /// How often the network began anew.
    pub fn resets(&self) -> usize {
        self.resets
    }

    /// What is left of the classes.
    pub fn left(&self) -> f64 {
        self.left
    }
}
