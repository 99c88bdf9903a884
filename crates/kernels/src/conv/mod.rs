//! Dense convolution on channels-last images, with bias, residual and activation fused.
//!
//! A window's rows are contiguous in channels-last memory, so a convolution is a matrix product
//! whose left operand is read straight from the (zero-padded) image: nothing is unfolded.

mod grad;
mod groups;
mod vector;
mod vector_grad;

pub use grad::{ConvGrad, images_of};
pub use groups::{GroupSizes, GroupedConv, GroupedConvGrad};

#[cfg(target_arch = "x86_64")]
use crate::bf16::{Multiplier, TileConv};
use crate::{Clamp, Isa, KernelError, Precision};
use vector::VectorConv;

/// Geometry of a convolution or pooling window over one image size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Input height and width in pixels.
    pub input: [usize; 2],
    /// Output height and width in pixels.
    pub output: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: usize,
    /// Zero pixels above and to the left.
    pub before: [usize; 2],
}

impl Window {
    /// One pixel to one pixel: a convolution with it is a matrix product.
    pub const PIXEL: Self =
        Self { input: [1, 1], output: [1, 1], kernel: [1, 1], stride: 1, before: [0, 0] };

    /// Height and width that the padded image must have for every window to lie inside.
    pub fn padded(&self) -> [usize; 2] {
        std::array::from_fn(|i| {
            let reach = (self.output[i] - 1) * self.stride + self.kernel[i];
            reach.max(self.before[i] + self.input[i])
        })
    }

    pub(crate) fn needs_padding(&self) -> bool {
        self.padded() != self.input
    }

    /// Pixels from a row to the next of an image with its border, of one phase of the stride.
    ///
    /// Without a stride, the border right of a row serves as the border left of the next.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn pitch(&self) -> usize {
        let across = self.output[1] + (self.kernel[1] - 1) / self.stride;
        if self.stride > 1 {
            return across;
        }
        let after = across.saturating_sub(self.before[1] + self.input[1]);
        across - after.min(self.before[1])
    }

    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.input, self.output, self.kernel].concat();
        if self.stride == 0 || sizes.contains(&0) {
            return Err(KernelError::Shape(format!("a window without extent: {self:?}")));
        }
        Ok(())
    }
}

/// Order in which the weights of a convolution lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `[outputs, inputs, kh, kw]`, as checkpoints hold them.
    Oihw,
    /// `[kh, kw, inputs, outputs]`, as gradients come out; fastest to pack.
    Hwio,
}

/// Sizes of a convolution, and where its output goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub window: Window,
    pub inputs: usize,
    pub outputs: usize,
    pub placement: Placement,
}

/// Where output pixel (y, x) of an image lies: `image·i + first + row·y + step·x`, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    pub image: usize,
    pub first: usize,
    pub row: usize,
    pub step: usize,
}

impl Geometry {
    /// Output pixels one after the other.
    pub fn new(window: Window, inputs: usize, outputs: usize) -> Self {
        let [height, width] = window.output;
        let placement = Placement { image: height * width, first: 0, row: width, step: 1 };
        Self { window, inputs, outputs, placement }
    }

    /// Whether output pixels, and the input pixels they are computed from, follow each other
    /// across rows and images.
    pub fn is_flat(&self) -> bool {
        let window = &self.window;
        let pointwise = window.kernel == [1, 1] && window.stride == 1 && !window.needs_padding();
        pointwise && self.is_dense()
    }

    /// Whether output pixels follow each other across rows and images.
    pub fn is_dense(&self) -> bool {
        let [height, width] = self.window.output;
        let Placement { image, row, step, .. } = self.placement;
        step == 1 && row == width && image == height * width
    }

