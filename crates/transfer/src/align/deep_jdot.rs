//! DeepJDOT: each labelled sample is brought to the target sample that costs least, features and labels
//! together.

use offshoot_data::wording::Choice;

use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step, softmax};

/// The mean cost `α‖f_s − f_t‖² + β·(−ln p_t(y_s))` of the pairs that cost least in sum (Damodaran et al. 2018, eq.
/// 7). Samples of a batch count alike and both halves are as large, so the best transport is an assignment, which
/// is found exactly.
pub(super) const TERM: Term = Term {
    name: "deep-jdot",
    summary: "pair both domains' samples by features and labels: deep-jdot(weight=1,alpha=0.01,beta=1)",
    paper: "Damodaran et al. 2018, arXiv:1803.10081",
    adversary: Adversary::None,
    held: "",
    choices: &[
        weight(1.0),
        Choice { name: "alpha", default: 0.01, range: [0.0, 1e3] },
        Choice { name: "beta", default: 1.0, range: [0.0, 1e3] },
    ],
    make: |values| {
        let [alpha, beta] = [values[1], values[2]].map(|v| values[0] * v);
        Box::new(DeepJdot { alpha, beta })
    },
};

struct DeepJdot {
    alpha: f64,
    beta: f64,
}

impl LossTerm for DeepJdot {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        let n = source.min(target);
        let (dim, classes) = (step.dim, step.classes);
        let row = |i: usize| &step.features[i * dim..(i + 1) * dim];
        let logits = |j: usize| {
            let at = source + j;
            &step.logits[at * classes..(at + 1) * classes]
        };
        let answers: Vec<Vec<f64>> = (0..n).map(|j| softmax(logits(j), 1.0)).collect();
        let cost = |i: usize, j: usize| {
            let pairs = row(i).iter().zip(row(source + j));
            let distance: f64 = pairs.map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
            let surprise = -answers[j][step.labels[i] as usize].max(f64::MIN_POSITIVE).ln();
            self.alpha * distance + self.beta * surprise
        };
        let costs: Vec<f64> = (0..n * n).map(|at| cost(at / n, at % n)).collect();
        let share = 1.0 / n.max(1) as f64;
        let mut value = 0.0;
        for (i, j) in assignment(&costs, n).into_iter().enumerate() {
            value += share * costs[i * n + j];
            let factor = 2.0 * share * self.alpha;
            for k in 0..dim {
                let (a, b) = (i * dim + k, (source + j) * dim + k);
                let slope = (factor * f64::from(step.features[a] - step.features[b])) as f32;
                step.to_features[a] += slope;
                step.to_features[b] -= slope;
            }
            let to = &mut step.to_logits[(source + j) * classes..(source + j + 1) * classes];
            for (class, (to, p)) in to.iter_mut().zip(&answers[j]).enumerate() {
                let right = f64::from(u8::from(class == step.labels[i] as usize));
                *to += (share * self.beta * (p - right)) as f32;
            }
        }
        value
    }
}

/// The column of each row of `[n, n]` costs for which their sum is least: Kuhn and Munkres with potentials, O(n³).
fn assignment(costs: &[f64], n: usize) -> Vec<usize> {
    // Column 0 and row 0 stand for "none".
    let (mut of_row, mut of_column) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_at = vec![0usize; n + 1];
    for row in 1..=n {
        row_at[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; n + 1];
        let mut before = vec![0usize; n + 1];
        let mut used = vec![false; n + 1];
        while row_at[column] != 0 {
            used[column] = true;
            let from = row_at[column];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for j in (1..=n).filter(|&j| !used[j]) {
                let reduced = costs[(from - 1) * n + j - 1] - of_row[from] - of_column[j];
                if reduced < least[j] {
                    (least[j], before[j]) = (reduced, column);
                }
                if least[j] < step {
                    (step, next) = (least[j], j);
                }
            }
            // Only costs that are no numbers leave nothing to choose; then any pairs do.
            if next == 0 {
                return (0..n).collect();
            }
            for j in 0..=n {
                if used[j] {
                    of_row[row_at[j]] += step;
                    of_column[j] -= step;
                } else {
                    least[j] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_at[column] = row_at[before[column]];
            column = before[column];
        }
    }
    let mut columns = vec![0; n];
    (1..=n).for_each(|column| columns[row_at[column] - 1] = column - 1);
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against all permutations of five.
    #[test]
    fn no_assignment_costs_less() {
        fn permutations(n: usize) -> Vec<Vec<usize>> {
            if n == 0 {
                return vec![Vec::new()];
            }
            let insert = |p: Vec<usize>| {
                (0..n).map(move |at| {
                    let mut longer = p.clone();
                    longer.insert(at, n - 1);
                    longer
                })
            };
            permutations(n - 1).into_iter().flat_map(insert).collect()
        }
        for seed in 0..20 {
            let costs: Vec<f64> =
                (0..25).map(|i| f64::from((i * 7919 + seed * 31) % 101)).collect();
            let sum =
                |p: &[usize]| -> f64 { p.iter().enumerate().map(|(i, j)| costs[i * 5 + j]).sum() };
            let all = permutations(5);
            assert_eq!(all.len(), 120);
            let least = all.iter().map(|p| sum(p)).fold(f64::INFINITY, f64::min);
            assert_eq!(sum(&assignment(&costs, 5)), least);
        }
        assert!(assignment(&[], 0).is_empty());
        assert_eq!(assignment(&[f64::NAN; 4], 2), [0, 1]);
    }
}
