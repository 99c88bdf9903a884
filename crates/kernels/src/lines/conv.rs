//! Dense convolution from lines to lines, through matrix tiles.

use super::Line;
#[cfg(target_arch = "x86_64")]
use crate::bf16::{ConvSource, ConvTarget, Multiplier, TileConv};
use crate::conv::{Geometry, Order, Weights, Window};
use crate::{Activation, Clamp, Isa, KernelError, Precision};

/// Below this many channels, f32 pixels are read as they are: a line of them would be mostly zeros.
const FEW: usize = 16;

/// A dense convolution (or, on images of one pixel, a matrix) from or to lines; its operands are rounded
/// to bf16, its sums are f32.
pub struct LinesConv {
    geometry: Geometry,
    reads: Reads,
    engine: Engine,
}

/// What a convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Lines,
    Values,
}

/// Without matrix tiles there is none.
enum Engine {
    #[cfg(target_arch = "x86_64")]
    Tiles(Box<TileConv>),
}

impl LinesConv {
    /// Packs `weight` `[outputs, inputs, kh, kw]` and `bias` `[outputs]` for an input of lines.
    ///
    /// # Errors
    /// Where the level has no matrix tiles, or sizes do not fit.
    pub fn new(
        isa: Isa,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        let geometry = Geometry::new(window, inputs, outputs);
        Self::packed(isa, geometry, weight, bias, Reads::Lines)
    }

    /// The same for an input of f32 pixels.
    ///
    /// # Errors
    /// As [`LinesConv::new`].
    pub fn of_values(
        isa: Isa,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        let geometry = Geometry::new(window, inputs, outputs);
        Self::packed(isa, geometry, weight, bias, Reads::Values)
    }

    /// Whether f32 pixels are better read as they are: lines of so few channels are mostly zeros.
    #[must_use]
    pub fn prefers_values(inputs: usize) -> bool {
        inputs < FEW
    }

    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, unreachable_code))]
    fn packed(
        isa: Isa,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        reads: Reads,
    ) -> Result<Self, KernelError> {
        geometry.check(isa, Precision::Bf16)?;
        geometry.check_weights(weight, bias)?;
        let weights = Weights::new(&geometry, Order::Oihw, weight);
        #[cfg(target_arch = "x86_64")]
        if let Some(multiplier) = Multiplier::of(isa, Precision::Bf16) {
            let mut conv = Box::new(match reads {
                Reads::Lines => TileConv::of_lines(multiplier, geometry),
                Reads::Values if Self::prefers_values(geometry.inputs) => {
                    TileConv::of_few_values(multiplier, geometry)
                }
                Reads::Values => TileConv::new(multiplier, geometry, 1),
            });
            conv.pack(&weights, bias);
            return Ok(Self { geometry, reads, engine: Engine::Tiles(conv) });
        }
        Err(KernelError::Unavailable(Isa::Avx512Bf16))
    }

    /// Values of f32 scratch that a run needs.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => conv.scratch_len(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => 0,
        }
    }

    /// Multiply-adds for one image.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.geometry.multiply_adds()
    }

    /// `output = clamp(conv(input) + bias + residual)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is too short, or the convolution reads values: a plan is wrong.
    pub fn run(
        &self,
        images: usize,
        input: &[Line],
        residual: Option<&[Line]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [Line],
    ) {
        self.check_lines(images, input);
        let given = self.check_output(images, output.len(), true);
        let long_enough = residual.is_none_or(|residual| residual.len() >= given);
        assert!(long_enough, "convolution residual is too short");
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => {
                let target = ConvTarget::lines(residual, output);
                let (source, finish) = (ConvSource::Lines(input), (clamp, Activation::None));
                // SAFETY: `packed` saw that tiles are available; kind and lengths were checked.
                unsafe { conv.run_from(images, source, target, finish, scratch) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => {}
        }
    }

    /// `output = act(conv(input) + bias)` from f32 pixels `[images, h, w, inputs]`.
    ///
    /// # Panics
    /// When a slice is too short, or the convolution reads lines.
    pub fn run_from_values(
        &self,
        images: usize,
        input: &[f32],
        (clamp, act): (Clamp, Activation),
        scratch: &mut [f32],
        output: &mut [Line],
    ) {
        assert_eq!(self.reads, Reads::Values, "a convolution of lines was given values");
        let [height, width] = self.geometry.window.input;
        let taken = images * height * width * self.geometry.inputs;
        assert!(input.len() >= taken, "convolution input is too short");
        self.check_output(images, output.len(), true);
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => {
                let target = ConvTarget::lines(None, output);
                let source = ConvSource::Values(input);
                // SAFETY: as in `run`.
                unsafe { conv.run_from(images, source, target, (clamp, act), scratch) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => {}
        }
    }

    /// `output = conv(input) + bias + residual` as f32 pixels `[images, h, w, outputs]`.
    ///
    /// # Panics
    /// As [`LinesConv::run`].
    pub fn run_to_values(
        &self,
        images: usize,
        input: &[Line],
        residual: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        self.check_lines(images, input);
        let given = self.check_output(images, output.len(), false);
        let long_enough = residual.is_none_or(|residual| residual.len() >= given);
        assert!(long_enough, "convolution residual is too short");
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Tiles(conv) => {
                let target = ConvTarget::values(residual, output);
                let (source, finish) = (ConvSource::Lines(input), (Clamp::NONE, Activation::None));
                // SAFETY: as in `run`.
                unsafe { conv.run_from(images, source, target, finish, scratch) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => {}
        }
    }

    fn check_lines(&self, images: usize, input: &[Line]) {
        assert_eq!(self.reads, Reads::Lines, "a convolution of values was given lines");
        let [height, width] = self.geometry.window.input;
        let taken = images * height * width * Line::per_pixel(self.geometry.inputs);
        assert!(input.len() >= taken, "convolution input is too short");
    }

    /// Lines (or values) of the output, of which there must be `len`.
    fn check_output(&self, images: usize, len: usize, lines: bool) -> usize {
        let [height, width] = self.geometry.window.output;
        let outputs = self.geometry.outputs;
        let each = if lines { Line::per_pixel(outputs) } else { outputs };
        let given = images * height * width * each;
        assert!(len >= given, "convolution output is too short");
        given
    }
}
