//! Entropic optimal transport between two sets of rows.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Arch;
use rayon::prelude::*;

use super::kernel::{Exponential, sides};
use super::{Options, Problem, Setting};
use crate::{Matrix, Result, Rows, StatsError, content, moments};

pub(super) const EPSILON: Setting = Setting {
    name: "epsilon",
    summary: "how much the plan's entropy counts, in mean costs; less makes the plan sharper and slower to find",
    default: Some(0.05),
    range: (1e-3, 100.0),
    choices: &[0.02, 0.05, 0.2],
};

pub(super) const CLASS: Setting = Setting {
    name: "class",
    summary: "how much it costs to send several classes to one target row, in mean costs",
    default: Some(0.02),
    range: (0.0, 100.0),
    choices: &[0.0, 0.02, 0.1],
};

/// Rows of each side that the plan is made for, at most; their content chooses which.
const MOST: usize = 5000;

/// Deviation of the plan's sums of rows and columns at which it is found, of its mass of 1.
const TOLERANCE: f64 = 1e-8;

pub(super) const MAX_ITERATIONS: usize = 1000;

/// As many while the class term is still being found, as in the paper's code.
const INNER_ITERATIONS: usize = 200;

/// Rounds of the class term, as in the paper.
const ROUNDS: usize = 10;

/// What keeps its slope finite where a class sends nothing.
const LEAST_SHARE: f64 = 1e-3;

/// Iterations between looks at how fast they converge.
const LOOK: usize = 10;

/// Iterations after which deviations of another relaxation can be compared.
const SETTLED: usize = 5;

/// The most that iterations overshoot.
const MOST_RELAXED: f64 = 1.99;

/// Logarithms of scalings beyond which they go into the potentials.
const ABSORB: f64 = 30.0;

/// Rows of a part, at least.
const FEWEST: usize = 64;

/// Rows are cut into this many parts whatever the number of threads, and parts' sums are added in order.
const PARTS: usize = 16;

/// The rows of both sides that a plan is made for, and what it costs to send one to another.
pub(super) struct Transport {
    /// Places of source rows.
    pub source: Vec<usize>,
    /// Places of target rows.
    pub target: Vec<usize>,
    /// Of the source rows.
    pub labels: Vec<u32>,
    n_classes: usize,
    /// `‖x − y‖²` over its mean, `[n, m]`, row-major.
    costs: Vec<f64>,
    /// Scratch of the same size: kernels of the potentials.
    kernel: Vec<f32>,
    /// Of both sides, in units of cost.
    potentials: [Vec<f64>; 2],
    epsilon: f64,
    /// Sinkhorn iterations so far.
    pub iterations: usize,
}

