//! Values of f32 as bf16, or as the sum of two or three: 8, 17 or 26 of its 24 bits.

use std::arch::x86_64::*;

/// Thirty-two values as the sum of `PARTS` bf16: each is the nearest to what the ones before leave.
///
/// # Safety
/// The processor has `avx512f`, `avx512bw` and `avx512bf16`; `to` holds 64 bytes, and so does the
/// place of each further part, `low` bytes beyond the one before.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn split<const PARTS: usize>(a: __m512, b: __m512, to: *mut u8, low: usize) {
    let (mut a, mut b) = (a, b);
    for part in 0..PARTS {
        let near = bits(_mm512_cvtne2ps_pbh(b, a));
        // SAFETY: as the caller vouches.
        unsafe { _mm512_storeu_si512(to.add(part * low).cast(), near) };
        a = _mm512_sub_ps(a, back(_mm512_castsi512_si256(near)));
        b = _mm512_sub_ps(b, back(_mm512_extracti64x4_epi64::<1>(near)));
    }
}

/// Two vectors of values within a clamp.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn clamped(values: [__m512; 2], clamp: crate::Clamp) -> [__m512; 2] {
    let (low, high) = (_mm512_set1_ps(clamp.low), _mm512_set1_ps(clamp.high));
    // The value comes second, so that a NaN stays.
    let [a, b] = values;
    [_mm512_min_ps(high, _mm512_max_ps(low, a)), _mm512_min_ps(high, _mm512_max_ps(low, b))]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(crate) fn bits(x: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute(x) }
}

/// `pixels` of `channels` values each, into planes of 32 channels: `[⌈channels/32⌉, pixels of the
/// plane, 32]`.
///
/// # Safety
/// As [`split`]; `from` holds `pixels · channels` values; `to` holds `pixels` rows of 64 bytes in
/// each plane, planes `plane` bytes apart, parts `low` bytes apart.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pixels<const PARTS: usize>(
    pixels: usize,
    channels: usize,
    from: *const f32,
    to: *mut u8,
    low: usize,
    plane: usize,
) {
    let whole = channels / 32;
    let rest = channels % 32;
    // Sixteen lanes and their masks for the last, partial block of channels.
    let [first, second] = halves(rest);
    // SAFETY: as the caller vouches; masked lanes are not read.
    unsafe {
        for pixel in 0..pixels {
            let from = from.add(pixel * channels);
            let to = to.add(pixel * 64);
            for block in 0..whole {
                let x = from.add(block * 32);
                let at = to.add(block * plane);
                let (a, b) = (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16)));
                split::<PARTS>(a, b, at, low);
            }
            if rest > 0 {
                let x = from.add(whole * 32);
                let at = to.add(whole * plane);
                let a = _mm512_maskz_loadu_ps(first, x);
                // An address past the values may not even be formed.
                let b = if second == 0 {
                    _mm512_setzero_ps()
                } else {
                    _mm512_maskz_loadu_ps(second, x.add(16))
                };
                split::<PARTS>(a, b, at, low);
            }
        }
    }
}

/// `len` values, rounded, side by side.
///
/// # Safety
/// As [`split`]; `from` holds `len` values and `to` as many places of 16 bits.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn values(len: usize, from: *const f32, to: *mut u8) {
    let whole = len / 32 * 32;
    // SAFETY: as the caller vouches; masked lanes are neither read nor written.
    unsafe {
        for at in (0..whole).step_by(32) {
            let (a, b) = (_mm512_loadu_ps(from.add(at)), _mm512_loadu_ps(from.add(at + 16)));
            split::<1>(a, b, to.add(at * 2), 0);
        }
        if whole < len {
            let [a, b] = two_vectors(from.add(whole), halves(len - whole));
            let held = u32::MAX >> (32 - (len - whole));
            let near = bits(_mm512_cvtne2ps_pbh(b, a));
            _mm512_mask_storeu_epi16(to.add(whole * 2).cast(), held, near);
        }
    }
}

