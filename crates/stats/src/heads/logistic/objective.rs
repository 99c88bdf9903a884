//! The objective of multinomial logistic regression and its gradient, in one pass over the rows.

use pulp::Arch;
use rayon::prelude::*;

use crate::Rows;

/// Classes are handled eight at a time: one AVX-512 register of `f64`.
const LANES: usize = 8;

/// Rows whose sums are formed side by side.
const TOGETHER: usize = 4;

/// The rows are cut into this many parts whatever the number of threads, and the parts' sums are
/// added in order: the same bits on every machine.
const PARTS: usize = 16;

/// What each row is taken for.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// One class a row, `[n]`.
    Labels(&'a [u32]),
    /// Shares of all classes, `[n, classes]`; each row sums to 1.
    Shares(&'a [f64]),
}

/// `Σ ωᵢ·CE(softmax(W xᵢ + b), yᵢ) / Σ ωᵢ + λ/2 ‖W‖²`.
pub(super) struct Objective<'a> {
    pub rows: Rows<'a>,
    pub targets: Targets<'a>,
    /// Weight of each row.
    pub weights: &'a [f64],
    pub n_classes: usize,
    pub lambda: f64,
}

/// Sums over one part of the rows.
struct Part {
    loss: f64,
    /// `[chunks, d + 1, LANES]`; the last of `d + 1` is the bias.
    gradient: Vec<f64>,
}

impl Objective<'_> {
    /// Values of a parameter vector: `[classes, d + 1]`, each class's bias last.
    pub fn len(&self) -> usize {
        self.n_classes * (self.rows.d() + 1)
    }

    fn chunks(&self) -> usize {
        self.n_classes.div_ceil(LANES)
    }

    /// The value at `theta`; writes the gradient.
    pub fn value_and_gradient(&self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        let (n, d, chunks) = (self.rows.n(), self.rows.d(), self.chunks());
        let weights = self.interleave(theta);
        let part = n.div_ceil(PARTS).next_multiple_of(TOGETHER);
        let starts: Vec<usize> = (0..n).step_by(part).collect();
        let parts: Vec<Part> = starts
            .into_par_iter()
            .map(|start| self.part(&weights, start..(start + part).min(n)))
            .collect();
        let total: f64 = self.weights.iter().sum();
        let mut loss = 0.0;
        let mut sums = vec![0.0; chunks * (d + 1) * LANES];
        for part in &parts {
            loss += part.loss;
            sums.iter_mut().zip(&part.gradient).for_each(|(sum, g)| *sum += g);
        }
        let mut penalty = 0.0;
        for class in 0..self.n_classes {
            let (theta, gradient) =
                (&theta[class * (d + 1)..][..d + 1], &mut gradient[class * (d + 1)..][..d + 1]);
            for k in 0..=d {
                let sum = sums[((class / LANES) * (d + 1) + k) * LANES + class % LANES];
                // The bias is not penalised.
                let pull = if k < d { self.lambda * theta[k] } else { 0.0 };
                gradient[k] = sum / total + pull;
                penalty += 0.5 * pull * theta[k];
            }
        }
        loss / total + penalty
    }

    /// `[classes, d + 1]` → `[chunks, d + 1, LANES]`.
    fn interleave(&self, theta: &[f64]) -> Vec<f64> {
        let d = self.rows.d();
        let mut out = vec![0.0; self.chunks() * (d + 1) * LANES];
        for (class, theta) in theta.chunks_exact(d + 1).enumerate() {
            for (k, &value) in theta.iter().enumerate() {
                out[((class / LANES) * (d + 1) + k) * LANES + class % LANES] = value;
            }
        }
        out
    }

    fn part(&self, weights: &[f64], range: std::ops::Range<usize>) -> Part {
        let (d, chunks) = (self.rows.d(), self.chunks());
        let mut part = Part { loss: 0.0, gradient: vec![0.0; chunks * (d + 1) * LANES] };
        let arch = Arch::new();
        let fused = !matches!(arch, Arch::Scalar);
        let mut first = range.start;
        while first < range.end {
            // The last rows of a part may be fewer; missing ones repeat the first with weight zero.
            let rows: [usize; TOGETHER] =
                std::array::from_fn(|r| if first + r < range.end { first + r } else { first });
            let present = TOGETHER.min(range.end - first);
            let x: [&[f32]; TOGETHER] = rows.map(|r| self.rows.row(r));
            let mut scores = vec![[[0.0; LANES]; TOGETHER]; chunks];
            for (weights, scores) in weights.chunks_exact((d + 1) * LANES).zip(&mut scores) {
                let task = Scores { x, weights, scores };
                if fused { arch.dispatch(task) } else { task.run::<false>() }
            }
            for (r, &row) in rows.iter().enumerate() {
                let weight = if r < present { self.weights[row] } else { 0.0 };
                part.loss += self.residual(&mut scores, r, row, weight);
            }
            for (gradient, residuals) in
                part.gradient.chunks_exact_mut((d + 1) * LANES).zip(&scores)
            {
                let task = Gradient { x, residuals, gradient };
                if fused { arch.dispatch(task) } else { task.run::<false>() }
            }
            first += TOGETHER;
        }
        part
    }

    /// Turns the scores of `row`, the `r`-th of its group, into `ω·(softmax − target)`; returns `ω·CE`.
    fn residual(
        &self,
        scores: &mut [[[f64; LANES]; TOGETHER]],
        r: usize,
        row: usize,
        weight: f64,
    ) -> f64 {
        let at = |class: usize| (class / LANES, class % LANES);
        let score = |scores: &[[[f64; LANES]; TOGETHER]], class| {
            let (chunk, lane) = at(class);
            scores[chunk][r][lane]
        };
        let largest = (0..self.n_classes).map(|c| score(scores, c)).fold(f64::MIN, f64::max);
        let sum: f64 = (0..self.n_classes).map(|c| (score(scores, c) - largest).exp()).sum();
        let share = |class: usize| match self.targets {
            Targets::Labels(labels) => f64::from(u8::from(class == labels[row] as usize)),
            Targets::Shares(shares) => shares[row * self.n_classes + class],
        };
        let right = match self.targets {
            Targets::Labels(labels) => score(scores, labels[row] as usize),
            Targets::Shares(_) => {
                (0..self.n_classes).map(|class| share(class) * score(scores, class)).sum()
            }
        };
        for class in 0..self.n_classes {
            let p = (score(scores, class) - largest).exp() / sum;
            let (chunk, lane) = at(class);
            scores[chunk][r][lane] = weight * (p - share(class));
        }
        weight * (sum.ln() + largest - right)
    }
}

