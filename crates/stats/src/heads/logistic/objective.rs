//! The objective of multinomial logistic regression and its gradient, in one pass over the rows.

use pulp::bytemuck::{self, Pod};
use pulp::{Arch, Simd};
use rayon::prelude::*;

use crate::Rows;

/// Classes side by side in double precision: one AVX-512 register.
const DOUBLES: usize = 8;

/// Classes side by side in single precision.
const SINGLES: usize = 16;

/// Rows whose sums are formed side by side.
const TOGETHER: usize = 8;

/// The rows are cut into at most this many parts whatever the number of threads, and the parts' sums are
/// added in order: the same bits on every machine.
const PARTS: usize = 16;

/// Rows of a part at least: with fewer, its sums cost more than its share of the rows.
const ROWS: usize = 128;

/// What each row is taken for.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// One class a row, `[n]`.
    Labels(&'a [u32]),
    /// Shares of all classes, `[n, classes]`; each row sums to 1.
    Shares(&'a [f64]),
}

/// Arithmetic of the products with the rows; probabilities and sums over parts are in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// `f32`: gradients to about 10⁻⁶ of the terms that they sum, at a third of the time.
    Single,
    /// `f64`.
    Double,
}

/// `Σ ωᵢ·CE(softmax(W xᵢ + b), yᵢ) / Σ ωᵢ + λ/2 ‖W‖²`.
pub(super) struct Objective<'a> {
    pub rows: Rows<'a>,
    /// What rounding took from the rows, where that is known: double precision adds it.
    pub rounded: Option<Rows<'a>>,
    pub targets: Targets<'a>,
    /// Weight of each row.
    pub weights: &'a [f64],
    pub n_classes: usize,
    pub lambda: f64,
}

/// A number of the products with the rows.
trait Real: Pod + Default + Send + Sync {
    /// Whether it tells a row from what rounding made of it.
    const DOUBLE: bool;
    /// As many as a register holds.
    type Of<S: Simd>: Pod;
    fn splat<S: Simd>(simd: S, x: f32) -> Self::Of<S>;
    /// `a · b + c`.
    fn add_product<S: Simd>(simd: S, a: Self::Of<S>, b: Self::Of<S>, c: Self::Of<S>)
    -> Self::Of<S>;
    fn of_value(x: f32) -> Self;
    fn of(x: f64) -> Self;
    fn double(self) -> f64;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
}

impl Real for f32 {
    const DOUBLE: bool = false;
    type Of<S: Simd> = S::f32s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f32) -> S::f32s {
        simd.splat_f32s(x)
    }
    #[inline(always)]
    fn add_product<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }
    #[inline(always)]
    fn of_value(x: f32) -> Self {
        x
    }
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
}

impl Real for f64 {
    const DOUBLE: bool = true;
    type Of<S: Simd> = S::f64s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f32) -> S::f64s {
        simd.splat_f64s(f64::from(x))
    }
    #[inline(always)]
    fn add_product<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, c)
    }
    #[inline(always)]
    fn of_value(x: f32) -> Self {
        f64::from(x)
    }
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn double(self) -> f64 {
        self
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
}

/// Sums over one part of the rows.
struct Part<T, const LANES: usize> {
    loss: f64,
    /// `[chunks][d + 1]`; the last of `d + 1` is the bias.
    gradient: Vec<[T; LANES]>,
}

impl<'a> Objective<'a> {
    /// Values of a parameter vector: `[classes, d + 1]`, each class's bias last.
    pub fn len(&self) -> usize {
        self.n_classes * (self.rows.d() + 1)
    }

    /// The value at `theta`; writes the gradient.
    pub fn value_and_gradient(
        &self,
        theta: &[f64],
        gradient: &mut [f64],
        precision: Precision,
    ) -> f64 {
        match precision {
            Precision::Single => self.pass::<f32, SINGLES>(theta, gradient),
            Precision::Double => self.pass::<f64, DOUBLES>(theta, gradient),
        }
    }

