//! L2-SP: weight decay toward the source's weights instead of toward zero, so that what the source
//! knows is forgotten only where the labels say so.

use offshoot_data::wording::Choice;

use super::{Kind, Regularizer};

/// `α/2·‖w − w⁰‖² + β/2·‖head‖²`, decoupled: `w ← w − lr·α·(w − w⁰)`. Ordinary decay is off on what is
/// pulled; running statistics are not pulled (Li et al. 2018, eq. 4).
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "l2-sp",
    summary: "decay toward the source's weights: l2-sp(alpha=0.1,beta=0.01)",
    paper: "Li et al. 2018, arXiv:1802.01483",
    choices: &[
        Choice { name: "alpha", default: 0.1, range: [0.0, 100.0] },
        Choice { name: "beta", default: 0.01, range: [0.0, 100.0] },
    ],
    make: |values| Kind::Pull([values[0], values[1]]),
};