/// `len` values, rounded as [`crate::round_to_bf16`] does, past the cache: what is stored for the
/// backward pass is not read before the cache has seen much else.
///
/// # Safety
/// As [`split`]; `from` holds `len` values and `to` as many places.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
pub(crate) unsafe fn round(from: *const f32, len: usize, to: *mut u16) {
    // SAFETY: as the caller vouches.
    unsafe {
        let head = to.align_offset(64).min(len);
        let one = |at: usize| to.add(at).write(crate::stored::nearest_bf16(*from.add(at)));
        (0..head).for_each(one);
        let mut at = head;
        while at + 32 <= len {
            let (a, b) = (_mm512_loadu_ps(from.add(at)), _mm512_loadu_ps(from.add(at + 16)));
            // The instruction takes subnormal numbers for zeros.
            const SUBNORMAL: i32 = 0x20;
            let small =
                _mm512_fpclass_ps_mask::<SUBNORMAL>(a) | _mm512_fpclass_ps_mask::<SUBNORMAL>(b);
            if small == 0 {
                _mm512_stream_si512(to.add(at).cast(), bits(_mm512_cvtne2ps_pbh(b, a)));
            } else {
                (at..at + 32).for_each(one);
            }
            at += 32;
        }
        (at..len).for_each(one);
        _mm_sfence();
    }
}

/// One pixel with `channels` values as zeros: what lies outside an image.
///
/// # Safety
/// As [`pixels`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn zeros<const PARTS: usize>(
    pixels: usize,
    planes: usize,
    to: *mut u8,
    low: usize,
    plane: usize,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        for block in 0..planes {
            for part in 0..PARTS {
                to.add(block * plane + part * low).write_bytes(0, pixels * 64);
            }
        }
    }
}

/// 32 values of a sum × 16 columns.
#[repr(C, align(64))]
pub(super) struct Block(pub [[f32; 16]; 32]);

/// A block as the right operand of a product: rows of pairs, `[parts][16 pairs][16 columns][2]`, the
/// parts `low` bytes apart.
///
/// # Safety
/// As [`split`]; `to` holds 1024 bytes for each part.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pairs(parts: usize, block: &Block, to: *mut u8, low: usize) {
    // SAFETY: the arrays have the sizes that are loaded; `to` as the caller vouches.
    unsafe {
        let interleave = _mm512_loadu_si512(INTERLEAVE.as_ptr().cast());
        for (pair, rows) in block.0.chunks_exact(2).enumerate() {
            let mut a = _mm512_loadu_ps(rows[0].as_ptr());
            let mut b = _mm512_loadu_ps(rows[1].as_ptr());
            for part in 0..parts {
                let near = bits(_mm512_cvtne2ps_pbh(b, a));
                let line = _mm512_permutexvar_epi16(interleave, near);
                _mm512_storeu_si512(to.add(part * low + pair * 64).cast(), line);
                a = _mm512_sub_ps(a, back(_mm512_castsi512_si256(near)));
                b = _mm512_sub_ps(b, back(_mm512_extracti64x4_epi64::<1>(near)));
            }
        }
    }
}

/// 16 channels from `first` on of 32 pixels (null: zeros) as 16 pairs of rows: lines of pairs.
///
/// # Safety
/// As [`split`]; pixels that are not null hold `held` channels from `first` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn load(pixels: &[*const f32; 32], first: usize, held: usize) -> [__m512; 32] {
    let mask = ((1u32 << held) - 1) as __mmask16;
    // Loops, for closures would not be compiled with these instructions.
    let mut rows = [_mm512_setzero_ps(); 32];
    for (row, pixel) in rows.iter_mut().zip(pixels) {
        if !pixel.is_null() {
            // SAFETY: as the caller vouches; masked lanes are not read.
            *row = unsafe { _mm512_maskz_loadu_ps(mask, pixel.wrapping_add(first)) };
        }
    }
    rows
}

/// The next part of each pair of rows, as lines of pairs; what is left stays in `rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn take_part(rows: &mut [__m512; 32], lines: &mut [__m512i; 16]) {
    // SAFETY: 32 values of 16 bits.
    let interleave = unsafe { _mm512_loadu_si512(INTERLEAVE.as_ptr().cast()) };
    for (line, rows) in lines.iter_mut().zip(rows.as_chunks_mut::<2>().0) {
        let [a, b] = *rows;
        let near = bits(_mm512_cvtne2ps_pbh(b, a));
        rows[0] = _mm512_sub_ps(a, back(_mm512_castsi512_si256(near)));
        rows[1] = _mm512_sub_ps(b, back(_mm512_extracti64x4_epi64::<1>(near)));
        *line = _mm512_permutexvar_epi16(interleave, near);
    }
}

