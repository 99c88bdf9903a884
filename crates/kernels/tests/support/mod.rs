//! What several tests draw their cases from.

#![allow(dead_code, reason = "each test uses a part")]

use std::ops::Range;

use offshoot_kernels::{Clamp, Isa, Precision, Window};
use proptest::prelude::*;

/// Cases of a property. Miri, which interprets every instruction, gets a few.
pub fn cases(n: u32) -> u32 {
    if cfg!(miri) { n.min(4) } else { n }
}

/// The end of a range of sizes, which Miri gets smaller.
pub fn below(n: usize) -> usize {
    if cfg!(miri) { n.min(12) } else { n }
}

/// Numbers of channels: fewer than the narrowest tile's, and more than a vector's.
pub fn channels() -> impl Strategy<Value = usize> {
    let many: Range<usize> = if cfg!(miri) { 16..20 } else { 30..70 };
    prop_oneof![1..below(20), many]
}

/// Activations that are clamps.
pub fn clamp() -> impl Strategy<Value = Clamp> {
    prop_oneof![Just(Clamp::NONE), Just(Clamp::RELU), Just(Clamp::RELU6)]
}

/// Small whole numbers: sums are exact in any order, so equality can be exact.
pub fn values(n: usize, salt: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729) % 13) as f32 - 6.0).collect()
}

/// Deterministic values in −1..1.
pub fn real(n: usize, salt: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Fails where a value strays from its definition by more than `tolerance` of it, or of 1.
pub fn close(actual: &[f32], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs();
        prop_assert!(error <= tolerance * e.abs().max(1.0), "value {}: {} is not {}", i, a, e);
    }
    Ok(())
}

/// Windows that fit, of every kind.
pub fn window() -> impl Strategy<Value = Window> {
    let size = 1..below(20);
    // Square and odd, which have their own code, or any.
    let square = prop_oneof![Just(1usize), Just(3), Just(5), Just(7)].prop_map(|k| [k, k]);
    let kernel = prop_oneof![3 => square, 1 => [1usize..8, 1usize..8]];
    (size.clone(), size, kernel, 1usize..4, 0usize..7, 0usize..7).prop_filter_map(
        "the window fits",
        |(h, w, kernel, stride, top, left)| {
            let size = |n: usize, k: usize, before: usize| {
                let room = (n + 2 * before).checked_sub(k)?;
                Some(room / stride + 1)
            };
            let before = [top.min(kernel[0] - 1), left.min(kernel[1] - 1)];
            Some(Window {
                input: [h, w],
                output: [size(h, kernel[0], before[0])?, size(w, kernel[1], before[1])?],
                kernel,
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
            .filter(move |&p| p == Precision::F32 || isa.has_bf16())
            .map(move |p| (isa, p))
    })
}

/// Convolution by its definition; `groups` is 1 or the number of channels.
pub fn direct(
    window: &Window,
    [inputs, outputs, groups]: [usize; 3],
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    let [h, w] = window.input;
    let [kh, kw] = window.kernel;
    let per_group = inputs / groups;
    let mut result = Vec::new();
    for oy in 0..window.output[0] {
        for ox in 0..window.output[1] {
            for o in 0..outputs {
                let mut sum = bias[o];
                for c in 0..per_group {
                    for i in 0..kh {
                        for j in 0..kw {
                            let y = (oy * window.stride + i).wrapping_sub(window.before[0]);
                            let x = (ox * window.stride + j).wrapping_sub(window.before[1]);
                            if y < h && x < w {
                                let channel = o / (outputs / groups) * per_group + c;
                                sum += input[(y * w + x) * inputs + channel]
                                    * weight[((o * per_group + c) * kh + i) * kw + j];
                            }
                        }
                    }
                }
                result.push(sum);
            }
        }
    }
    result
}
