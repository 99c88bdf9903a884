//! Softmax cross-entropy with label smoothing and class weights.

/// `Σ ωᵧ·((1−ε)·CE(y) + ε·mean over classes of CE) / Σ ωᵧ`, as PyTorch defines it: with label
/// smoothing, class weights also weigh the smoothed part class by class.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    /// ε of Szegedy et al. 2016, arXiv:1512.00567; 0 for none.
    pub label_smoothing: f32,
    /// Weight of each class; all 1 when absent.
    pub class_weights: Option<Vec<f32>>,
}

impl CrossEntropy {
    /// Neither smoothing nor weights.
    pub const PLAIN: Self = Self { label_smoothing: 0.0, class_weights: None };

    /// The mean loss of `logits` `[labels, classes]`, and its gradient, written to `gradient`.
    ///
    /// # Panics
    /// When sizes disagree or a label is no class: the caller checks its data.
    pub fn loss(&self, logits: &[f32], labels: &[u32], gradient: &mut [f32]) -> f64 {
        let classes = logits.len() / labels.len().max(1);
        assert!(logits.len() == labels.len() * classes, "logits must be labels × classes");
        assert!(gradient.len() >= logits.len(), "gradient is too short");
        assert!(
            self.class_weights.as_ref().is_none_or(|w| w.len() == classes),
            "a weight for every class"
        );
        let weight =
            |class: usize| self.class_weights.as_ref().map_or(1.0, |w| f64::from(w[class]));
        let total: f64 = labels.iter().map(|&y| weight(y as usize)).sum();
        let smoothing = f64::from(self.label_smoothing);
        let mut loss = 0.0;
        for ((row, &label), gradient) in
            logits.chunks_exact(classes).zip(labels).zip(gradient.chunks_exact_mut(classes))
        {
            let label = label as usize;
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exps = row.iter().map(|&x| f64::from(x - largest).exp());
            let sum: f64 = exps.clone().sum();
            let log_sum = sum.ln() + f64::from(largest);
            // Σ over classes of (target share · weight): what the probabilities are multiplied by.
            let share = |class: usize| {
                let hit = if class == label { 1.0 - smoothing } else { 0.0 };
                (hit + smoothing / classes as f64) * weight(class)
            };
            let shares: f64 = (0..classes).map(share).sum();
            for (class, (exp, to)) in exps.zip(gradient).enumerate() {
                loss += share(class) * (log_sum - f64::from(row[class]));
                *to = ((exp / sum * shares - share(class)) / total) as f32;
            }
        }
        loss / total
    }

    /// The same for targets that are shares of classes, `[n, classes]`, each row of which sums to 1; the
    /// mean is over rows, as PyTorch has it for such targets.
    ///
    /// # Panics
    /// When sizes disagree.
    pub fn soft_loss(
        &self,
        logits: &[f32],
        targets: &[f32],
        classes: usize,
        gradient: &mut [f32],
    ) -> f64 {
        assert!(logits.len() == targets.len(), "a target for every logit");
        assert!(gradient.len() >= logits.len(), "gradient is too short");
        let weight =
            |class: usize| self.class_weights.as_ref().map_or(1.0, |w| f64::from(w[class]));
        let smoothing = f64::from(self.label_smoothing);
        let n = (logits.len() / classes.max(1)).max(1) as f64;
        let rows = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
        let mut loss = 0.0;
        for ((row, targets), gradient) in rows.zip(gradient.chunks_exact_mut(classes)) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exps = row.iter().map(|&x| f64::from(x - largest).exp());
            let sum: f64 = exps.clone().sum();
            let log_sum = sum.ln() + f64::from(largest);
            let share = |class: usize| {
                let target = (1.0 - smoothing) * f64::from(targets[class]);
                (target + smoothing / classes as f64) * weight(class)
            };
            let shares: f64 = (0..classes).map(share).sum();
            for (class, (exp, to)) in exps.zip(gradient).enumerate() {
                loss += share(class) * (log_sum - f64::from(row[class]));
                *to = ((exp / sum * shares - share(class)) / n) as f32;
            }
        }
        loss / n
    }
}
