//! Grouped convolution: each group of channels meets filters of its own (Krizhevsky et al. 2012;
//! Xie et al. 2017, arXiv:1611.05431).
//!
//! Groups are narrow, vectors are wide. So neighbouring groups are joined to bundles that fill a
//! vector, whose weights are a dense matrix with zeros where one group would meet another's input,
//! and a bundle's channels are copied together: the copy costs one load and one store for the
//! hundred products that follow, and any dense kernel can compute them.

use std::ops::Range;

use super::grad::parts_of;
use super::{Conv, ConvGrad, Order, Window};
use crate::{Clamp, Isa, KernelError, Precision};

/// Sizes of a grouped convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSizes {
    /// Input channels, a multiple of `groups`.
    pub inputs: usize,
    /// Output channels, a multiple of `groups`.
    pub outputs: usize,
    /// Groups.
    pub groups: usize,
}

/// Neighbouring groups and their channels.
#[derive(Clone)]
struct Bundle {
    groups: usize,
    inputs: Range<usize>,
    outputs: Range<usize>,
}

impl GroupSizes {
    fn check(&self) -> Result<(), KernelError> {
        let Self { inputs, outputs, groups } = *self;
        let divides = groups > 0 && inputs % groups == 0 && outputs % groups == 0;
        if !divides || inputs == 0 || outputs == 0 {
            return Err(KernelError::Shape(format!(
                "{groups} groups of {inputs} input and {outputs} output channels"
            )));
        }
        Ok(())
    }

    /// Input and output channels of one group.
    fn each(&self) -> [usize; 2] {
        [self.inputs / self.groups, self.outputs / self.groups]
    }

    /// As few groups a bundle as fill a vector on both sides.
    fn bundles(&self, isa: Isa) -> Vec<Bundle> {
        let lanes: usize = match isa {
            Isa::Neon => 4,
            Isa::Portable | Isa::Avx2 => 8,
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => 16,
        };
        let [inputs, outputs] = self.each();
        let joined = lanes.div_ceil(inputs.min(outputs));
        let starts = (0..self.groups).step_by(joined);
        let bundle = |first: usize| {
            let end = (first + joined).min(self.groups);
            Bundle {
                groups: end - first,
                inputs: first * inputs..end * inputs,
                outputs: first * outputs..end * outputs,
            }
        };
        starts.map(bundle).collect()
    }

    /// The bundles with what `plan` makes for their inputs and outputs.
    fn planned<T>(
        &self,
        isa: Isa,
        plan: impl Fn(usize, usize) -> Result<T, KernelError>,
    ) -> Result<Vec<(Bundle, T)>, KernelError> {
        self.check()?;
        let planned = self.bundles(isa).into_iter().map(|bundle| {
            let planned = plan(bundle.inputs.len(), bundle.outputs.len())?;
            Ok((bundle, planned))
        });
        planned.collect()
    }

    /// Calls `pair` for every weight of a bundle with its place in `[taps, inputs, outputs]` of the
    /// bundle, and with its tap, channel within its group, and output.
    fn for_weights(
        &self,
        taps: usize,
        bundle: &Bundle,
        mut pair: impl FnMut(usize, [usize; 3], usize),
    ) {
        let [inputs, outputs] = self.each();
        let [all_inputs, all_outputs] = [bundle.inputs.len(), bundle.outputs.len()];
        for tap in 0..taps {
            for group in 0..bundle.groups {
                for c in 0..inputs {
                    let row = (tap * all_inputs + group * inputs + c) * all_outputs;
                    let first = group * outputs;
                    pair(row + first, [tap, c, bundle.outputs.start + first], outputs);
                }
            }
        }
    }

    /// A bundle's dense weights `[taps, inputs, outputs]`.
    fn dense(&self, taps: usize, bundle: &Bundle, order: Order, weight: &[f32]) -> Vec<f32> {
        let inputs = self.each()[0];
        let mut dense = vec![0.0; taps * bundle.inputs.len() * bundle.outputs.len()];
        self.for_weights(taps, bundle, |at, [tap, c, o], n| {
            let to = &mut dense[at..at + n];
            match order {
                Order::Hwio => {
                    let from = (tap * inputs + c) * self.outputs + o;
                    to.copy_from_slice(&weight[from..from + n]);
                }
                Order::Oihw => {
                    for (i, to) in to.iter_mut().enumerate() {
                        *to = weight[((o + i) * inputs + c) * taps + tap];
                    }
                }
            }
        });
        dense
    }

