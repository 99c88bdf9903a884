//! Low-rank adaptation: `W + (α/r)·A·B` with thin A and B (Hu et al. 2021, arXiv:2106.09685).
//!
//! The network always holds the merged matrix, so nothing is slower when it is used, and merging
//! changes no bit. B is zero at first: the first output is the base model's, exactly.

use std::collections::BTreeMap;

use offshoot_nn::cpu::Learned;
use offshoot_nn::{Array, Params};
use offshoot_random::generator;
use rand::RngExt;

use crate::{Result, TransferError};

/// Low-rank products by the key of their matrix.
#[derive(Debug, Clone)]
pub struct LowRank {
    scale: f32,
    adapters: BTreeMap<String, Adapter>,
}

/// One matrix `[inputs, outputs]` and what is added to it.
#[derive(Debug, Clone)]
struct Adapter {
    /// Keys of the matrices that lie side by side in this one and share its first factor.
    keys: Vec<String>,
    rank: usize,
    /// The matrix as it was.
    base: Vec<f32>,
    /// `[inputs, rank]`.
    a: Vec<f32>,
    /// `[rank, outputs]`.
    b: Vec<f32>,
}

impl LowRank {
    /// Adapters of rank `rank` for the matrices that learn; `inputs` tells a matrix's first size.
    ///
    /// A is uniform within `±1/√inputs`, which is Kaiming's bound with slope √5, as the reference
    /// implementation has it; B is zero.
    pub fn new<'a>(
        learned: impl Iterator<Item = Learned<'a>>,
        inputs: impl Fn(&str) -> Option<usize>,
        rank: usize,
        alpha: f64,
        seed: u64,
    ) -> Self {
        let mut adapters = BTreeMap::new();
        for (number, tensor) in learned.enumerate() {
            let Some(key) = tensor.keys.first() else { continue };
            let Some(inputs) = inputs(key).filter(|&n| n > 0) else { continue };
            let outputs = tensor.value.len() / inputs;
            let rank = rank.min(inputs).min(outputs);
            let bound = 1.0 / (inputs as f32).sqrt();
            let mut draws = generator(seed, "lora", 0, number as u64);
            let a = (0..inputs * rank).map(|_| draws.random_range(-bound..bound)).collect();
            let b = vec![0.0; rank * outputs];
            let (keys, base) = (tensor.keys.to_vec(), tensor.value.to_vec());
            adapters.insert(key.clone(), Adapter { keys, rank, base, a, b });
        }
        Self { scale: (alpha / rank as f64) as f32, adapters }
    }

    /// Calls `update` with both factors of the matrix `key` and their gradients, which follow from
    /// the matrix's, and writes the new matrix to `value`. Returns whether there is such a matrix.
    pub fn update(
        &mut self,
        key: &str,
        value: &mut [f32],
        gradient: &[f32],
        mut update: impl FnMut(&str, &mut [f32], &[f32]),
    ) -> bool {
        let scale = self.scale;
        let Some(adapter) = self.adapters.get_mut(key) else { return false };
        let [of_a, of_b] = adapter.gradients(scale, gradient);
        update("lora_a", &mut adapter.a, &of_a);
        update("lora_b", &mut adapter.b, &of_b);
        adapter.merge(scale, value);
        true
    }

    /// The gradients of both factors, for the global norm.
    pub fn gradients(&self, key: &str, gradient: &[f32]) -> Option<[Vec<f32>; 2]> {
        Some(self.adapters.get(key)?.gradients(self.scale, gradient))
    }

    /// Number of values that learn.
    pub fn values(&self) -> usize {
        self.adapters.values().map(|adapter| adapter.a.len() + adapter.b.len()).sum()
    }

    /// The factors as PEFT stores them: `KEY.lora_A.weight` `[rank, inputs]`, `KEY.lora_B.weight`
    /// `[outputs, rank]`. With `base`, also the matrices as they were.
    pub fn state(&self, base: bool) -> Params {
        let mut state = Params::new();
        for (key, adapter) in &self.adapters {
            let stem = key.trim_end_matches(".weight");
            let Adapter { rank, a, b, .. } = adapter;
            let array = |values: &[f32], columns: usize| transposed(values, columns);
            state.insert(format!("{stem}.lora_A.weight"), array(a, *rank));
            state.insert(format!("{stem}.lora_B.weight"), array(b, b.len() / rank));
            if base {
                let data = adapter.base.clone();
                state.insert(
                    format!("{stem}.base"),
                    Array { shape: vec![data.len()], data: data.into() },
                );
            }
        }
        state
    }

    /// The factors under PEFT's names with the scale in B, so that `W + B·A` is the tuned matrix; a
    /// pair for each matrix of the checkpoint.
    pub fn exported(&self) -> Params {
        let mut factors = Params::new();
        for adapter in self.adapters.values() {
            let rank = adapter.rank;
            let a = transposed(&adapter.a, rank);
            let mut b = transposed(&adapter.b, adapter.outputs()).data;
            b.iter_mut().for_each(|b| *b *= self.scale);
            let outputs = adapter.outputs() / adapter.keys.len().max(1);
            for (key, b) in adapter.keys.iter().zip(b.chunks_exact(outputs * rank)) {
                let stem = key.trim_end_matches(".weight");
                factors.insert(format!("{stem}.lora_A.weight"), a.clone());
                let b = Array { shape: vec![outputs, rank], data: b.to_vec().into() };
                factors.insert(format!("{stem}.lora_B.weight"), b);
            }
        }
        factors
    }

    /// Goes on from [`LowRank::state`].
    ///
    /// # Errors
    /// Where a factor is missing or has another size.
    pub fn restore(&mut self, state: &Params) -> Result<()> {
        for (key, adapter) in &mut self.adapters {
            let stem = key.trim_end_matches(".weight");
            let find = |name: String, len: usize| {
                state.get(&name).filter(|array| array.data.len() == len).ok_or_else(|| {
                    TransferError::ModelRefused(format!("no fitting `{name}` among the factors"))
                })
            };
            let rank = adapter.rank;
            let a = find(format!("{stem}.lora_A.weight"), adapter.a.len())?;
            adapter.a = transposed(&a.data, a.data.len() / rank).data.into_vec();
            let b = find(format!("{stem}.lora_B.weight"), adapter.b.len())?;
            adapter.b = transposed(&b.data, rank).data.into_vec();
            if let Some(base) = state.get(&format!("{stem}.base")) {
                adapter.base = base.data.to_vec();
            }
        }
        Ok(())
    }
}