#[inline(always)]
fn mul_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// `scores = x · weights + bias` for a few rows and eight classes.
struct Scores<'a> {
    x: [&'a [f32]; TOGETHER],
    /// `[d + 1, LANES]`.
    weights: &'a [f64],
    scores: &'a mut [[f64; LANES]; TOGETHER],
}

impl Scores<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (weights, _) = self.weights.as_chunks::<LANES>();
        let Some((bias, weights)) = weights.split_last() else { return };
        let mut sums = [*bias; TOGETHER];
        let [a, b, c, d] = self.x;
        let rows = a.iter().zip(b).zip(c).zip(d);
        for (w, (((&a, &b), &c), &d)) in weights.iter().zip(rows) {
            for (sums, x) in sums.iter_mut().zip([a, b, c, d]) {
                for lane in 0..LANES {
                    sums[lane] = mul_add::<FUSED>(f64::from(x), w[lane], sums[lane]);
                }
            }
        }
        *self.scores = sums;
    }
}

impl pulp::WithSimd for Scores<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.run::<true>();
    }
}

/// `gradient += Σ rows x ⊗ residual` for eight classes.
struct Gradient<'a> {
    x: [&'a [f32]; TOGETHER],
    residuals: &'a [[f64; LANES]; TOGETHER],
    /// `[d + 1, LANES]`.
    gradient: &'a mut [f64],
}

impl Gradient<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (gradient, _) = self.gradient.as_chunks_mut::<LANES>();
        let Some((bias, gradient)) = gradient.split_last_mut() else { return };
        let residuals = *self.residuals;
        for residual in &residuals {
            bias.iter_mut().zip(residual).for_each(|(sum, r)| *sum += r);
        }
        let [a, b, c, d] = self.x;
        let rows = a.iter().zip(b).zip(c).zip(d);
        for (sums, (((&a, &b), &c), &d)) in gradient.iter_mut().zip(rows) {
            for (x, residual) in [a, b, c, d].into_iter().zip(&residuals) {
                for lane in 0..LANES {
                    sums[lane] = mul_add::<FUSED>(f64::from(x), residual[lane], sums[lane]);
                }
            }
        }
    }
}

impl pulp::WithSimd for Gradient<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.run::<true>();
    }
}