/// Takes a value of the first and of the second half in turn.
pub(crate) const INTERLEAVE: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 32 {
        order[i] = (i / 2 + i % 2 * 16) as u16;
        i += 1;
    }
    order
};

/// 32 pixels as a right operand: 16 lines of pairs, 16 channels each.
///
/// # Safety
/// As [`load`]; `to` holds 1024 bytes for each part, `low` bytes apart.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn rows<const PARTS: usize>(
    pixels: &[*const f32; 32],
    first: usize,
    held: usize,
    to: *mut u8,
    low: usize,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut rows = load(pixels, first, held);
        let mut lines = [_mm512_setzero_si512(); 16];
        for part in 0..PARTS {
            take_part(&mut rows, &mut lines);
            for (i, &line) in lines.iter().enumerate() {
                _mm512_storeu_si512(to.add(part * low + i * 64).cast(), line);
            }
        }
    }
}

/// Sixteen pixels (null: zeros) as columns: 16 lines of pairs of channels, from `first` on.
///
/// # Safety
/// As [`split`]; pixels that are not null hold `held` channels from `first` on; `to` holds 1024 bytes
/// for each part, `low` bytes apart.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn across<const PARTS: usize>(
    pixels: &[*const f32; 16],
    first: usize,
    held: usize,
    to: *mut u8,
    low: usize,
) {
    let masks = halves(held);
    let mut rows = [[_mm512_setzero_ps(); 2]; 16];
    // SAFETY: as the caller vouches; masked lanes are not read.
    unsafe {
        for (row, pixel) in rows.iter_mut().zip(pixels) {
            if !pixel.is_null() {
                *row = two_vectors(pixel.add(first), masks);
            }
        }
        for part in 0..PARTS {
            let mut lines = [_mm512_setzero_si512(); 16];
            for (line, row) in lines.iter_mut().zip(&mut rows) {
                let [a, b] = *row;
                *line = bits(_mm512_cvtne2ps_pbh(b, a));
                row[0] = _mm512_sub_ps(a, back(_mm512_castsi512_si256(*line)));
                row[1] = _mm512_sub_ps(b, back(_mm512_extracti64x4_epi64::<1>(*line)));
            }
            transpose(&mut lines);
            for (i, &line) in lines.iter().enumerate() {
                _mm512_storeu_si512(to.add(part * low + i * 64).cast(), line);
            }
        }
    }
}

/// Masks of the two halves of 32 lanes, of which `held` count.
#[inline]
pub(super) fn halves(held: usize) -> [__mmask16; 2] {
    let mask = |lanes: usize| ((1u32 << lanes.min(16)) - 1) as __mmask16;
    [mask(held), mask(held.saturating_sub(16))]
}

/// Up to 32 values, zeros where the masks leave lanes out.
///
/// # Safety
/// The lanes that count are readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn two_vectors(from: *const f32, masks: [__mmask16; 2]) -> [__m512; 2] {
    // SAFETY: masked lanes are not read; their address is formed without claiming that it is valid.
    unsafe {
        let a = _mm512_maskz_loadu_ps(masks[0], from);
        [a, _mm512_maskz_loadu_ps(masks[1], from.wrapping_add(16))]
    }
}

/// Rows of values, `step` apart.
pub(super) struct Rows {
    pub from: *const f32,
    pub step: usize,
    pub rows: usize,
}

/// Rows of `channels` values times `scale`, in planes as [`pixels`] writes them.
///
/// # Safety
/// As [`pixels`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn scaled<const PARTS: usize>(
    values: &Rows,
    channels: usize,
    scale: f32,
    to: *mut u8,
    low: usize,
    plane: usize,
) {
    let scale = _mm512_set1_ps(scale);
    // SAFETY: as the caller vouches.
    unsafe {
        for block in 0..channels.div_ceil(32) {
            let masks = halves(channels - block * 32);
            for row in 0..values.rows {
                let [a, b] = two_vectors(values.from.add(row * values.step + block * 32), masks);
                let at = to.add(block * plane + row * 64);
                split::<PARTS>(_mm512_mul_ps(a, scale), _mm512_mul_ps(b, scale), at, low);
            }
        }
    }
}

