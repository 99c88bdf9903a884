//! Memory of a training step: one tensor for each activation, and buffers that gradients and scratch
//! take and give back. Nothing is allocated once every size has been seen.

use std::sync::{Mutex, PoisonError};

use super::TensorId;

/// All memory of a trainer but its parameters.
pub(super) struct Buffers {
    /// Values of one sample.
    lens: Vec<usize>,
    tensors: Vec<Vec<f32>>,
    gradients: Vec<Option<Vec<f32>>>,
    free: Vec<Vec<f32>>,
    scratch: Mutex<Vec<Vec<f32>>>,
}

impl Buffers {
    pub fn new(lens: Vec<usize>) -> Self {
        let tensors = lens.iter().map(|_| Vec::new()).collect();
        let gradients = lens.iter().map(|_| None).collect();
        Self { lens, tensors, gradients, free: Vec::new(), scratch: Mutex::default() }
    }

    /// Makes room for `n` samples.
    pub fn reserve(&mut self, n: usize) {
        for (tensor, len) in self.tensors.iter_mut().zip(&self.lens) {
            if tensor.len() < n * len {
                tensor.resize(n * len, 0.0);
            }
        }
    }

    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Values of one sample.
    pub fn len_of(&self, id: TensorId) -> usize {
        self.lens[id]
    }

    pub fn tensor(&self, id: TensorId) -> &[f32] {
        &self.tensors[id]
    }

    /// Takes a tensor out to write to it while others are read.
    pub fn take_tensor(&mut self, id: TensorId) -> Vec<f32> {
        std::mem::take(&mut self.tensors[id])
    }

    pub fn put_tensor(&mut self, id: TensorId, tensor: Vec<f32>) {
        self.tensors[id] = tensor;
    }

    /// A buffer of exactly `len` values, whatever they are: the smallest free one that is large
    /// enough. Sizes recur from step to step, so that soon one of the right size is always free.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = self.free.iter().enumerate().filter(|(_, b)| b.capacity() >= len);
        let best = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(i, _)| i);
        let mut buffer = best.map_or_else(Vec::new, |i| self.free.swap_remove(i));
        buffer.resize(len, 0.0);
        buffer
    }

    pub fn give_back(&mut self, buffer: Vec<f32>) {
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }

    pub fn gradient(&self, id: TensorId) -> Option<&[f32]> {
        self.gradients[id].as_deref()
    }

    pub fn take_gradient(&mut self, id: TensorId) -> Option<Vec<f32>> {
        self.gradients[id].take()
    }

    pub fn set_gradient(&mut self, id: TensorId, gradient: Vec<f32>) {
        self.gradients[id] = Some(gradient);
    }

    pub fn clear_gradients(&mut self) {
        for id in 0..self.gradients.len() {
            if let Some(gradient) = self.gradients[id].take() {
                self.give_back(gradient);
            }
        }
    }

    /// Runs `work` with at least `len` values of a worker's scratch.
    pub fn with_scratch<R>(&self, len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
        let lock = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        let result = work(&mut scratch);
        lock().push(scratch);
        result
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        let scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let gradients = self.gradients.iter().flatten();
        let all = self.tensors.iter().chain(gradients).chain(&self.free).chain(scratch.iter());
        4 * all.map(Vec::capacity).sum::<usize>()
    }
}