impl Transport {
    /// Takes 12 bytes a pair of rows: 300 MB for 5,000 of each side, which are not exceeded.
    pub fn of(problem: &Problem<'_>, options: &Options) -> Self {
        let ([source, target], _, _) = sides(problem, 1.0);
        let some = |rows: Rows<'_>| -> Vec<usize> {
            if rows.n() <= MOST {
                return (0..rows.n()).collect();
            }
            let mut some = content::order(rows);
            some.truncate(MOST);
            some
        };
        let places = [some(problem.source()), some(problem.target())];
        let (left, right) = (source.gather(&places[0]), target.gather(&places[1]));
        let mut costs = left.all_distances(&right);
        let mean = costs.iter().sum::<f64>() / costs.len() as f64;
        if mean > 0.0 {
            costs.iter_mut().for_each(|c| *c /= mean);
        }
        let labels = places[0].iter().map(|&i| problem.labels()[i]).collect();
        let potentials = [vec![0.0; left.n], vec![0.0; right.n]];
        let kernel = vec![0.0; costs.len()];
        let epsilon = options.of(&EPSILON).unwrap_or(0.05);
        let n_classes = problem.n_classes();
        let [source, target] = places;
        Self {
            source,
            target,
            labels,
            n_classes,
            costs,
            kernel,
            potentials,
            epsilon,
            iterations: 0,
        }
    }

    fn m(&self) -> usize {
        self.target.len()
    }

    /// The plan for costs to which `extra` `[classes, m]` is added by the row's class; empty adds nothing.
    /// Every row of either side has the same mass. Begins where the last plan ended.
    ///
    /// Sinkhorn's iterations on `exp((f + g − C)/ε)`, whose scalings go into the potentials `f` and `g` before they
    /// leave what `f32` can hold (Schmitzer 2019, arXiv:1610.06519): as good as logarithms, at one exponential an
    /// entry and not one an iteration. A row is read once: its sum and its part of the columns' sums come together.
    pub fn plan(&mut self, extra: &[f64], most: usize) -> Plan<'_> {
        let (n, m) = (self.source.len(), self.m());
        if self.iterations == 0 {
            self.begin(extra);
        }
        let (mut u, mut v) = (vec![1.0; n], vec![1.0; m]);
        self.absorb(&mut u, &mut v, extra);
        let (a, b) = (1.0 / n as f64, 1.0 / m as f64);
        let mut relaxation = Relaxation::default();
        for _ in 0..most {
            self.iterations += 1;
            let (columns, mut off) = self.pass(&mut u, &v, a, relaxation.omega);
            off += v.iter().zip(&columns).map(|(v, sum)| (v * sum - b).abs()).sum::<f64>();
            let done = off < TOLERANCE;
            // Columns are right at the end.
            let omega = if done { 1.0 } else { relaxation.omega };
            for (v, sum) in v.iter_mut().zip(&columns) {
                *v = relaxed(*v, b / sum.max(1e-300), omega);
            }
            if done {
                break;
            }
            let far = |x: &f64| x.ln().abs() > ABSORB;
            if u.iter().any(far) || v.iter().any(far) {
                self.absorb(&mut u, &mut v, extra);
            }
            relaxation.look(off);
        }
        self.absorb(&mut u, &mut v, extra);
        Plan { transport: self }
    }

    /// The plan with a class term: `η Σ_j Σ_c (share of class c in what row j gets)^{1/2}`, by its tangents
    /// (Courty et al. 2014, Domain adaptation with regularized optimal transport, ECML, with `p = 1/2`).
    pub fn plan_by_class(&mut self, options: &Options) -> Plan<'_> {
        let weight = options.of(&CLASS).unwrap_or(0.0);
        let m = self.m();
        let mut extra = Vec::new();
        if weight > 0.0 {
            for _ in 1..ROUNDS {
                // A class's share of a column is its mass over the column's, 1/m.
                let masses = self.plan(&extra, INNER_ITERATIONS).masses();
                let tangent = |mass: &f64| weight * 0.5 / (mass * m as f64 + LEAST_SHARE).sqrt();
                extra = masses.iter().map(tangent).collect();
            }
        }
        self.plan(&extra, MAX_ITERATIONS)
    }

    fn extra<'e>(&self, extra: &'e [f64], i: usize) -> &'e [f64] {
        let m = self.m();
        if extra.is_empty() { extra } else { &extra[self.labels[i] as usize * m..][..m] }
    }

    /// Potentials under which every row and every column has an entry that is not small.
    fn begin(&mut self, extra: &[f64]) {
        let m = self.m();
        let mut g = vec![f64::INFINITY; m];
        for i in 0..self.source.len() {
            let extra = self.extra(extra, i);
            let cost = |j: usize| self.costs[i * m + j] + extra.get(j).unwrap_or(&0.0);
            let least = (0..m).map(cost).fold(f64::INFINITY, f64::min);
            g.iter_mut().enumerate().for_each(|(j, g)| *g = g.min(cost(j) - least));
            self.potentials[0][i] = least;
        }
        self.potentials[1] = g;
    }

    /// Takes scalings into the potentials and computes the kernel anew.
    fn absorb(&mut self, u: &mut [f64], v: &mut [f64], extra: &[f64]) {
        let epsilon = self.epsilon;
        for (potentials, scalings) in self.potentials.iter_mut().zip([u, v]) {
            for (potential, scaling) in potentials.iter_mut().zip(scalings) {
                *potential += epsilon * scaling.max(1e-300).ln();
                *scaling = 1.0;
            }
        }
        let mut kernel = std::mem::take(&mut self.kernel);
        let m = self.m();
        kernel.par_chunks_mut(m).enumerate().for_each_init(
            || vec![0.0; m],
            |wide, (i, out)| {
                self.exponents(i, extra, wide);
                Arch::new().dispatch(Exponential { values: wide, scale: 1.0 });
                out.iter_mut().zip(wide).for_each(|(out, x)| *out = *x as f32);
            },
        );
        self.kernel = kernel;
    }

    /// `(f_i + g_j − C_ij)/ε` of row `i`, at most 60.
    fn exponents(&self, i: usize, extra: &[f64], out: &mut [f64]) {
        let m = self.m();
        let ([f, g], extra) = (&self.potentials, self.extra(extra, i));
        let parts = out.iter_mut().zip(g).zip(&self.costs[i * m..][..m]);
        for ((out, g), cost) in parts {
            *out = f[i] + g - cost;
        }
        out.iter_mut().zip(extra).for_each(|(out, extra)| *out -= extra);
        out.iter_mut().for_each(|out| *out = (*out / self.epsilon).min(60.0));
    }

    /// Scales rows towards `a`; sums of columns, and how far row sums were from `a` before.
    fn pass(&self, u: &mut [f64], v: &[f64], a: f64, omega: f64) -> (Vec<f64>, f64) {
        let m = self.m();
        // Few rows are not worth a thread's start.
        let part = u.len().div_ceil(PARTS).max(FEWEST);
        let parts: Vec<(Vec<f64>, f64)> = u
            .par_chunks_mut(part)
            .zip(self.kernel.par_chunks(part * m))
            .map(|(u, kernel)| {
                let mut columns = vec![0.0; m];
                let mut off = 0.0;
                for (u, row) in u.iter_mut().zip(kernel.chunks_exact(m)) {
                    let sum = Arch::new().dispatch(Dot { row, v });
                    off += (*u * sum - a).abs();
                    *u = relaxed(*u, a / sum.max(1e-300), omega);
                    Arch::new().dispatch(Add { columns: &mut columns, scale: *u, row });
                }
                (columns, off)
            })
            .collect();
        let (mut columns, mut off) = (vec![0.0; m], 0.0);
        for (part, part_off) in parts {
            columns.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            off += part_off;
        }
        (columns, off)
    }
}