    fn pass<T: Real, const LANES: usize>(&self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        let (n, d) = (self.rows.n(), self.rows.d());
        let weights = self.interleave::<T, LANES>(theta);
        let part = n.div_ceil(PARTS).max(ROWS).next_multiple_of(TOGETHER);
        let starts: Vec<usize> = (0..n).step_by(part).collect();
        let parts: Vec<Part<T, LANES>> = starts
            .into_par_iter()
            .map(|start| self.part(&weights, start..(start + part).min(n)))
            .collect();
        let total: f64 = self.weights.iter().sum();
        let loss: f64 = parts.iter().map(|part| part.loss).sum();
        let mut sums = vec![[0.0; LANES]; weights.len()];
        for part in &parts {
            for (sum, own) in sums.iter_mut().zip(&part.gradient) {
                sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own.double());
            }
        }
        let mut penalty = 0.0;
        for class in 0..self.n_classes {
            let (theta, gradient) =
                (&theta[class * (d + 1)..][..d + 1], &mut gradient[class * (d + 1)..][..d + 1]);
            let sums = &sums[class / LANES * (d + 1)..][..d + 1];
            for k in 0..=d {
                // The bias is not penalised.
                let pull = if k < d { self.lambda * theta[k] } else { 0.0 };
                gradient[k] = sums[k][class % LANES] / total + pull;
                penalty += 0.5 * pull * theta[k];
            }
        }
        loss / total + penalty
    }

    /// `[classes, d + 1]` → `[chunks][d + 1]` of neighbouring classes.
    fn interleave<T: Real, const LANES: usize>(&self, theta: &[f64]) -> Vec<[T; LANES]> {
        let d = self.rows.d();
        let mut out = vec![[T::default(); LANES]; self.n_classes.div_ceil(LANES) * (d + 1)];
        for (class, theta) in theta.chunks_exact(d + 1).enumerate() {
            let out = &mut out[class / LANES * (d + 1)..][..d + 1];
            out.iter_mut().zip(theta).for_each(|(out, &x)| out[class % LANES] = T::of(x));
        }
        out
    }

    fn part<T: Real, const LANES: usize>(
        &self,
        weights: &[[T; LANES]],
        range: std::ops::Range<usize>,
    ) -> Part<T, LANES> {
        let d = self.rows.d();
        let chunks = weights.len() / (d + 1);
        let mut part = Part { loss: 0.0, gradient: vec![[T::default(); LANES]; weights.len()] };
        let arch = Arch::new();
        let fused = !matches!(arch, Arch::Scalar);
        let mut scores = vec![[[T::default(); LANES]; TOGETHER]; chunks];
        let mut row = vec![0.0; self.n_classes];
        let mut first = range.start;
        while first < range.end {
            // The last rows of a part may be fewer; missing ones repeat the first.
            let present = TOGETHER.min(range.end - first);
            let at = |rows: Rows<'a>| -> [&'a [f32]; TOGETHER] {
                std::array::from_fn(|r| rows.row(first + if r < present { r } else { 0 }))
            };
            let (x, low) = (at(self.rows), self.rounded.filter(|_| T::DOUBLE).map(at));
            for (weights, scores) in weights.chunks_exact(d + 1).zip(&mut scores) {
                let task = Scores { x, weights, scores };
                if fused {
                    arch.dispatch(task)
                } else {
                    task.plain()
                }
                if let Some(x) = low {
                    let mut more = [[T::default(); LANES]; TOGETHER];
                    let task = Scores { x, weights, scores: &mut more };
                    if fused {
                        arch.dispatch(task)
                    } else {
                        task.plain()
                    }
                    for (scores, more) in scores.iter_mut().zip(&more) {
                        // Both have the bias.
                        for ((score, more), bias) in scores.iter_mut().zip(more).zip(&weights[d]) {
                            *score = score.plus(more.minus(*bias));
                        }
                    }
                }
            }
            // Rows that are missing have no residual.
            let here = (first..range.end).map(Some).chain(std::iter::repeat(None));
            for (r, at) in (0..TOGETHER).zip(here) {
                for (class, score) in row.iter_mut().enumerate() {
                    *score = scores[class / LANES][r][class % LANES].double();
                }
                match at {
                    Some(at) => part.loss += self.residual(&mut row, at),
                    None => row.fill(0.0),
                }
                for (class, &residual) in row.iter().enumerate() {
                    scores[class / LANES][r][class % LANES] = T::of(residual);
                }
            }
            for (gradient, residuals) in part.gradient.chunks_exact_mut(d + 1).zip(&scores) {
                if let Some(x) = low {
                    let bias = gradient[d];
                    let task = Gradient { x, residuals, gradient };
                    if fused {
                        arch.dispatch(task)
                    } else {
                        task.plain()
                    }
                    gradient[d] = bias;
                }
                let task = Gradient { x, residuals, gradient };
                if fused { arch.dispatch(task) } else { task.plain() }
            }
            first += TOGETHER;
        }
        part
    }

    /// Turns the scores of a row into `ω·(softmax − target)`; returns `ω·CE`.
    fn residual(&self, scores: &mut [f64], row: usize) -> f64 {
        let weight = self.weights[row];
        let largest = scores.iter().copied().fold(f64::MIN, f64::max);
        let shares = match self.targets {
            Targets::Labels(_) => None,
            Targets::Shares(shares) => Some(&shares[row * self.n_classes..][..self.n_classes]),
        };
        let right: f64 = match (self.targets, shares) {
            (_, Some(shares)) => shares.iter().zip(&*scores).map(|(share, s)| share * s).sum(),
            (Targets::Labels(labels), None) => scores[labels[row] as usize],
            (Targets::Shares(_), None) => 0.0,
        };
        scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
        let sum: f64 = scores.iter().sum();
        scores.iter_mut().for_each(|p| *p = weight * (*p / sum));
        match (self.targets, shares) {
            (_, Some(shares)) => {
                scores.iter_mut().zip(shares).for_each(|(p, share)| *p -= weight * share);
            }
            (Targets::Labels(labels), None) => scores[labels[row] as usize] -= weight,
            (Targets::Shares(_), None) => {}
        }
        weight * (sum.ln() + largest - right)
    }
}

