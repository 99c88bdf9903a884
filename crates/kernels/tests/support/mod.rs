//! What several tests draw their cases from.

#![allow(dead_code, reason = "each test uses a part")]

use offshoot_kernels::{Isa, Precision, Window};
use proptest::prelude::*;

/// Small whole numbers: sums are exact in any order, so equality can be exact.
pub fn values(n: usize, salt: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729) % 13) as f32 - 6.0).collect()
}

/// Windows that fit, of every kind.
pub fn window() -> impl Strategy<Value = Window> {
    (1usize..20, 1usize..20, 0usize..4, 1usize..4, 0usize..4, 0usize..4).prop_filter_map(
        "the window fits",
        |(h, w, k, stride, top, left)| {
            let k = [1, 3, 5, 7][k];
            let size = |n: usize, before: usize| {
                let room = (n + 2 * before).checked_sub(k)?;
                Some(room / stride + 1)
            };
            let before = [top.min(k - 1), left.min(k - 1)];
            Some(Window {
                input: [h, w],
                output: [size(h, before[0])?, size(w, before[1])?],
                kernel: [k, k],
                stride,
                before,
            })
        },
    )
}

/// Every instruction level of this machine, in every precision that it has.
pub fn levels() -> impl Iterator<Item = (Isa, Precision)> {
    Isa::available().flat_map(|isa| {
        let all = [Precision::F32, Precision::Bf16x3, Precision::Bf16];
        all.into_iter()
            .filter(move |&p| p == Precision::F32 || isa == Isa::Amx)
            .map(move |p| (isa, p))
    })
}