/// `from^{1 − ω} to^ω`.
fn relaxed(from: f64, to: f64, omega: f64) -> f64 {
    if omega == 1.0 { to } else { from * (to / from).powf(omega) }
}

/// How far iterations overshoot, which near the end makes one of many (Thibault et al. 2017, arXiv:1711.01851).
struct Relaxation {
    omega: f64,
    /// Iterations since `omega` changed.
    since: usize,
    /// The deviation when it had settled.
    before: f64,
}

impl Default for Relaxation {
    fn default() -> Self {
        Self { omega: 1.0, since: 0, before: f64::INFINITY }
    }
}

impl Relaxation {
    /// Now and then, `ω` follows from how fast the deviation `off` fell. Relaxed by `ω`, an iteration multiplies it
    /// by `λ` with `λ + ω − 1 = ω √(ρλ)` (Young 1971), `ρ` being what plain iterations multiply it by, and the best
    /// `ω` is `2/(1 + √(1 − ρ))`. Where it grows, the next ones are plain.
    fn look(&mut self, off: f64) {
        self.since += 1;
        if self.since == SETTLED {
            self.before = off;
        }
        if self.since < SETTLED + LOOK {
            return;
        }
        let rate = (off / self.before).powf(1.0 / LOOK as f64);
        let best = if rate > 0.0 && rate < 1.0 {
            let plain = (rate + self.omega - 1.0).powi(2) / (self.omega * self.omega * rate);
            (2.0 / (1.0 + (1.0 - plain.min(1.0)).sqrt())).min(MOST_RELAXED)
        } else {
            1.0
        };
        (self.since, self.before) = (SETTLED, off);
        if (best - self.omega).abs() > 0.01 {
            (self.omega, self.since) = (best, 0);
        }
    }
}

