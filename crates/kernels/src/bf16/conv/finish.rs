//! The last step of a block of sums: bias, residual, clamp and activation, before the only write.

use std::arch::x86_64::*;

use super::PANEL;
use super::run::{Run, Sums, Target, Unit};
use crate::bf16::product::SIDE;
use crate::bf16::split;
use crate::simd::Avx512;
use crate::{Activation, Line};

// Every function below runs with the multiplier made ready, on addresses that `TileConv::run` checked.
impl Run<'_> {
    /// Adds bias and residual to `rows` rows of sums, clamps and writes those that are pixels.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn finish(
        &self,
        unit: &Unit,
        first: usize,
        rows: usize,
        column: usize,
        sums: &Sums,
    ) {
        let pitch = self.conv.shape.pitch;
        let place = &self.conv.geometry.placement;
        let (mut y, mut x) = (first / pitch, first % pitch);
        let mut done = 0;
        while done < rows {
            let count = unit.row.saturating_sub(x).min(rows - done);
            let start = unit.start + y * place.row + x * place.step;
            let sums = &sums.0[done * PANEL..][..count * PANEL];
            // SAFETY: these pixels lie within the images.
            unsafe {
                match self.target {
                    Target::Values { residual, output } => {
                        self.finish_values(start, column, sums, residual, output);
                    }
                    Target::Lines { residual, output } if self.act == Activation::None => {
                        self.finish_lines(start, column, sums, residual, output);
                    }
                    Target::Lines { residual, output } => {
                        self.activate_lines(start, column, sums, residual, output);
                    }
                }
            }
            done += count;
            x += count;
            if x >= unit.row {
                // The rest of the pitch is border.
                done += pitch - x;
                (x, y) = (0, y + 1);
            }
        }
    }

    /// Finishes sums of pixels from `start` on, as values.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn finish_values(
        &self,
        start: usize,
        column: usize,
        sums: &[f32],
        residual: *const f32,
        output: *mut f32,
    ) {
        let (outputs, step) = (self.conv.geometry.outputs, self.conv.geometry.placement.step);
        let columns = (outputs - column).min(PANEL);
        let masks = split::halves(columns);
        // SAFETY: bias and sums are whole panels; masked lanes are neither read nor written.
        unsafe {
            let bias = self.conv.bias.as_ptr().add(column);
            let bias = [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))];
            let (low, high) = (_mm512_set1_ps(self.clamp.low), _mm512_set1_ps(self.clamp.high));
            for (i, sums) in sums.chunks_exact(PANEL).enumerate() {
                let at = (start + i * step) * outputs + column;
                for tile in 0..columns.div_ceil(SIDE) {
                    let at = at + tile * SIDE;
                    let sums = sums.as_ptr().add(tile * SIDE);
                    let mut v = _mm512_add_ps(_mm512_loadu_ps(sums), bias[tile]);
                    if !residual.is_null() {
                        let residual = residual.add(at);
                        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(masks[tile], residual));
                    }
                    // The value comes second, so that a NaN stays.
                    v = _mm512_min_ps(high, _mm512_max_ps(low, v));
                    _mm512_mask_storeu_ps(output.add(at), masks[tile], v);
                }
            }
        }
    }

    /// Finishes sums of pixels from `start` on, as lines.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn finish_lines(
        &self,
        start: usize,
        column: usize,
        sums: &[f32],
        residual: *const Line,
        output: *mut Line,
    ) {
        let planes = self.conv.geometry.outputs.div_ceil(PANEL);
        let held = self.held(column);
        // SAFETY: bias and sums are whole panels, and a panel's outputs are a line.
        unsafe {
            let bias = self.bias(column);
            for (i, sums) in sums.chunks_exact(PANEL).enumerate() {
                let at = (start + i) * planes + column / PANEL;
                let sums = self.finished(sums.as_ptr(), bias, residual, at);
                store_line(output.add(at), sums, held);
            }
        }
    }

    /// The same with an activation.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
    unsafe fn activate_lines(
        &self,
        start: usize,
        column: usize,
        sums: &[f32],
        residual: *const Line,
        output: *mut Line,
    ) {
        let planes = self.conv.geometry.outputs.div_ceil(PANEL);
        let (act, held) = (self.act, self.held(column));
        // SAFETY: as above.
        unsafe {
            let bias = self.bias(column);
            for (i, sums) in sums.chunks_exact(PANEL).enumerate() {
                let at = (start + i) * planes + column / PANEL;
                let [a, b] = self.finished(sums.as_ptr(), bias, residual, at);
                store_line(output.add(at), [act.of::<Avx512>(a), act.of::<Avx512>(b)], held);
            }
        }
    }

    /// A pixel's sums with bias and residual, clamped.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn finished(
        &self,
        sums: *const f32,
        bias: [__m512; 2],
        residual: *const Line,
        at: usize,
    ) -> [__m512; 2] {
        // SAFETY: a panel of sums, and a line of the residual if there is one.
        unsafe {
            let mut a = _mm512_add_ps(_mm512_loadu_ps(sums), bias[0]);
            let mut b = _mm512_add_ps(_mm512_loadu_ps(sums.add(16)), bias[1]);
            if !residual.is_null() {
                let residual = _mm512_load_si512(residual.add(at).cast());
                a = _mm512_add_ps(a, split::back(_mm512_castsi512_si256(residual)));
                b = _mm512_add_ps(b, split::back(_mm512_extracti64x4_epi64::<1>(residual)));
            }
            split::clamped([a, b], self.clamp)
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn bias(&self, column: usize) -> [__m512; 2] {
        // SAFETY: whole panels of biases.
        unsafe {
            let bias = self.conv.bias.as_ptr().add(column);
            [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))]
        }
    }

    /// Lanes of the line at `column` that are outputs; the others are zero.
    fn held(&self, column: usize) -> u32 {
        u32::MAX >> (PANEL - (self.conv.geometry.outputs - column).min(PANEL))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn store_line(to: *mut Line, [a, b]: [__m512; 2], held: u32) {
    // SAFETY: the caller's line.
    unsafe {
        let line = _mm512_maskz_mov_epi16(held, split::bits(_mm512_cvtne2ps_pbh(b, a)));
        _mm512_store_si512(to.cast(), line);
    }
}
