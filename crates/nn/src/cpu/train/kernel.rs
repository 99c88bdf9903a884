//! The convolutions that a layer may hold, forward and backward.

use offshoot_kernels::{
    Clamp, Conv, ConvGrad, Depthwise, DepthwiseGrad, GroupedConv, GroupedConvGrad, Order,
};

use super::buffers::Buffers;
use crate::Result;

/// One convolution with the gradients of its input and weights.
pub(super) enum Kernel {
    Dense { forward: Box<Conv>, gradient: Box<ConvGrad> },
    Depthwise { forward: Box<Depthwise>, gradient: Box<DepthwiseGrad> },
    Grouped { forward: Box<GroupedConv>, gradient: Box<GroupedConvGrad> },
}

/// Bytes of activations that a worker passes through several kernels while they are in its cache.
const CACHED: usize = 768 << 10;

impl Kernel {
    /// Images that a worker takes through all passes at once: few enough for its cache, but enough
    /// to make up for reading the weights.
    pub fn together(&self, values: usize) -> usize {
        let weights = match self {
            Self::Dense { gradient, .. } => 4 * gradient.sums_len(),
            Self::Depthwise { .. } => 0,
            Self::Grouped { gradient, .. } => 4 * gradient.sums_len(),
        };
        (CACHED.max(2 * weights) / (4 * values)).max(1)
    }

    /// Parts of the batch over which weights' gradients are summed side by side.
    pub fn parts(&self, images: usize) -> usize {
        match self {
            Self::Dense { gradient, .. } => gradient.parts(images),
            Self::Depthwise { gradient, .. } => gradient.parts(images),
            Self::Grouped { gradient, .. } => gradient.parts(images),
        }
    }

    pub fn sums_len(&self) -> usize {
        match self {
            Self::Dense { gradient, .. } => gradient.sums_len(),
            Self::Depthwise { gradient, .. } => gradient.sums_len(),
            Self::Grouped { gradient, .. } => gradient.sums_len(),
        }
    }

    pub fn backward_scratch_len(&self, images: usize) -> usize {
        match self {
            Self::Dense { gradient, .. } => {
                gradient.add_scratch_len().max(gradient.input_scratch_len(images))
            }
            Self::Depthwise { .. } => 0,
            Self::Grouped { gradient, .. } => gradient.scratch_len(images),
        }
    }

    pub fn collect(&self, sums: &[f32], dw: &mut [f32]) {
        match self {
            Self::Dense { gradient, .. } => gradient.collect(sums, dw),
            Self::Depthwise { gradient, .. } => gradient.collect(sums, dw),
            Self::Grouped { gradient, .. } => gradient.collect(sums, dw),
        }
    }

    pub fn forward(
        &self,
        images: usize,
        x: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        buffers: &Buffers,
        y: &mut [f32],
    ) {
        match self {
            Self::Dense { forward, .. } => {
                buffers.with_scratch(forward.scratch_len(images), |scratch| {
                    forward.run(images, x, residual, clamp, scratch, y);
                });
            }
            // Building refuses a residual sum right after one of these without a norm.
            Self::Depthwise { forward, .. } => forward.run(images, x, clamp, y),
            Self::Grouped { forward, .. } => {
                buffers.with_scratch(forward.scratch_len(images), |scratch| {
                    forward.run(images, x, clamp, scratch, y);
                });
            }
        }
    }

    /// Adds the gradient of the weights over some images to a part's sums.
    pub fn add(&self, images: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        match self {
            Self::Dense { gradient, .. } => gradient.add(images, x, dy, scratch, sums),
            Self::Depthwise { gradient, .. } => gradient.add(images, x, dy, sums),
            Self::Grouped { gradient, .. } => gradient.add(images, x, dy, scratch, sums),
        }
    }

    /// The gradient of the input, added to what other layers gave it.
    pub fn input(
        &self,
        images: usize,
        dy: &[f32],
        add: Option<&[f32]>,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        match self {
            Self::Dense { gradient, .. } => gradient.input(images, dy, add, scratch, dx),
            Self::Depthwise { gradient, .. } => gradient.input(images, dy, add, dx),
            Self::Grouped { gradient, .. } => gradient.input(images, dy, add, scratch, dx),
        }
    }

    /// Takes changed weights `[kernel, kernel, in, out]`.
    pub fn pack(&mut self, weight: &[f32], bias: &[f32]) -> Result<()> {
        match self {
            Self::Dense { forward, gradient } => {
                forward.pack(Order::Hwio, weight, bias)?;
                gradient.pack(weight)?;
            }
            Self::Depthwise { forward, gradient } => {
                forward.pack(Order::Hwio, weight, bias)?;
                gradient.pack(weight)?;
            }
            Self::Grouped { forward, gradient } => {
                forward.pack(Order::Hwio, weight, bias)?;
                gradient.pack(weight)?;
            }
        }
        Ok(())
    }
}