    /// The window of output pixel `pixel`, counted over all images, as a row `[kh, kw, inputs]`.
    #[cfg(target_arch = "x86_64")]
    pub fn unfold(&self, images: &[f32], pixel: usize, values: &mut [f32]) {
        let Self { window, inputs, .. } = *self;
        let ([height, width], [kh, kw]) = (window.input, window.kernel);
        let [out_h, out_w] = window.output;
        let (image, y, x) = (pixel / (out_h * out_w), pixel / out_w % out_h, pixel % out_w);
        let image = &images[image * height * width * inputs..][..height * width * inputs];
        // Taps whose pixel lies in the image.
        let left = x * window.stride;
        let first = window.before[1].saturating_sub(left).min(kw);
        let last = (width + window.before[1]).saturating_sub(left).clamp(first, kw);
        for tap_y in 0..kh {
            let to = &mut values[tap_y * kw * inputs..][..kw * inputs];
            match (y * window.stride + tap_y).checked_sub(window.before[0]) {
                Some(row) if row < height && first < last => {
                    to[..first * inputs].fill(0.0);
                    to[last * inputs..].fill(0.0);
                    let from = row * width + left + first - window.before[1];
                    let len = (last - first) * inputs;
                    to[first * inputs..][..len].copy_from_slice(&image[from * inputs..][..len]);
                }
                _ => to.fill(0.0),
            }
        }
    }

    pub fn check(&self, isa: Isa, precision: Precision) -> Result<(), KernelError> {
        self.window.check()?;
        if self.inputs == 0 || self.outputs == 0 {
            return Err(KernelError::Shape("a convolution without channels".into()));
        }
        let can = precision == Precision::F32 || isa.has_bf16();
        if !can || !isa.is_available() {
            return Err(KernelError::Unavailable(if can { isa } else { Isa::Avx512Bf16 }));
        }
        Ok(())
    }

    fn weights(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.inputs * self.outputs
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.weights()
    }

    pub fn check_weights(&self, weight: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        let Self { window, inputs, outputs, .. } = *self;
        if weight.len() != self.weights() || bias.len() != outputs {
            let [kh, kw] = window.kernel;
            return Err(KernelError::Shape(format!(
                "a {outputs}×{inputs}×{kh}×{kw} convolution with {} weights and {} biases",
                weight.len(),
                bias.len()
            )));
        }
        Ok(())
    }

    /// Checks the lengths that a kernel reads and writes without asking again.
    fn check_run(&self, images: usize, input: &[f32], residual: Option<&[f32]>, output: &[f32]) {
        let [height, width] = self.window.input;
        let (taken, given) = (height * width * self.inputs, self.placement.image * self.outputs);
        assert!(input.len() >= images * taken, "convolution input is too short");
        assert!(output.len() >= images * given, "convolution output is too short");
        let long_enough = residual.is_none_or(|r| r.len() >= images * given);
        assert!(long_enough, "convolution residual is too short");
    }
}

/// Weights in any order: which value meets input channel `c` under tap `t` for output `o`.
pub(crate) struct Weights<'a> {
    pub data: &'a [f32],
    /// Start of each tap of the window, row by row; `None` is zero.
    pub taps: Vec<Option<usize>>,
    /// Steps from a channel to the next.
    pub input: usize,
    pub output: usize,
}

impl<'a> Weights<'a> {
    pub fn new(geometry: &Geometry, order: Order, data: &'a [f32]) -> Self {
        let (inputs, outputs) = (geometry.inputs, geometry.outputs);
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        match order {
            Order::Oihw => {
                let step = taps;
                let taps = (0..taps).map(Some).collect();
                Self { data, taps, input: step, output: step * inputs }
            }
            Order::Hwio => {
                let taps = (0..taps).map(|tap| Some(tap * inputs * outputs)).collect();
                Self { data, taps, input: outputs, output: 1 }
            }
        }
    }

