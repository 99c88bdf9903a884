//! Small fully connected networks: forward, backward and Adam in `f32`.
//!
//! A [`Perceptron`] is data: layers and one flat list of values. An [`Engine`] is what computes with it:
//! weights packed for the processor's vectors, and buffers that are used again at every step. The
//! product's kernels serve at these sizes too, on vectors rather than matrix tiles, whose set-up
//! would cost more than a layer of 64.

mod adam;
mod engine;
mod init;
mod perceptron;

pub use adam::Adam;
pub(crate) use adam::clip;
pub use engine::Engine;
pub use init::{orthogonal, uniform};
pub use perceptron::{Layer, Nonlinearity, Perceptron};
