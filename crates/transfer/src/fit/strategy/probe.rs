//! Probe: the network stays as it is, and only a head on its features is fitted.

use super::{Schedule, Strategy, no};

/// No phase at all: the head was fitted to convergence before.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "probe",
    summary: "keep the network frozen, fit a head on its features",
    paper: "Alain & Bengio 2016, arXiv:1610.01644",
    wants_sensitivity: no,
    plan: |_| Ok(Schedule::from_probe(Vec::new())),
};
