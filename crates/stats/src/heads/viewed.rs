//! A linear map of what a view shows.

use serde::{Deserialize, Serialize};

use super::Linear;
use crate::adapters::View;
use crate::{Result, Rows};

/// `softmax(W view(x) + b)` on raw features `x`. Affine views are folded into `W` instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Viewed {
    /// What the head is shown.
    pub view: View,
    /// On what it is shown.
    pub head: Linear,
}

impl Viewed {
    /// `W view(x) + b`, `[n, classes]`.
    ///
    /// # Errors
    /// As [`View::apply`].
    pub fn scores(&self, rows: Rows<'_>) -> Result<Vec<f64>> {
        Ok(self.head.scores(self.view.apply(rows)?.rows()))
    }
}