/// How much of each source row goes to each target row; its scalings are in the potentials.
pub(super) struct Plan<'t> {
    transport: &'t Transport,
}

impl Plan<'_> {
    /// Mass of every class that arrives at every target row, `[classes, m]`.
    pub fn masses(&self) -> Vec<f64> {
        let transport = self.transport;
        let m = transport.m();
        let mut out = vec![0.0; transport.n_classes * m];
        for (row, &label) in transport.kernel.chunks_exact(m).zip(&transport.labels) {
            let out = &mut out[label as usize * m..][..m];
            out.iter_mut().zip(row).for_each(|(out, &p)| *out += f64::from(p));
        }
        out
    }

    /// What every target row is taken for: shares of classes, `[m, classes]`.
    pub fn shares(&self) -> Vec<f64> {
        let (m, classes) = (self.transport.m(), self.transport.n_classes);
        let masses = self.masses();
        let mut out = Vec::with_capacity(m * classes);
        for j in 0..m {
            let sum: f64 = (0..classes).map(|c| masses[c * m + j]).sum();
            out.extend((0..classes).map(|c| masses[c * m + j] / sum.max(1e-300)));
        }
        out
    }

    /// The mean of the target rows that each source row goes to, `[n, d]`.
    pub fn barycentres(&self, target: Rows<'_>) -> Result<Matrix> {
        let transport = self.transport;
        let (n, m, d) = (transport.source.len(), transport.m(), target.d());
        let centre = moments::means(target);
        let rows = transport.target.iter().flat_map(|&j| target.row(j).iter().zip(&centre));
        let centred: Vec<f64> = rows.map(|(&x, c)| f64::from(x) - c).collect();
        let right = MatRef::from_column_major_slice(&centred, d, m);
        let mut out = vec![0.0f32; n * d];
        out.par_chunks_mut(64 * d).zip(transport.kernel.par_chunks(64 * m)).for_each(
            |(out, plan)| {
                let count = out.len() / d;
                let plan: Vec<f64> = plan
                    .chunks_exact(m)
                    .flat_map(|row| {
                        let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
                        row.iter().map(move |&p| f64::from(p) / sum.max(1e-300))
                    })
                    .collect();
                let mut wide = centre.repeat(count);
                let to = MatMut::from_column_major_slice_mut(&mut wide, d, count);
                let plan = MatRef::from_column_major_slice(&plan, m, count);
                matmul(to, Accum::Add, right, plan, 1.0, Par::Seq);
                out.iter_mut().zip(wide).for_each(|(out, x)| *out = x as f32);
            },
        );
        Matrix::new(n, d, out).ok_or_else(|| StatsError::Unusable("barycentres of no rows".into()))
    }

    /// Mean cost of the plan, in mean costs of all pairs.
    pub fn cost(&self) -> f64 {
        let pairs = self.transport.kernel.iter().zip(&self.transport.costs);
        pairs.map(|(&p, c)| f64::from(p) * c).sum()
    }
}

/// `Σ row·v` in sixteen fixed lanes.
struct Dot<'a> {
    row: &'a [f32],
    v: &'a [f64],
}

impl pulp::WithSimd for Dot<'_> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> f64 {
        let mut lanes = [0.0f64; 16];
        let ((row, row_rest), (v, v_rest)) = (self.row.as_chunks::<16>(), self.v.as_chunks::<16>());
        for (row, v) in row.iter().zip(v) {
            for lane in 0..16 {
                lanes[lane] += f64::from(row[lane]) * v[lane];
            }
        }
        let rest: f64 = row_rest.iter().zip(v_rest).map(|(&k, v)| f64::from(k) * v).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

/// `columns += scale·row`.
struct Add<'a> {
    columns: &'a mut [f64],
    scale: f64,
    row: &'a [f32],
}

impl pulp::WithSimd for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (sum, &k) in self.columns.iter_mut().zip(self.row) {
            *sum += self.scale * f64::from(k);
        }
    }
}
