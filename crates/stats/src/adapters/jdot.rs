//! Joint distribution optimal transport.

use super::transport::{EPSILON, MAX_ITERATIONS, Transport};
use super::{Adapted, Adapter, Family, Options, Problem, Setting, View};
use crate::heads::{Head, Targets};
use crate::{Matrix, Result};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "jdot",
    summary: "carries rows and labels together: a head on the target to which the plan and its labels fit best",
    paper: "Courty et al. 2017, Joint distribution optimal transportation for domain adaptation, arXiv:1705.08848",
    family: Family::Transport,
    settings: &[ALPHA, EPSILON],
    fit,
};

const ALPHA: Setting = Setting {
    name: "alpha",
    summary: "how much the distance of rows counts against the loss of labels, in mean distances",
    default: Some(10.0),
    range: (1e-3, 1e6),
    choices: &[1.0, 10.0, 100.0],
};

/// Rounds of plan and head.
const ROUNDS: usize = 10;

/// Change of a share below which the plan's labels stay.
const SETTLED: f64 = 1e-3;

/// The largest loss of a label: a head that is sure must not forbid what the plan needs.
const MOST_LOSS: f64 = 10.0;

/// In turn the plan for the cost `‖x_s − x_t‖² + L(y_s, f(x_t))/α` and the head `f` for the plan's labels of target
/// rows, `L` being the cross-entropy and distances in units of their mean; `f` begins as the source's head. The
/// paper's plan is exact, this one entropic, which makes its labels shares.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let alpha = options.of(&ALPHA).unwrap_or(10.0);
    let mut transport = Transport::of(problem, options);
    let rows = Matrix::gather(problem.target(), &transport.target);
    let (m, classes) = (rows.rows().n(), problem.n_classes());
    let mut head = problem.source_head()?.0.clone();
    let mut before: Vec<f64> = Vec::new();
    let (mut rounds, mut cost) = (0, 0.0);
    while rounds < ROUNDS {
        rounds += 1;
        let said = Head::Linear(head.clone()).predict(rows.rows())?;
        let mut losses = vec![0.0; classes * m];
        for (j, row) in said.rows().enumerate() {
            for (c, p) in row.iter().enumerate() {
                losses[c * m + j] = -p.max((-MOST_LOSS).exp()).ln() / alpha;
            }
        }
        let plan = transport.plan(&losses, MAX_ITERATIONS);
        let shares = plan.shares();
        cost = plan.cost();
        head = problem.fit_head(rows.rows(), Targets::Shares(&shares), &[])?;
        let change = shares.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let settled = !before.is_empty() && change < SETTLED;
        before = shares;
        if settled {
            break;
        }
    }
    let adapted = problem.adapted(View::Raw, View::Raw, head);
    let iterations = transport.iterations as f64;
    Ok(adapted
        .fact("cost", cost)
        .fact("rounds", f64::from(rounds as u32))
        .fact("iterations", iterations))
}
