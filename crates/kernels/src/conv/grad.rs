//! Gradients of a dense convolution with respect to its input and its weights.

use std::ops::Range;

use rayon::prelude::*;

use super::vector_grad::VectorWeightGrad;
use super::{Conv, Geometry, Placement, Weights, Window};
#[cfg(target_arch = "x86_64")]
use crate::bf16::{Multiplier, TileWeightGrad};
use crate::{Clamp, Isa, KernelError, Precision};

/// Sums over images are formed in this many bytes of parts at most, each over its own images and
/// added in order: the number of parts depends on sizes alone, so that bits do not depend on threads.
const PARTIAL_BYTES: usize = 4 << 20;

/// Parts at least (given as many images), and at most.
const PARTS: Range<usize> = 2..8;

/// Plans the backward pass of a convolution for one image size.
pub struct ConvGrad {
    geometry: Geometry,
    classes: Vec<Class>,
    engine: WeightEngine,
}

enum WeightEngine {
    Vectors(VectorWeightGrad),
    #[cfg(target_arch = "x86_64")]
    Tiles(TileWeightGrad),
}

/// Input pixels that meet the same taps: one class for each residue of their place modulo the
/// stride. Within a class, the gradient is a convolution of the output's gradient, without stride,
/// with the taps in reverse: it gathers, so that every value is written once.
struct Class {
    /// First pixel (row, column) of the class, and pixels down and across.
    first: [usize; 2],
    size: [usize; 2],
    /// Taps in the order in which the reverse window meets them; `None` lies outside the window.
    taps: Vec<Option<usize>>,
    /// `None` where no window reaches.
    conv: Option<Conv>,
}

/// One axis of a class: first pixel, pixels, border before, taps in reverse.
fn axis(window: &Window, i: usize, residue: usize) -> (usize, usize, usize, Vec<Option<usize>>) {
    let (s, before, kernel) = (window.stride, window.before[i], window.kernel[i]);
    // Pixels y with (y + before) ≡ residue (mod s).
    let first = (residue + s - before % s) % s;
    let count = window.input[i].saturating_sub(first).div_ceil(s);
    // Pixel `first` is seen by output `start` under tap `residue`, by `start − 1` under the next.
    let start = (first + before - residue) / s;
    let mut taps: Vec<_> = (residue..kernel).step_by(s).map(Some).collect();
    // Outputs before `start` that no tap reaches would need a negative border: give them a tap
    // without weight instead.
    while !taps.is_empty() && taps.len() < start + 1 {
        taps.push(None);
    }
    taps.reverse();
    let border = taps.len().saturating_sub(start + 1);
    (first, count, border, taps)
}