    fn weights(&self, window: &Window) -> usize {
        window.kernel[0] * window.kernel[1] * self.each()[0] * self.outputs
    }
}

/// Copies some channels of every pixel together.
fn gather(from: &[f32], all: usize, channels: &Range<usize>, to: &mut [f32]) {
    let pixels = from.chunks_exact(all).zip(to.chunks_exact_mut(channels.len()));
    pixels.for_each(|(from, to)| to.copy_from_slice(&from[channels.clone()]));
}

/// A grouped convolution with its weights packed for one instruction level and one image size.
pub struct GroupedConv {
    sizes: GroupSizes,
    window: Window,
    bundles: Vec<(Bundle, Conv)>,
}

impl GroupedConv {
    /// A convolution whose weights and biases are zero until [`GroupedConv::pack`].
    ///
    /// # Errors
    /// Where the channels are no multiple of the groups, and as [`Conv::planned`].
    pub fn planned(
        isa: Isa,
        precision: Precision,
        window: Window,
        sizes: GroupSizes,
    ) -> Result<Self, KernelError> {
        let plan = |inputs, outputs| Conv::planned(isa, precision, window, inputs, outputs);
        let bundles = sizes.planned(isa, plan)?;
        Ok(Self { sizes, window, bundles })
    }

    /// Brings weights, `[outputs, inputs / groups, kh, kw]` or `[kh, kw, inputs / groups, outputs]`,
    /// and biases `[outputs]`.
    ///
    /// # Errors
    /// Where there are more or fewer of them.
    pub fn pack(&mut self, order: Order, weight: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        if weight.len() != self.sizes.weights(&self.window) || bias.len() != self.sizes.outputs {
            return Err(KernelError::Shape(format!(
                "{:?} with {} weights and {} biases",
                self.sizes,
                weight.len(),
                bias.len()
            )));
        }
        let taps = self.window.kernel[0] * self.window.kernel[1];
        for (bundle, conv) in &mut self.bundles {
            let dense = self.sizes.dense(taps, bundle, order, weight);
            conv.pack(Order::Hwio, &dense, &bias[bundle.outputs.clone()])?;
        }
        Ok(())
    }

    /// Values of scratch that [`GroupedConv::run`] needs for `images` images.
    pub fn scratch_len(&self, images: usize) -> usize {
        let len = |(_, conv): &(Bundle, Conv)| {
            images * (conv.input_len() + conv.output_len()) + conv.scratch_len(images)
        };
        self.bundles.iter().map(len).max().unwrap_or(0)
    }

    /// `output = clamp(conv(input) + bias)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    pub fn run(
        &self,
        images: usize,
        input: &[f32],
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let GroupSizes { inputs, outputs, .. } = self.sizes;
        let [h, w] = self.window.input;
        let [out_h, out_w] = self.window.output;
        let input = &input[..images * h * w * inputs];
        let output = &mut output[..images * out_h * out_w * outputs];
        if let [(_, conv)] = &self.bundles[..] {
            conv.run(images, input, None, clamp, scratch, output);
            return;
        }
        for (bundle, conv) in &self.bundles {
            let (x, scratch) = scratch.split_at_mut(images * conv.input_len());
            let (y, scratch) = scratch.split_at_mut(images * conv.output_len());
            gather(input, inputs, &bundle.inputs, x);
            conv.run(images, x, None, clamp, scratch, y);
            let pixels = output.chunks_exact_mut(outputs).zip(y.chunks_exact(bundle.outputs.len()));
            pixels.for_each(|(to, y)| to[bundle.outputs.clone()].copy_from_slice(y));
        }
    }
}

/// Plans the backward pass of a grouped convolution for one image size.
pub struct GroupedConvGrad {
    sizes: GroupSizes,
    window: Window,
    bundles: Vec<(Bundle, ConvGrad)>,
}

impl GroupedConvGrad {
    /// Plans the gradients of `GroupedConv::planned(isa, precision, window, sizes)`.
    ///
    /// # Errors
    /// As there.
    pub fn new(
        isa: Isa,
        precision: Precision,
        window: Window,
        sizes: GroupSizes,
    ) -> Result<Self, KernelError> {
        let plan = |inputs, outputs| ConvGrad::new(isa, precision, window, inputs, outputs);
        let bundles = sizes.planned(isa, plan)?;
        Ok(Self { sizes, window, bundles })
    }

    fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Pixels of an input and an output image.
    fn pixels(&self) -> [usize; 2] {
        [self.window.input, self.window.output].map(|[h, w]| h * w)
    }

