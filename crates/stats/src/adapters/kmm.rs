//! Kernel mean matching.

mod program;

use super::kernel::{BANDWIDTH, sides};
use super::weights::weighed;
use super::{Adapted, Adapter, Family, Options, Problem, Setting};
use crate::Result;
use program::Program;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kmm",
    summary: "weighs source rows so that their mean in the kernel's space is the target's",
    paper: "Huang et al. 2007, Correcting sample selection bias by unlabeled data, NIPS",
    family: Family::Reweight,
    settings: &[BANDWIDTH, BOX],
    fit,
};

/// The paper has 1000: between two Gaussians one standard deviation apart, 800 rows of each, that leaves weights
/// that are worth 37 rows.
const BOX: Setting = Setting {
    name: "box",
    summary: "the largest weight",
    default: Some(10.0),
    range: (1.0, 1e6),
    choices: &[5.0, 10.0, 1000.0],
};

/// Rows up to which the kernel is factored to the last digit; beyond, columns that are chosen by pivots.
const EXACT: usize = 400;

/// Columns of the factor where there are more rows.
const COLUMNS: usize = 300;

/// Minimises `½ βᵀKβ − κᵀβ` for `κ_i = n_s/n_t Σ_j k(x_i, t_j)` with `0 ≤ β ≤ B` and `|Σβ − n_s| ≤ n_s ε`,
/// `ε = 1 − 1/√n_s`.
///
/// The kernel is held as `V Vᵀ + δ` with at most 300 columns `V` (all where rows are up to 400) and the rest of
/// the diagonal `δ`, so memory is `300 n_s` numbers and not `n_s²`.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let bandwidth = options.of(&BANDWIDTH).unwrap_or(1.0);
    let ([source, target], _, gamma) = sides(problem, bandwidth);
    let (n, m) = (source.n as f64, target.n as f64);
    let sums = source.kernels(&target, gamma, |_, rows| {
        rows.chunks_exact(target.n).map(|row| row.iter().sum::<f64>() * n / m).collect::<Vec<f64>>()
    });
    let most = if source.n <= EXACT { source.n } else { COLUMNS };
    let slack = n * (1.0 - n.sqrt().recip());
    let program = Program {
        kernel: program::Factor::of(&source, gamma, most),
        linear: sums.concat(),
        largest: options.of(&BOX).unwrap_or(10.0),
        sum: [n - slack, n + slack],
    };
    let solution = program.solve()?;
    let (objective, iterations) = (program.value(&solution.weights), solution.iterations as f64);
    let adapted = weighed(problem, solution.weights, ADAPTER.name)?;
    Ok(adapted.fact("objective", objective).fact("iterations", iterations))
}