/// `params` with the products of `factors` added, as [`LowRank::exported`] gives them.
///
/// # Errors
/// Where a factor has no matrix of its size, or no partner.
pub fn merged(mut params: Params, factors: &Params) -> Result<Params> {
    let refused = |key: &str, why: &str| {
        TransferError::ModelRefused(format!("low-rank adapter: `{key}` {why}"))
    };
    let mut used = 0;
    for (key, a) in factors {
        let Some(stem) = key.strip_suffix(".lora_A.weight") else { continue };
        let partner = format!("{stem}.lora_B.weight");
        let b = factors.get(&partner).ok_or_else(|| refused(&partner, "is missing"))?;
        let to = params
            .get_mut(&format!("{stem}.weight"))
            .ok_or_else(|| refused(key, "belongs to no matrix of the network"))?;
        let sizes = (a.shape.as_slice(), b.shape.as_slice());
        let ([rank, inputs], [outputs, same]) = sizes else {
            return Err(refused(key, "and its partner are no matrices"));
        };
        let (rank, inputs, outputs) = (*rank, *inputs, *outputs);
        let fits = rank == *same
            && to.data.len() == inputs * outputs
            && a.data.len() == rank * inputs
            && b.data.len() == outputs * rank;
        if !fits || inputs == 0 {
            return Err(refused(key, "has another size than the network's matrix"));
        }
        for (row, b) in to.data.chunks_exact_mut(inputs).zip(b.data.chunks_exact(rank)) {
            for (factor, a) in b.iter().zip(a.data.chunks_exact(inputs)) {
                row.iter_mut().zip(a).for_each(|(w, a)| *w += factor * a);
            }
        }
        used += 2;
    }
    if used == 0 || used < factors.len() {
        return Err(TransferError::ModelRefused(
            "low-rank adapter: no pairs of `….lora_A.weight` and `….lora_B.weight`, or others too"
                .into(),
        ));
    }
    Ok(params)
}

