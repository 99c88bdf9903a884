//! A model's parameters and buffers: named `f32` arrays in key order.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A dense row-major array, in the checkpoint's own layout (`[out, in, kh, kw]` for convolutions).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Product of the shape values.
    pub data: Values,
}

/// The values of an array. Clones share them until one of them changes: the weights that tuning begins with, the
/// best so far and those to go back to are mostly the same, and each is as large as the network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values(Arc<Vec<f32>>);

impl Values {
    /// All of them.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The values as a vector of their own; copied only where a clone shares them.
    pub fn into_vec(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.0)
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        Arc::<Vec<f32>>::make_mut(&mut self.0).as_mut_slice()
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Arc::new(values))
    }
}

impl FromIterator<f32> for Values {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = &'a f32;
    type IntoIter = std::slice::Iter<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// All arrays of a model by the recipe's keys.
pub type Params = BTreeMap<String, Array>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_values_until_one_changes() {
        let one = Values::from(vec![1.0, 2.0]);
        let mut other = one.clone();
        assert!(std::ptr::eq(one.as_slice(), other.as_slice()));
        other[0] = 3.0;
        assert_eq!((one.into_vec(), other.into_vec()), (vec![1.0, 2.0], vec![3.0, 2.0]));
    }
}
