//! The inverse cosine transform of libjpeg's `jidctint.c`, bit for bit.
//!
//! Loeffler, Ligtenberg & Moschytz 1989 with 13-bit constants: columns first, keeping two extra
//! bits, then rows.

use std::num::Wrapping;

type Value = Wrapping<i32>;

const CONSTANT_BITS: usize = 13;
const EXTRA_BITS: usize = 2;

const F_0_298631336: Value = Wrapping(2446);
const F_0_390180644: Value = Wrapping(3196);
const F_0_541196100: Value = Wrapping(4433);
const F_0_765366865: Value = Wrapping(6270);
const F_0_899976223: Value = Wrapping(7373);
const F_1_175875602: Value = Wrapping(9633);
const F_1_501321110: Value = Wrapping(12_299);
const F_1_847759065: Value = Wrapping(15_137);
const F_1_961570560: Value = Wrapping(16_069);
const F_2_053119869: Value = Wrapping(16_819);
const F_2_562915447: Value = Wrapping(20_995);
const F_3_072711026: Value = Wrapping(25_172);

/// Dequantises a block and writes its 8 × 8 samples to rows `stride` apart.
///
/// `dc_only` promises that all coefficients but the first are zero.
#[inline(always)]
pub(super) fn block(
    coefficients: &[i16; 64],
    table: &[u16; 64],
    dc_only: bool,
    samples: &mut [u8],
    stride: usize,
) {
    if dc_only {
        let dc = i32::from(coefficients[0]).wrapping_mul(i32::from(table[0]));
        // Both passes on a constant: ·2² and then rounded to 2⁻⁵.
        let value = to_sample(dc.wrapping_mul(1 << EXTRA_BITS).wrapping_add(16) >> 5);
        for row in samples.chunks_mut(stride).take(8) {
            row[..8].fill(value);
        }
        return;
    }
    full(coefficients, table, samples, stride);
}

fn full(coefficients: &[i16; 64], table: &[u16; 64], samples: &mut [u8], stride: usize) {
    let mut work = [Wrapping(0i32); 64];
    for column in 0..8 {
        let at = |row: usize| {
            let i = 8 * row + column;
            Wrapping(i32::from(coefficients[i])) * Wrapping(i32::from(table[i]))
        };
        let rest = (1..8).fold(0, |all, row| all | coefficients[8 * row + column]);
        if rest == 0 {
            let constant = at(0) << EXTRA_BITS;
            for row in 0..8 {
                work[8 * row + column] = constant;
            }
            continue;
        }
        let values = [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)];
        let shift = CONSTANT_BITS - EXTRA_BITS;
        for (row, value) in eight(values).into_iter().enumerate() {
            work[8 * row + column] = (value + (Wrapping(1) << (shift - 1))) >> shift;
        }
    }
    let shift = CONSTANT_BITS + EXTRA_BITS + 3;
    for (row, values) in samples.chunks_mut(stride).zip(work.as_chunks::<8>().0) {
        let sums = eight(*values);
        for (sample, sum) in row[..8].iter_mut().zip(sums) {
            let rounded: Value = (sum + (Wrapping(1) << (shift - 1))) >> shift;
            *sample = to_sample(rounded.0);
        }
    }
}

fn to_sample(value: i32) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}

/// Eight values, scaled by 2¹³·√8.
#[inline(always)]
fn eight(v: [Value; 8]) -> [Value; 8] {
    // Even part.
    let z1 = (v[2] + v[6]) * F_0_541196100;
    let t2 = z1 - v[6] * F_1_847759065;
    let t3 = z1 + v[2] * F_0_765366865;
    let t0 = (v[0] + v[4]) << CONSTANT_BITS;
    let t1 = (v[0] - v[4]) << CONSTANT_BITS;
    let (e0, e3) = (t0 + t3, t0 - t3);
    let (e1, e2) = (t1 + t2, t1 - t2);

    // Odd part.
    let z5 = (v[7] + v[3] + v[5] + v[1]) * F_1_175875602;
    let z1 = (v[7] + v[1]) * F_0_899976223;
    let z2 = (v[5] + v[3]) * F_2_562915447;
    let z3 = z5 - (v[7] + v[3]) * F_1_961570560;
    let z4 = z5 - (v[5] + v[1]) * F_0_390180644;
    let o0 = v[7] * F_0_298631336 - z1 + z3;
    let o1 = v[5] * F_2_053119869 - z2 + z4;
    let o2 = v[3] * F_3_072711026 - z2 + z3;
    let o3 = v[1] * F_1_501321110 - z1 + z4;

    [e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3]
}
