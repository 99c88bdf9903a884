//! Dense convolution through tiles of bf16.
//!
//! The image is split into bf16 parts, in planes of 32 channels, with its zero border and, for a
//! stride, one sub-image for each phase of the window. In that form the 16 output pixels of a tile
//! read 16 neighbouring rows of 64 bytes for every tap: tiles run over the border between image
//! rows, and what they compute there is dropped.

mod finish;
mod pack;
mod pixels;
mod run;
mod shape;

use super::product::{DEPTH, SIDE, TILE_BYTES};
use super::{Multiplier, aligned};
use crate::conv::Geometry;
use crate::{Activation, Clamp, Line};
use run::Run;
pub(crate) use run::{Source, Target};
use shape::{Layout, MIN_CHANNELS, Shape};

/// Columns of a panel: two tiles side by side.
const PANEL: usize = 2 * SIDE;

/// A convolution with its weights packed for tiles and one image size.
pub(crate) struct TileConv {
    multiplier: Multiplier,
    geometry: Geometry,
    /// bf16 parts whose sum an operand is.
    parts: usize,
    shape: Shape,
    /// For each block of 32 values of the sum, bytes from a pixel to its rows.
    offsets: Vec<usize>,
    /// `[panels, blocks, parts, tiles, 16, 16, 2]` bf16, aligned by its type.
    panels: Vec<Line>,
    /// `[panels, PANEL]`.
    bias: Vec<f32>,
}

impl TileConv {
    /// Whether tiles are faster than vectors, measured with `examples/kernel_speed`: splitting
    /// the input must be made up for by many outputs, and sums of a few values waste blocks of 32.
    pub fn pays(geometry: &Geometry, parts: usize) -> bool {
        let Geometry { window, inputs, outputs, .. } = *geometry;
        let taps = window.kernel[0] * window.kernel[1] * inputs;
        if inputs < MIN_CHANNELS && window.kernel != [1, 1] {
            // Unfolding costs more than it brings where six products follow.
            return parts < 3 && taps >= 128 && geometry.is_dense();
        }
        taps >= DEPTH && (parts < 3 || outputs >= DEPTH)
    }

    /// Plans for one image size; [`TileConv::pack`] brings the weights. The sizes were checked.
    pub fn new(multiplier: Multiplier, geometry: Geometry, parts: usize) -> Self {
        Self::shaped(multiplier, geometry, Shape::new(&geometry, parts), parts)
    }

    /// Plans for one size of images in bf16 lines.
    pub fn of_lines(multiplier: Multiplier, geometry: Geometry) -> Self {
        Self::shaped(multiplier, geometry, Shape::of_lines(&geometry), 1)
    }

    /// Plans for one size of f32 images with few channels, in bf16.
    pub fn of_few_values(multiplier: Multiplier, geometry: Geometry) -> Self {
        Self::shaped(multiplier, geometry, Shape::sliding(&geometry), 1)
    }

    fn shaped(multiplier: Multiplier, geometry: Geometry, shape: Shape, parts: usize) -> Self {
        let Geometry { window, outputs, .. } = geometry;
        let [kh, kw] = window.kernel;
        let s = window.stride;
        let mut offsets = Vec::new();
        for plane in 0..shape.planes {
            let start = plane * shape.plane;
            match shape.layout {
                Layout::Rows => {}
                Layout::Flat { .. } => {
                    offsets.push(start * 64);
                    continue;
                }
                Layout::Lines => {
                    offsets.push(plane * 64);
                    continue;
                }
                Layout::Sliding { blocks } => {
                    offsets.push(plane / blocks * shape.phase * 2 + plane % blocks * 64);
                    continue;
                }
            }
            for y in 0..kh {
                for x in 0..kw {
                    let phase = y % s * shape.phases[1] + x % s;
                    let pixel = phase * shape.phase + y / s * shape.pitch + x / s;
                    offsets.push((start + pixel) * 64);
                }
            }
        }
        let tiles = outputs.div_ceil(SIDE);
        let panels = vec![Line([0; 32]); tiles * offsets.len() * parts * (TILE_BYTES / 64)];
        let bias = vec![0.0; outputs.div_ceil(PANEL) * PANEL];
        Self { multiplier, geometry, parts, shape, offsets, panels, bias }
    }

    /// Values of scratch that [`TileConv::run`] needs, however many images there are.
    pub fn scratch_len(&self) -> usize {
        let unfolded = if self.shape.layout == (Layout::Flat { unfold: true }) {
            self.shape.planes * DEPTH
        } else {
            0
        };
        // Up to 15 values are lost to alignment.
        self.shape.planes * self.shape.plane * self.parts * 16 + 16 + unfolded
    }

    /// `output = clamp(conv(input) + bias + residual)`; the caller checked all lengths.
    ///
    /// # Safety
    /// The multiplier is available; `input`, `residual` and `output` hold `images` images.
    pub unsafe fn run(
        &self,
        images: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let target = Target::values(residual, output);
        // SAFETY: passed on.
        unsafe {
            self.run_from(
                images,
                Source::Values(input),
                target,
                (clamp, Activation::None),
                scratch,
            );
        }
    }

    /// The same between values and lines; the activation, if any, follows the clamp on the way into
    /// lines.
    ///
    /// # Safety
    /// The multiplier is available; `source` and `target` hold `images` images, and `source` is of the kind
    /// that the plan was made for.
    pub unsafe fn run_from(
        &self,
        images: usize,
        source: Source<'_>,
        target: Target,
        (clamp, act): (Clamp, Activation),
        scratch: &mut [f32],
    ) {
        let (scratch, unfolded) = aligned(scratch, self.scratch_len());
        let low = self.shape.planes * self.shape.plane * 64;
        let run = Run { conv: self, source, target, clamp, act, strip: scratch, low, unfolded };
        // SAFETY: the multiplier is available, and with it all vector instructions used below.
        unsafe {
            let _ready = self.multiplier.ready();
            match self.parts {
                1 => run.strips::<1>(images),
                2 => run.strips::<2>(images),
                _ => run.strips::<3>(images),
            }
        }
    }
}
