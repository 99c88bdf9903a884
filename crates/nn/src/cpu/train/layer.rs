//! The layers of a trainer.

use offshoot_kernels::{Window, max_pool, max_pool_backward, mean_pool, mean_pool_backward};
use rayon::prelude::*;

use super::TensorId;
use super::activation::ActLayer;
use super::buffers::Buffers;
use super::conv::{ConvLayer, Drops};
use super::excite::ExciteLayer;
use super::norm::Norm;
use super::param::Param;
use crate::{NnError, Result};

/// One layer.
pub(super) enum Layer {
    Conv(Box<ConvLayer>),
    Shape(ShapeLayer),
    Act(ActLayer),
    Excite(Box<ExciteLayer>),
}

/// A layer without parameters.
pub(super) struct ShapeLayer {
    pub kind: ShapeKind,
    pub channels: usize,
    pub input: TensorId,
    pub output: TensorId,
}

pub(super) enum ShapeKind {
    MaxPool(Window),
    MeanPool,
    /// `[pixels, channels]` → `[channels, pixels]`.
    Flatten,
}

impl Layer {
    pub fn input(&self) -> TensorId {
        match self {
            Self::Conv(layer) => layer.input,
            Self::Shape(layer) => layer.input,
            Self::Act(layer) => layer.input,
            Self::Excite(layer) => layer.input,
        }
    }

    /// What comes out.
    pub fn output(&self) -> TensorId {
        match self {
            Self::Conv(layer) => layer.output,
            Self::Shape(layer) => layer.output,
            Self::Act(layer) => layer.output,
            Self::Excite(layer) => layer.output,
        }
    }

    /// Places of its parameters.
    pub fn params(&self) -> Vec<usize> {
        match self {
            Self::Conv(layer) => {
                let norm = layer.norm.iter().flat_map(|norm| [norm.gamma, norm.beta]);
                std::iter::once(layer.weight).chain(layer.bias).chain(norm).collect()
            }
            Self::Excite(layer) => [layer.reduce, layer.expand].concat(),
            Self::Shape(_) | Self::Act(_) => Vec::new(),
        }
    }

    /// Every tensor that the layer reads.
    pub fn reads(&self) -> impl Iterator<Item = TensorId> {
        let residual = match self {
            Self::Conv(layer) => layer.residual,
            Self::Shape(_) | Self::Act(_) | Self::Excite(_) => None,
        };
        std::iter::once(self.input()).chain(residual)
    }

    pub fn forward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
        drops: Drops<'_>,
    ) -> Result<()> {
        match self {
            Self::Conv(layer) => layer.forward(n, params, buffers, drops),
            Self::Shape(layer) => {
                layer.forward(n, buffers);
                Ok(())
            }
            Self::Act(layer) => {
                layer.forward(n, buffers);
                Ok(())
            }
            Self::Excite(layer) => layer.forward(n, params, buffers),
        }
    }

    /// Forms the gradients of what learns here and of the inputs that need one.
    pub fn backward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
    ) -> Result<()> {
        match self {
            Self::Conv(layer) => layer.backward(n, params, buffers),
            Self::Shape(layer) => layer.backward(n, buffers),
            Self::Act(layer) => layer.backward(n, buffers),
            Self::Excite(layer) => layer.backward(n, params, buffers),
        }
    }

    pub fn weights_moved(&mut self) {
        match self {
            Self::Conv(layer) => layer.stale = true,
            Self::Excite(layer) => layer.stale = true,
            Self::Shape(_) | Self::Act(_) => {}
        }
    }

    /// Its batch norm, where it has one.
    pub fn norm(&self) -> Option<&Norm> {
        match self {
            Self::Conv(layer) => layer.norm.as_ref(),
            Self::Shape(_) | Self::Act(_) | Self::Excite(_) => None,
        }
    }

    /// As [`Layer::norm`].
    pub fn norm_mut(&mut self) -> Option<&mut Norm> {
        match self {
            Self::Conv(layer) => layer.norm.as_mut(),
            Self::Shape(_) | Self::Act(_) | Self::Excite(_) => None,
        }
    }
}

impl ShapeLayer {
    fn forward(&self, n: usize, buffers: &mut Buffers) {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let mut output = buffers.take_tensor(self.output);
        let x = &buffers.tensor(self.input)[..n * x_len];
        let images = x.par_chunks(x_len).zip(output.par_chunks_mut(y_len));
        images.for_each(|(x, y)| match &self.kind {
            ShapeKind::MaxPool(window) => max_pool(window, self.channels, x, y),
            ShapeKind::MeanPool => mean_pool(self.channels, x, y),
            ShapeKind::Flatten => transpose(x_len / self.channels, self.channels, x, y),
        });
        buffers.put_tensor(self.output, output);
    }

    fn backward(&self, n: usize, buffers: &mut Buffers) -> Result<()> {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let dy = buffers
            .take_gradient(self.output)
            .ok_or_else(|| NnError::Unsupported("an output that nothing reads".into()))?;
        let mut dx = buffers.take(n * x_len);
        {
            let x = &buffers.tensor(self.input)[..n * x_len];
            let y = &buffers.tensor(self.output)[..n * y_len];
            let inputs = x.par_chunks(x_len).zip(dx.par_chunks_mut(x_len));
            let outputs = y.par_chunks(y_len).zip(dy.par_chunks(y_len));
            inputs.zip(outputs).for_each(|((x, dx), (y, dy))| match &self.kind {
                ShapeKind::MaxPool(window) => {
                    max_pool_backward(window, self.channels, x, y, dy, dx);
                }
                ShapeKind::MeanPool => mean_pool_backward(self.channels, dy, dx),
                ShapeKind::Flatten => transpose(self.channels, x_len / self.channels, dy, dx),
            });
        }
        buffers.give_back(dy);
        buffers.add_gradient(self.input, dx);
        Ok(())
    }
}

/// `[rows, columns]` → `[columns, rows]`.
fn transpose(rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    for (row, from) in from.chunks_exact(columns).enumerate() {
        for (column, &value) in from.iter().enumerate() {
            to[column * rows + row] = value;
        }
    }
}
