//! The Kullback–Leibler importance estimation procedure.

mod mixture;

use super::kernel::{BANDWIDTH, Wide, sides};
use super::weights::weighed;
use super::{Adapted, Adapter, Family, Options, Problem, Setting};
use crate::{Result, StatsError, content};
use mixture::shares;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kliep",
    summary: "weighs source rows by the kernel mixture under which the target is most likely",
    paper: "Sugiyama et al. 2008, Direct importance estimation for covariate shift adaptation, AISM 60",
    family: Family::Reweight,
    settings: &[Setting {
        summary: "width of the Gaussian kernel, in median distances; held-out likelihood chooses unless given",
        default: None,
        ..BANDWIDTH
    }],
    fit,
};

/// Kernels of the mixture, as in the paper.
const CENTRES: usize = 100;

/// Widths that held-out likelihood chooses from, in median distances.
const WIDTHS: [f64; 5] = [0.3, 0.5, 0.8, 1.25, 2.0];

const FOLDS: usize = 5;

/// Kernels whose mean over the source is below this are too far away to count.
const REACHED: f64 = 1e-12;

/// `w(x) = Σ_l α_l k(x, c_l)` with centres among target rows, which maximises `Σ_j ln w(t_j)` with `α ≥ 0` and
/// mean weight 1 over the source. Takes `100 (n_s + n_t)` numbers.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let ([source, target], _, gamma) = sides(problem, 1.0);
    let order = content::order(problem.target());
    let centres = target.gather(&order[..order.len().min(CENTRES)]);
    let width = match options.of(&BANDWIDTH_GIVEN) {
        Some(width) => width,
        None => best_width(&source, &target, &centres, gamma, &order)?,
    };
    let at = Kernels::of(&source, &target, &centres, gamma / (width * width))?;
    let mixture = shares(&at.target, at.kept, |_| true)?;
    let weights = at
        .source
        .chunks_exact(at.kept)
        .map(|row| row.iter().zip(&mixture).map(|(k, b)| k * b).sum());
    let adapted = weighed(problem, weights.collect(), ADAPTER.name)?;
    Ok(adapted.fact("bandwidth", width))
}

const BANDWIDTH_GIVEN: Setting = Setting { default: None, ..BANDWIDTH };

/// Kernels over their means on the source, so that shares of the mixture sum to 1.
struct Kernels {
    /// `[n, kept]`.
    source: Vec<f64>,
    /// `[m, kept]`.
    target: Vec<f64>,
    kept: usize,
}

impl Kernels {
    fn of(source: &Wide, target: &Wide, centres: &Wide, gamma: f64) -> Result<Self> {
        let all = [source, target].map(|rows| rows.all_kernels(centres, gamma));
        let mut means = vec![0.0; centres.n];
        for row in all[0].chunks_exact(centres.n) {
            means.iter_mut().zip(row).for_each(|(mean, k)| *mean += k / source.n as f64);
        }
        let kept: Vec<usize> = (0..centres.n).filter(|&l| means[l] > REACHED).collect();
        if kept.is_empty() {
            return Err(StatsError::Unusable(
                "`kliep` reaches no source sample from the target; it is too far from the source for weights"
                    .into(),
            ));
        }
        let [source, target] = all.map(|rows| {
            let row = |row: &[f64]| kept.iter().map(|&l| row[l] / means[l]).collect::<Vec<f64>>();
            rows.chunks_exact(centres.n).flat_map(row).collect()
        });
        Ok(Self { source, target, kept: kept.len() })
    }
}

/// The width under which target rows that were held out are most likely.
fn best_width(
    source: &Wide,
    target: &Wide,
    centres: &Wide,
    gamma: f64,
    order: &[usize],
) -> Result<f64> {
    let folds = FOLDS.min(target.n);
    let mut fold_of = vec![0; target.n];
    order.iter().enumerate().for_each(|(place, &i)| fold_of[i] = place % folds);
    let mut best = None;
    for width in WIDTHS {
        // A width that reaches nothing is no candidate.
        let Ok(at) = Kernels::of(source, target, centres, gamma / (width * width)) else {
            continue;
        };
        let mut likelihood = 0.0;
        for fold in 0..folds {
            let mixture = shares(&at.target, at.kept, |i| fold_of[i] != fold)?;
            for (i, row) in at.target.chunks_exact(at.kept).enumerate() {
                if fold_of[i] == fold {
                    let w: f64 = row.iter().zip(&mixture).map(|(k, b)| k * b).sum();
                    likelihood += w.max(1e-300).ln();
                }
            }
        }
        if best.is_none_or(|(_, most)| likelihood > most) {
            best = Some((width, likelihood));
        }
    }
    best.map(|(width, _)| width).ok_or_else(|| {
        StatsError::Unusable(
            "`kliep` reaches no source sample from the target; it is too far from the source for weights"
                .into(),
        )
    })
}