    /// What output channels from `o` have at tap `t`, input channel `c`.
    #[inline]
    pub fn copy(&self, t: usize, c: usize, o: usize, to: &mut [f32]) {
        let Some(tap) = self.taps[t] else { return to.fill(0.0) };
        let at = tap + c * self.input + o * self.output;
        if self.output == 1 {
            to.copy_from_slice(&self.data[at..][..to.len()]);
        } else {
            let column = self.data[at..].iter().step_by(self.output);
            to.iter_mut().zip(column).for_each(|(to, &value)| *to = value);
        }
    }
}

/// A convolution with its weights packed for one instruction level and one image size.
pub struct Conv {
    geometry: Geometry,
    engine: Engine,
}

enum Engine {
    Vectors(Box<VectorConv>),
    #[cfg(target_arch = "x86_64")]
    Tiles(Box<TileConv>),
}

impl Conv {
    /// Packs `weight` `[outputs, inputs, kh, kw]` and `bias` `[outputs]`.
    pub fn new(
        isa: Isa,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        Self::with_precision(isa, Precision::F32, window, inputs, outputs, weight, bias)
    }

    /// As [`Conv::new`], in the given precision; any but f32 needs [`Isa::Avx512Bf16`] or more.
    pub fn with_precision(
        isa: Isa,
        precision: Precision,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        let mut conv = Self::planned(isa, precision, window, inputs, outputs)?;
        conv.pack(Order::Oihw, weight, bias)?;
        Ok(conv)
    }

    /// A convolution whose weights and bias are zero until [`Conv::pack`].
    pub fn planned(
        isa: Isa,
        precision: Precision,
        window: Window,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        Self::placed(isa, precision, Geometry::new(window, inputs, outputs))
    }

    pub(crate) fn placed(
        isa: Isa,
        precision: Precision,
        geometry: Geometry,
    ) -> Result<Self, KernelError> {
        geometry.check(isa, precision)?;
        #[cfg(target_arch = "x86_64")]
        if let Some(multiplier) = Multiplier::of(isa, precision)
            && TileConv::pays(&geometry, precision.parts())
        {
            let engine =
                Engine::Tiles(Box::new(TileConv::new(multiplier, geometry, precision.parts())));
            return Ok(Self { geometry, engine });
        }
        Ok(Self { geometry, engine: Engine::Vectors(Box::new(VectorConv::new(isa, geometry))) })
    }

    /// Brings other weights (`inputs · outputs · kh · kw` values) and biases (`outputs`); on the
    /// current rayon pool.
    pub fn pack(&mut self, order: Order, weight: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        self.geometry.check_weights(weight, bias)?;
        let weights = Weights::new(&self.geometry, order, weight);
        self.pack_weights(&weights, bias);
        Ok(())
    }

    fn pack_weights(&mut self, weights: &Weights<'_>, bias: &[f32]) {
        match &mut self.engine {
            Engine::Vectors(conv) => conv.pack(weights, bias),
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => conv.pack(weights, bias),
        }
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.geometry.window.input[0] * self.geometry.window.input[1] * self.geometry.inputs
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.geometry.window.output[0] * self.geometry.window.output[1] * self.geometry.outputs
    }

    /// Values of scratch that [`Conv::run`] needs for `images` images.
    pub fn scratch_len(&self, images: usize) -> usize {
        match &self.engine {
            Engine::Vectors(conv) => images * conv.padded_len(),
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => conv.scratch_len(),
        }
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> usize {
        self.geometry.multiply_adds()
    }

    /// `output = clamp(conv(input) + bias + residual)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is shorter than its `*_len` times `images`: a plan sized it wrongly.
    pub fn run(
        &self,
        images: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        self.geometry.check_run(images, input, residual, output);
        match &self.engine {
            Engine::Vectors(conv) => conv.run(images, input, residual, clamp, scratch, output),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `placed` made it because tiles are available; the lengths were checked.
            Engine::Tiles(conv) => unsafe {
                conv.run(images, input, residual, clamp, scratch, output);
            },
        }
    }
}
