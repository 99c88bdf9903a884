//! Class probabilities, one row a sample.

/// `[n, classes]`, rows sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    n_classes: usize,
    data: Vec<f64>,
}

impl Probabilities {
    /// Takes rows of `n_classes` values. `None` when the length is not a multiple of it.
    pub fn new(n_classes: usize, data: Vec<f64>) -> Option<Self> {
        (n_classes > 0 && data.len().is_multiple_of(n_classes)).then_some(Self { n_classes, data })
    }

    /// Softmax of each row of `scores` `[n, n_classes]`. `None` as in [`Probabilities::new`].
    pub fn softmax(n_classes: usize, mut scores: Vec<f64>) -> Option<Self> {
        for row in scores.chunks_exact_mut(n_classes.max(1)) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|s| *s = (*s - largest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|s| *s /= sum);
        }
        Self::new(n_classes, scores)
    }

    /// Number of samples.
    pub fn n(&self) -> usize {
        self.data.len() / self.n_classes
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Probabilities of sample `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.n_classes..][..self.n_classes]
    }

    /// All rows.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.data.chunks_exact(self.n_classes)
    }

    /// The most probable class of sample `i`; the first of equals.
    pub fn predicted(&self, i: usize) -> u32 {
        let row = self.row(i);
        (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best }) as u32
    }

    /// Share of each class among the samples' most probable ones.
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.n_classes];
        let each = 1.0 / self.n().max(1) as f64;
        (0..self.n()).for_each(|i| shares[self.predicted(i) as usize] += each);
        shares
    }

    /// Classes of sample `i`, most probable first; equals in order of class.
    pub fn ranked(&self, i: usize) -> Vec<u32> {
        let row = self.row(i);
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        order
    }

    /// The rows named by `indices`, in that order.
    pub fn gather(&self, indices: &[usize]) -> Self {
        let data = indices.iter().flat_map(|&i| self.row(i).iter().copied()).collect();
        Self { n_classes: self.n_classes, data }
    }
}

/// `−Σ p ln p` of a distribution, in nats.
pub(crate) fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>()
}
