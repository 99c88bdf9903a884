//! Proxy A-distance.

use super::{Distance, Measure, Pair, c2st, interval};
use crate::Result;

pub(super) const DISTANCE: Distance = Distance {
    name: "proxy_a",
    summary: "proxy A-distance 2(1 − 2ε), ε the balanced held-out error of c2st: from 0 to 2",
    paper: "Ben-David et al. 2007, NeurIPS",
    is_test: false,
    least: 0.0,
    compute,
};

/// `2(1 − 2ε)`, kept between 0 and 2. Its test is that of c2st.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let of = |accuracy: f64| (2.0 * (1.0 - 2.0 * (1.0 - accuracy))).clamp(0.0, 2.0);
    let accuracies = &pair.judged()?.accuracies;
    let permuted: Vec<f64> = accuracies[1..].iter().map(|&a| of(a)).collect();
    Ok(Measure {
        name: DISTANCE.name,
        value: of(accuracies[0]),
        interval: interval(c2st::resampled(pair)?.into_iter().map(of).collect()),
        chance: super::mean(&permuted),
        p_value: None,
        statistics: Vec::new(),
    })
}