impl ConvGrad {
    /// Plans the gradients of `Conv::planned(isa, precision, window, inputs, outputs)`.
    pub fn new(
        isa: Isa,
        precision: Precision,
        window: Window,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        let geometry = Geometry::new(window, inputs, outputs);
        geometry.check(isa, precision)?;
        let s = window.stride;
        let mut classes = Vec::new();
        for residue_y in 0..s {
            for residue_x in 0..s {
                let (y, height, top, down) = axis(&window, 0, residue_y);
                let (x, width, left, across) = axis(&window, 1, residue_x);
                if height == 0 || width == 0 {
                    continue;
                }
                let reverse = Window {
                    input: window.output,
                    output: [height, width],
                    kernel: [down.len(), across.len()],
                    stride: 1,
                    before: [top, left],
                };
                let placement = Placement {
                    image: window.input[0] * window.input[1],
                    first: y * window.input[1] + x,
                    row: s * window.input[1],
                    step: s,
                };
                let reached = !down.is_empty() && !across.is_empty();
                let conv = if reached {
                    let geometry =
                        Geometry { window: reverse, inputs: outputs, outputs: inputs, placement };
                    Some(Conv::placed(isa, precision, geometry)?)
                } else {
                    None
                };
                let tap = |y: Option<usize>, x: Option<usize>| Some(y? * window.kernel[1] + x?);
                let taps = down.iter().flat_map(|&y| across.iter().map(move |&x| tap(y, x)));
                let taps = taps.collect();
                classes.push(Class { first: [y, x], size: [height, width], taps, conv });
            }
        }
        #[cfg(target_arch = "x86_64")]
        let engine = match Multiplier::of(isa, precision) {
            Some(multiplier) if TileWeightGrad::pays(&geometry, precision.parts()) => {
                WeightEngine::Tiles(TileWeightGrad::new(multiplier, geometry, precision.parts()))
            }
            _ => WeightEngine::Vectors(VectorWeightGrad::new(isa, geometry)),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let engine = WeightEngine::Vectors(VectorWeightGrad::new(isa, geometry));
        Ok(Self { geometry, classes, engine })
    }

    /// Brings the weights `[kh, kw, inputs, outputs]` for [`ConvGrad::input`]; on the current pool.
    pub fn pack(&mut self, weight: &[f32]) -> Result<(), KernelError> {
        let Geometry { inputs, outputs, .. } = self.geometry;
        if weight.len() != self.geometry.weights() {
            return Err(KernelError::Shape(format!("{} weights", weight.len())));
        }
        let bias = vec![0.0; inputs];
        for class in &mut self.classes {
            let Some(conv) = &mut class.conv else { continue };
            let taps = class.taps.iter().map(|tap| tap.map(|tap| tap * inputs * outputs)).collect();
            // What was the output is summed over now.
            conv.pack_weights(&Weights { data: weight, taps, input: 1, output: outputs }, &bias);
        }
        Ok(())
    }

    /// Values of scratch that [`ConvGrad::input`] needs for `images` images.
    pub fn input_scratch_len(&self, images: usize) -> usize {
        let convs = self.classes.iter().filter_map(|class| class.conv.as_ref());
        convs.map(|conv| conv.scratch_len(images)).max().unwrap_or(0)
    }

    /// `dx = gradient with respect to the input + add`, `[images, h, w, inputs]`, from `dy`
    /// `[images, out_h, out_w, outputs]`; on this thread.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    pub fn input(
        &self,
        images: usize,
        dy: &[f32],
        add: Option<&[f32]>,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        let Geometry { window, inputs, .. } = self.geometry;
        let [height, width] = window.input;
        for class in &self.classes {
            if let Some(conv) = &class.conv {
                conv.run(images, dy, add, Clamp::NONE, scratch, dx);
                continue;
            }
            for image in 0..images {
                for y in 0..class.size[0] {
                    for x in 0..class.size[1] {
                        let row = image * height + class.first[0] + y * window.stride;
                        let at = (row * width + class.first[1] + x * window.stride) * inputs;
                        match add {
                            Some(add) => dx[at..][..inputs].copy_from_slice(&add[at..][..inputs]),
                            None => dx[at..][..inputs].fill(0.0),
                        }
                    }
                }
            }
        }
    }

    /// Parts over whose images sums of the weights' gradient are formed side by side: a power of
    /// two that depends on sizes alone.
    pub fn parts(&self, images: usize) -> usize {
        parts_of(self.sums_len(), images)
    }

    /// Values of one part's sums.
    pub fn sums_len(&self) -> usize {
        match &self.engine {
            WeightEngine::Vectors(grad) => grad.sums_len(),
            #[cfg(target_arch = "x86_64")]
            WeightEngine::Tiles(grad) => grad.sums_len(),
        }
    }

    /// Values of scratch that [`ConvGrad::add`] needs.
    pub fn add_scratch_len(&self) -> usize {
        match &self.engine {
            WeightEngine::Vectors(_) => 0,
            #[cfg(target_arch = "x86_64")]
            WeightEngine::Tiles(grad) => grad.scratch_len(),
        }
    }