/// 32 pixels as a left operand: 16 rows, a channel each, of 32 pixels.
///
/// # Safety
/// As [`load`]; `to` holds 16 rows of 64 bytes, `row` bytes apart, for each part, `low` bytes apart.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn columns<const PARTS: usize>(
    pixels: &[*const f32; 32],
    first: usize,
    held: usize,
    to: *mut u8,
    row: usize,
    low: usize,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut rows = load(pixels, first, held);
        let mut lines = [_mm512_setzero_si512(); 16];
        for part in 0..PARTS {
            take_part(&mut rows, &mut lines);
            transpose(&mut lines);
            for (i, &line) in lines.iter().enumerate() {
                _mm512_storeu_si512(to.add(part * low + i * row).cast(), line);
            }
        }
    }
}

/// Rows of 16 times 32 bits as columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: &mut [__m512i; 16]) {
    let zero = _mm512_setzero_si512();
    let (mut t, mut u) = ([zero; 16], [zero; 16]);
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for i in (0..16).step_by(4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for j in 0..4 {
        // Lane l of `u[4i + j]` holds rows 4i..4i+4 of column 4l + j.
        let (a, b, c, d) = (u[j], u[4 + j], u[8 + j], u[12 + j]);
        let (ab_even, ab_odd) =
            (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        r[j] = _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even);
        r[4 + j] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        r[8 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even);
        r[12 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
}

/// Sixteen bf16 as f32.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn back(half: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bf16 values whose sum is nearest to `x`, the same as [`split`] gives.
    fn parts(mut x: f32) -> [u16; 3] {
        std::array::from_fn(|_| {
            let part = nearest(x);
            x -= f32::from_bits(u32::from(part) << 16);
            part
        })
    }

    /// Round to nearest, ties to even; as the instruction does, subnormal numbers become zero.
    fn nearest(x: f32) -> u16 {
        let bits = x.to_bits();
        if x.is_nan() {
            return (bits >> 16) as u16 | 0x40;
        }
        if x.is_subnormal() {
            return ((bits >> 16) & 0x8000) as u16;
        }
        let odd = (bits >> 16) & 1;
        (bits.wrapping_add(0x7fff + odd) >> 16) as u16
    }

    #[test]
    fn each_part_holds_eight_bits() {
        for x in [1.0f32, -3.3, 1e-20, 65_504.1, 0.0, 123_456.8] {
            let mut sum = 0.0;
            for (part, bits) in parts(x).into_iter().zip([8, 16, 24]) {
                sum += f64::from(f32::from_bits(u32::from(part) << 16));
                let error = (sum - f64::from(x)).abs();
                assert!(error <= f64::from(x).abs() * 2f64.powi(-bits), "{x}: {error}");
            }
        }
    }

    #[test]
    fn vectors_split_as_scalars_do() {
        if !crate::Isa::Avx512Bf16.is_available() {
            eprintln!("skipped: this machine does not multiply bf16");
            return;
        }
        let x: Vec<f32> = (0..3 * 40).map(|i| (i as f32 * 0.37 - 20.0).sin() * 37.0).collect();
        let (plane, low) = (3 * 64, 2 * 3 * 64);
        let mut to = vec![0u8; 3 * low];
        // SAFETY: the level has the vector instructions; 3 pixels of 40 values, two planes.
        unsafe { pixels::<3>(3, 40, x.as_ptr(), to.as_mut_ptr(), low, plane) };
        for (i, &x) in x.iter().enumerate() {
            let (pixel, channel) = (i / 40, i % 40);
            let at = channel / 32 * plane + pixel * 64 + channel % 32 * 2;
            let part = |at: usize| u16::from_le_bytes([to[at], to[at + 1]]);
            assert_eq!([part(at), part(at + low), part(at + 2 * low)], parts(x));
        }
    }
}