/// `scores = x · weights + bias` for a few rows and neighbouring classes.
struct Scores<'a, T, const LANES: usize> {
    x: [&'a [f32]; TOGETHER],
    /// `[d + 1]`.
    weights: &'a [[T; LANES]],
    scores: &'a mut [[T; LANES]; TOGETHER],
}

impl<T: Real, const LANES: usize> Scores<'_, T, LANES> {
    /// Where products and sums are rounded one by one.
    fn plain(self) {
        let Some((bias, weights)) = self.weights.split_last() else { return };
        let mut sums = [*bias; TOGETHER];
        for (w, x) in weights.iter().zip(columns(self.x)) {
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = T::of_value(x);
                sums.iter_mut().zip(w).for_each(|(sum, &w)| *sum = sum.plus(x.times(w)));
            }
        }
        *self.scores = sums;
    }
}

impl<T: Real, const LANES: usize> pulp::WithSimd for Scores<'_, T, LANES> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Some((bias, weights)) = self.weights.split_last() else { return };
        let bias: &[T::Of<S>] = bytemuck::cast_slice(bias.as_slice());
        let weights: &[T::Of<S>] = bytemuck::cast_slice(weights.as_flattened());
        let scores: &mut [T::Of<S>] = bytemuck::cast_slice_mut(self.scores.as_flattened_mut());
        let each = bias.len();
        for (v, bias) in bias.iter().enumerate() {
            let mut sums = [*bias; TOGETHER];
            for (w, x) in weights[v..].iter().step_by(each).zip(columns(self.x)) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = T::add_product(simd, T::splat(simd, x), *w, *sum);
                }
            }
            scores[v..].iter_mut().step_by(each).zip(sums).for_each(|(score, sum)| *score = sum);
        }
    }
}

/// One feature of all rows after the other. Iterators in step need no look at the ends of eight slices.
#[inline(always)]
fn columns(x: [&[f32]; TOGETHER]) -> impl Iterator<Item = [f32; TOGETHER]> {
    let [a, b, c, d, e, f, g, h] = x;
    let (left, right) = (a.iter().zip(b).zip(c).zip(d), e.iter().zip(f).zip(g).zip(h));
    left.zip(right).map(|((((a, b), c), d), (((e, f), g), h))| [*a, *b, *c, *d, *e, *f, *g, *h])
}

/// `gradient += Σ rows x ⊗ residual` for neighbouring classes.
struct Gradient<'a, T, const LANES: usize> {
    x: [&'a [f32]; TOGETHER],
    residuals: &'a [[T; LANES]; TOGETHER],
    /// `[d + 1]`.
    gradient: &'a mut [[T; LANES]],
}

impl<T: Real, const LANES: usize> Gradient<'_, T, LANES> {
    /// Where products and sums are rounded one by one.
    fn plain(self) {
        let Some((bias, gradient)) = self.gradient.split_last_mut() else { return };
        for residual in self.residuals {
            bias.iter_mut().zip(residual).for_each(|(sum, &r)| *sum = sum.plus(r));
        }
        for (sums, x) in gradient.iter_mut().zip(columns(self.x)) {
            for (x, residual) in x.into_iter().zip(self.residuals) {
                let x = T::of_value(x);
                sums.iter_mut().zip(residual).for_each(|(sum, &r)| *sum = sum.plus(x.times(r)));
            }
        }
    }
}

impl<T: Real, const LANES: usize> pulp::WithSimd for Gradient<'_, T, LANES> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Some((bias, gradient)) = self.gradient.split_last_mut() else { return };
        for residual in self.residuals {
            bias.iter_mut().zip(residual).for_each(|(sum, &r)| *sum = sum.plus(r));
        }
        let residuals: &[T::Of<S>] = bytemuck::cast_slice(self.residuals.as_flattened());
        let gradient: &mut [T::Of<S>] = bytemuck::cast_slice_mut(gradient.as_flattened_mut());
        let each = residuals.len() / TOGETHER;
        for v in 0..each {
            let residuals: [T::Of<S>; TOGETHER] = std::array::from_fn(|r| residuals[r * each + v]);
            for (sum, x) in gradient[v..].iter_mut().step_by(each).zip(columns(self.x)) {
                for (x, residual) in x.into_iter().zip(residuals) {
                    *sum = T::add_product(simd, T::splat(simd, x), residual, *sum);
                }
            }
        }
    }
}
