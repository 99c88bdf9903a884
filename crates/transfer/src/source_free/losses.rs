//! Losses of answers without labels, with their slopes by the logits.

/// Softmax of each row, and its entropy, from logarithms that stay finite.
pub struct Softened {
    classes: usize,
    /// `[n, classes]`.
    pub p: Vec<f64>,
    /// `ln p`.
    log: Vec<f64>,
    /// `−Σ p ln p` of each row.
    pub entropies: Vec<f64>,
}

impl Softened {
    /// Of logits `[n, classes]`.
    pub fn of(logits: &[f32], classes: usize) -> Self {
        let (mut p, mut log, mut entropies) = (Vec::new(), Vec::new(), Vec::new());
        for row in logits.chunks_exact(classes.max(1)) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shifted = || row.iter().map(|&l| f64::from(l) - f64::from(largest));
            let sum = shifted().map(f64::exp).sum::<f64>().ln();
            let from = log.len();
            log.extend(shifted().map(|l| l - sum));
            p.extend(log[from..].iter().map(|l| l.exp()));
            let terms = p[from..].iter().zip(&log[from..]);
            entropies.push(-terms.map(|(p, l)| if *p > 0.0 { p * l } else { 0.0 }).sum::<f64>());
        }
        Self { classes, p, log, entropies }
    }

    /// How many rows there are.
    pub fn n(&self) -> usize {
        self.entropies.len()
    }

    /// Mean entropy of the rows whose entropy is below `limit`, and how many these are. Its slope, times `share`, is
    /// added: `∂H/∂z_c = −p_c (ln p_c + H)`.
    pub fn entropy(&self, limit: f64, share: f64, to: &mut [f32]) -> (f64, usize) {
        let kept = |h: &&f64| **h < limit;
        let count = self.entropies.iter().filter(kept).count();
        if count == 0 {
            return (0.0, 0);
        }
        let each = share / count as f64;
        for (i, h) in self.entropies.iter().enumerate().filter(|(_, h)| **h < limit) {
            let row = i * self.classes..(i + 1) * self.classes;
            let terms = self.p[row.clone()].iter().zip(&self.log[row.clone()]);
            for (to, (p, log)) in to[row].iter_mut().zip(terms).filter(|(_, (p, _))| **p > 0.0) {
                *to -= (each * p * (log + h)) as f32;
            }
        }
        (self.entropies.iter().filter(kept).sum::<f64>() / count as f64, count)
    }

    /// Mean of the rows.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.classes];
        for row in self.p.chunks_exact(self.classes.max(1)) {
            mean.iter_mut().zip(row).for_each(|(m, p)| *m += p / self.n() as f64);
        }
        mean
    }

    /// `KL(mean of the rows ‖ expected)`; with equal shares, `ln C − H(mean)`, the diversity of SHOT. Adds its
    /// slope, times `share`.
    pub fn divergence(&self, expected: &[f64], share: f64, to: &mut [f32]) -> f64 {
        let mean = self.mean();
        let ratio: Vec<f64> = mean
            .iter()
            .zip(expected)
            .map(|(m, q)| (m.max(f64::MIN_POSITIVE) / q.max(1e-6)).ln())
            .collect();
        let each = share / self.n() as f64;
        let rows = self.p.chunks_exact(self.classes).zip(to.chunks_exact_mut(self.classes));
        for (p, to) in rows {
            let middle: f64 = p.iter().zip(&ratio).map(|(p, r)| p * r).sum();
            for ((to, p), r) in to.iter_mut().zip(p).zip(&ratio) {
                *to += (each * p * (r - middle)) as f32;
            }
        }
        mean.iter().zip(&ratio).map(|(m, r)| m * r).sum()
    }

    /// Mean cross-entropy with `labels`, over those that have one; adds its slope, times `share`.
    pub fn cross_entropy(&self, labels: &[Option<u32>], share: f64, to: &mut [f32]) -> f64 {
        let count = labels.iter().flatten().count();
        if count == 0 {
            return 0.0;
        }
        let each = share / count as f64;
        let mut loss = 0.0;
        for (i, label) in labels.iter().enumerate() {
            let Some(label) = *label else { continue };
            let row = i * self.classes;
            for c in 0..self.classes {
                let wanted = f64::from(u8::from(c == label as usize));
                to[row + c] += (each * (self.p[row + c] - wanted)) as f32;
            }
            loss -= self.log[row + label as usize];
        }
        loss / count as f64
    }
}

/// Shares of the classes that make the answers most likely: `q ← mean of p(y|x) q(y) / Σ p(y'|x) q(y')` (Saerens et
/// al. 2002), where the answers come from a classifier of equally frequent classes.
pub fn shares(p: &[f64], classes: usize) -> Vec<f64> {
    let mut q = vec![1.0 / classes as f64; classes];
    let n = (p.len() / classes.max(1)).max(1) as f64;
    for _ in 0..200 {
        let mut next = vec![0.0; classes];
        for row in p.chunks_exact(classes) {
            let sum: f64 = row.iter().zip(&q).map(|(p, q)| p * q).sum();
            if sum > 0.0 {
                let parts = next.iter_mut().zip(row).zip(&q);
                parts.for_each(|((next, p), q)| *next += p * q / (sum * n));
            }
        }
        let change = q.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        q = next;
        if change < 1e-6 {
            break;
        }
    }
    q
}