/// `[rows, columns]` → `[columns, rows]`.
fn transposed(values: &[f32], columns: usize) -> Array {
    let rows = values.len() / columns.max(1);
    let data = (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect();
    Array { shape: vec![columns, rows], data }
}

impl Adapter {
    fn outputs(&self) -> usize {
        self.b.len() / self.rank
    }

    /// `∂A = s·∂W·Bᵀ`, `∂B = s·Aᵀ·∂W`.
    fn gradients(&self, scale: f32, gradient: &[f32]) -> [Vec<f32>; 2] {
        let (rank, outputs) = (self.rank, self.outputs());
        let mut of_a = vec![0.0; self.a.len()];
        let mut of_b = vec![0.0; self.b.len()];
        let rows = gradient.chunks_exact(outputs).zip(self.a.chunks_exact(rank));
        for ((row, a), of_a) in rows.zip(of_a.chunks_exact_mut(rank)) {
            for r in 0..rank {
                let b = &self.b[r * outputs..(r + 1) * outputs];
                let sum: f32 = row.iter().zip(b).map(|(g, b)| g * b).sum();
                of_a[r] = scale * sum;
                let factor = scale * a[r];
                let to = &mut of_b[r * outputs..(r + 1) * outputs];
                to.iter_mut().zip(row).for_each(|(to, g)| *to += factor * g);
            }
        }
        [of_a, of_b]
    }

    fn merge(&self, scale: f32, value: &mut [f32]) {
        let (rank, outputs) = (self.rank, self.outputs());
        value.copy_from_slice(&self.base);
        for (row, a) in value.chunks_exact_mut(outputs).zip(self.a.chunks_exact(rank)) {
            for (r, a) in a.iter().enumerate() {
                let (factor, b) = (scale * a, &self.b[r * outputs..(r + 1) * outputs]);
                row.iter_mut().zip(b).for_each(|(to, b)| *to += factor * b);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use offshoot_nn::Role;

    const KEY: &str = "fc.weight";

    fn adapted(value: &mut [f32]) -> LowRank {
        let keys = [KEY.to_string()];
        let learned = Learned { keys: &keys, role: Role::Weight, value, gradient: &[] };
        LowRank::new(std::iter::once(learned), |_| Some(3), 2, 4.0, 0)
    }

    #[test]
    fn the_first_matrix_is_the_base_to_the_bit() {
        let mut value: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
        let base = value.clone();
        let mut low_rank = adapted(&mut value);
        assert_eq!(low_rank.values(), 3 * 2 + 2 * 4);
        assert!(low_rank.update(KEY, &mut value, &[1.0; 12], |_, _, _| {}));
        assert_eq!(value, base);
    }

    #[test]
    fn a_merged_adapter_is_the_tuned_matrix() {
        let mut value: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
        let base = transposed(&value, 4);
        let mut low_rank = adapted(&mut value);
        low_rank.update(KEY, &mut value, &[1.0; 12], |_, factor, _| {
            factor.iter_mut().enumerate().for_each(|(i, v)| *v += 0.1 * i as f32 - 0.3);
        });
        let params = Params::from([(KEY.to_string(), base)]);
        let merged = merged(params.clone(), &low_rank.exported()).unwrap();
        let expected = transposed(&value, 4);
        assert_eq!(merged[KEY].shape, expected.shape);
        for (a, b) in merged[KEY].data.iter().zip(&expected.data) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
        assert!(super::merged(params.clone(), &Params::new()).is_err());
        let mut half = low_rank.exported();
        half.remove("fc.lora_B.weight");
        assert!(super::merged(params, &half).is_err());
        assert!(super::merged(Params::new(), &low_rank.exported()).is_err());
    }

    #[test]
    fn gradients_of_the_factors_are_slopes_and_factors_come_back() {
        let mut value: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
        let gradient: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).cos()).collect();
        let mut low_rank = adapted(&mut value);
        // A step away from zero, so that both factors have gradients.
        low_rank.update(KEY, &mut value, &gradient, |name, factor, _| {
            if name == "lora_b" {
                factor.iter_mut().enumerate().for_each(|(i, v)| *v = 0.1 * i as f32 - 0.3);
            }
        });
        let loss = |value: &[f32]| -> f32 { value.iter().zip(&gradient).map(|(v, g)| v * g).sum() };
        let before = loss(&value);
        let of = low_rank.gradients(KEY, &gradient).unwrap();
        for (factor, expected) in [("lora_a", of[0][3]), ("lora_b", of[1][3])] {
            let (mut moved, mut low_rank) = (value.clone(), low_rank.clone());
            low_rank.update(KEY, &mut moved, &gradient, |name, values, _| {
                if name == factor {
                    values[3] += 0.5;
                }
            });
            assert!(((loss(&moved) - before) / 0.5 - expected).abs() < 1e-4, "{factor}");
        }
        let mut other = adapted(&mut [0.0; 12]);
        other.restore(&low_rank.state(true)).unwrap();
        let mut again = vec![0.0; 12];
        other.update(KEY, &mut again, &gradient, |_, _, _| {});
        assert_eq!(again, value);
        assert_eq!(low_rank.state(false)["fc.lora_A.weight"].shape, [2, 3]);
        assert_eq!(low_rank.state(false)["fc.lora_B.weight"].shape, [4, 2]);
        assert!(other.restore(&Params::new()).is_err());
    }
}