    /// Adds the gradient over `images` images, `x` `[images, h, w, inputs]` and `dy` `[images,
    /// out_h, out_w, outputs]`, to a part's sums (zero at first); on this thread.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "only matrix tiles need scratch")
    )]
    pub fn add(&self, images: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        let Geometry { window, inputs, outputs, .. } = self.geometry;
        let x = &x[..images * window.input[0] * window.input[1] * inputs];
        let dy = &dy[..images * window.output[0] * window.output[1] * outputs];
        match &self.engine {
            WeightEngine::Vectors(grad) => grad.add(images, x, dy, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `new` made it because tiles are available; the lengths are exact.
            WeightEngine::Tiles(grad) => unsafe { grad.add(images, x, dy, scratch, sums) },
        }
    }

    /// Values of scratch that [`ConvGrad::weight`] needs for `images` images.
    pub fn weight_scratch_len(&self, images: usize) -> usize {
        self.parts(images) * (self.sums_len() + self.add_scratch_len())
    }

    /// `dw = gradient with respect to the weights`, `[kh, kw, inputs, outputs]`, over all images: the
    /// parts side by side on the current pool.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    pub fn weight(
        &self,
        images: usize,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        dw: &mut [f32],
    ) {
        let (parts, len) = (self.parts(images), self.sums_len());
        let each = len + self.add_scratch_len();
        let [x_len, y_len] = [x.len() / images.max(1), dy.len() / images.max(1)];
        let scratch = &mut scratch[..parts * each];
        scratch.par_chunks_exact_mut(each).enumerate().for_each(|(part, scratch)| {
            let range = images_of(part, parts, images);
            let (sums, scratch) = scratch.split_at_mut(len);
            sums.fill(0.0);
            let (x, dy) = (&x[range.start * x_len..], &dy[range.start * y_len..]);
            self.add(range.len(), x, dy, scratch, sums);
        });
        let sums: Vec<&[f32]> = scratch.chunks_exact(each).map(|part| &part[..len]).collect();
        self.collect_from(&sums, dw);
    }

    /// Adds the parts' sums, one after the other, in order: `dw` `[kh, kw, inputs, outputs]`; on the
    /// current pool.
    pub fn collect(&self, sums: &[f32], dw: &mut [f32]) {
        let sums: Vec<&[f32]> = sums.chunks_exact(self.sums_len()).collect();
        self.collect_from(&sums, dw);
    }

    pub(super) fn collect_from(&self, parts: &[&[f32]], dw: &mut [f32]) {
        let Geometry { inputs, outputs, .. } = self.geometry;
        // A tile's sums have more columns than there are outputs.
        let (row, rows_of_tap) = match &self.engine {
            WeightEngine::Vectors(_) => (outputs, inputs),
            #[cfg(target_arch = "x86_64")]
            WeightEngine::Tiles(grad) => grad.sums_shape(),
        };
        let dw = &mut dw[..self.geometry.weights()];
        dw.par_chunks_mut(outputs).enumerate().with_min_len(64).for_each(|(i, dw)| {
            let at = (i / inputs * rows_of_tap + i % inputs) * row;
            for (part, sums) in parts.iter().enumerate() {
                let sums = &sums[at..][..outputs];
                if part == 0 {
                    dw.copy_from_slice(sums);
                } else {
                    dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum);
                }
            }
        });
    }
}

/// Parts for so many sums: a power of two.
pub(super) fn parts_of(sums_len: usize, images: usize) -> usize {
    let fitting = PARTIAL_BYTES / (4 * sums_len);
    let parts = fitting.clamp(PARTS.start, PARTS.end).min(images).max(1);
    1 << parts.ilog2()
}

/// The images of part `part` of `parts`.
pub fn images_of(part: usize, parts: usize, images: usize) -> Range<usize> {
    part * images / parts..(part + 1) * images / parts
}