    /// Brings the weights `[kh, kw, inputs / groups, outputs]` for [`GroupedConvGrad::input`].
    ///
    /// # Errors
    /// Where there are more or fewer of them.
    pub fn pack(&mut self, weight: &[f32]) -> Result<(), KernelError> {
        if weight.len() != self.sizes.weights(&self.window) {
            return Err(KernelError::Shape(format!("{} weights", weight.len())));
        }
        let taps = self.taps();
        for (bundle, grad) in &mut self.bundles {
            grad.pack(&self.sizes.dense(taps, bundle, Order::Hwio, weight))?;
        }
        Ok(())
    }

    /// Values of scratch that [`GroupedConvGrad::input`] and [`GroupedConvGrad::add`] need for
    /// `images` images.
    pub fn scratch_len(&self, images: usize) -> usize {
        let [x_pixels, y_pixels] = self.pixels();
        let len = |(bundle, grad): &(Bundle, ConvGrad)| {
            let copies = x_pixels * bundle.inputs.len() + y_pixels * bundle.outputs.len();
            images * copies + grad.input_scratch_len(images).max(grad.add_scratch_len())
        };
        self.bundles.iter().map(len).max().unwrap_or(0)
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
        let GroupSizes { inputs, outputs, .. } = self.sizes;
        let [x_pixels, y_pixels] = self.pixels();
        let dy = &dy[..images * y_pixels * outputs];
        let dx = &mut dx[..images * x_pixels * inputs];
        for (bundle, grad) in &self.bundles {
            let width = bundle.inputs.len();
            let (of_x, scratch) = scratch.split_at_mut(images * x_pixels * width);
            let (of_y, scratch) = scratch.split_at_mut(images * y_pixels * bundle.outputs.len());
            gather(dy, outputs, &bundle.outputs, of_y);
            grad.input(images, of_y, None, scratch, of_x);
            for (pixel, from) in of_x.chunks_exact(width).enumerate() {
                let at = pixel * inputs + bundle.inputs.start;
                let to = &mut dx[at..at + width];
                to.copy_from_slice(from);
                if let Some(add) = add {
                    to.iter_mut().zip(&add[at..at + width]).for_each(|(to, add)| *to += add);
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
        self.bundles.iter().map(|(_, grad)| grad.sums_len()).sum()
    }

    /// Adds the gradient over `images` images, `x` `[images, h, w, inputs]` and `dy` `[images,
    /// out_h, out_w, outputs]`, to a part's sums (zero at first); on this thread.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    pub fn add(&self, images: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        let GroupSizes { inputs, outputs, .. } = self.sizes;
        let [x_pixels, y_pixels] = self.pixels();
        let x = &x[..images * x_pixels * inputs];
        let dy = &dy[..images * y_pixels * outputs];
        let mut rest = sums;
        for (bundle, grad) in &self.bundles {
            let (sums, others) = rest.split_at_mut(grad.sums_len());
            rest = others;
            let (of_x, scratch) = scratch.split_at_mut(images * x_pixels * bundle.inputs.len());
            let (of_y, scratch) = scratch.split_at_mut(images * y_pixels * bundle.outputs.len());
            gather(x, inputs, &bundle.inputs, of_x);
            gather(dy, outputs, &bundle.outputs, of_y);
            grad.add(images, of_x, of_y, scratch, sums);
        }
    }

    /// Adds the parts' sums, one after the other, in order: `dw` `[kh, kw, inputs / groups,
    /// outputs]`; on the current pool.
    ///
    /// # Panics
    /// When a slice is too short: a plan sized it wrongly.
    pub fn collect(&self, sums: &[f32], dw: &mut [f32]) {
        let (taps, len) = (self.taps(), self.sums_len());
        let inputs = self.sizes.each()[0];
        let mut first = 0;
        for (bundle, grad) in &self.bundles {
            let mine = first..first + grad.sums_len();
            first = mine.end;
            let parts: Vec<&[f32]> = sums.chunks_exact(len).map(|p| &p[mine.clone()]).collect();
            let mut dense = vec![0.0; taps * bundle.inputs.len() * bundle.outputs.len()];
            grad.collect_from(&parts, &mut dense);
            // What stands between two groups is no weight.
            self.sizes.for_weights(taps, bundle, |at, [tap, c, o], n| {
                let to = (tap * inputs + c) * self.sizes.outputs + o;
                dw[to..to + n].copy_from_slice(&dense[at..at + n]);
            });
        }
    }
}
