//! Pixels on their way into the strip that tiles read.

use super::run::Run;
use crate::Line;
use crate::bf16::split;

/// Pixels of an image as planes of bf16 lines.
pub(super) trait Pixels: Copy {
    /// Writes `count` pixels from `first` on.
    ///
    /// # Safety
    /// The pixels lie within the images; `to` holds `count` rows of 64 bytes in each plane of each
    /// part, planes `plane` and parts `low` bytes apart.
    unsafe fn write<const PARTS: usize>(
        self,
        first: usize,
        count: usize,
        to: *mut u8,
        low: usize,
        plane: usize,
    );
}

#[derive(Clone, Copy)]
pub(super) struct Values(*const f32, usize);

impl Values {
    pub fn of(run: &Run<'_>, input: &[f32]) -> Self {
        Self(input.as_ptr(), run.conv.geometry.inputs)
    }
}

impl Pixels for Values {
    #[inline(always)]
    unsafe fn write<const PARTS: usize>(
        self,
        first: usize,
        count: usize,
        to: *mut u8,
        low: usize,
        plane: usize,
    ) {
        // SAFETY: passed on.
        unsafe { split::pixels::<PARTS>(count, self.1, self.0.add(first * self.1), to, low, plane) }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Lines(*const Line, usize);

impl Lines {
    pub fn of(run: &Run<'_>, input: &[Line]) -> Self {
        Self(input.as_ptr(), run.conv.shape.planes)
    }
}

impl Pixels for Lines {
    #[inline(always)]
    unsafe fn write<const PARTS: usize>(
        self,
        first: usize,
        count: usize,
        to: *mut u8,
        _: usize,
        plane: usize,
    ) {
        let Self(from, planes) = self;
        // SAFETY: passed on.
        unsafe {
            let from = from.add(first * planes);
            for block in 0..planes {
                let to = to.add(block * plane).cast::<Line>();
                for pixel in 0..count {
                    *to.add(pixel) = *from.add(pixel * planes + block);
                }
            }
        }
    }
}
