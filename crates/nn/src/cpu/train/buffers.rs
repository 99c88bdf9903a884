//! Memory of a training step: one tensor for each activation, and buffers that gradients and scratch
//! take and give back. Nothing is allocated once every size has been seen.

use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

use offshoot_kernels::{BatchNorm, Clamp, NormInput, Stored, StoredMut};

use super::TensorId;

/// Memory that is handed on; its values are whatever was there before.
pub(super) struct Buffer {
    values: Vec<f32>,
    len: usize,
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

/// How a tensor came out of a norm: what is needed to sum its gradient for that norm while it is
/// still in the cache of whoever formed it.
pub(super) struct Origin {
    pub passes: BatchNorm,
    pub channels: usize,
    pub before_norm: TensorId,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub mean: Vec<f32>,
    pub clamp: Clamp,
}

impl Origin {
    /// `z = clamp(scale·y + shift + residual)`.
    pub fn apply(&self, y: Stored<'_>, residual: Option<&[f32]>, z: &mut [f32]) {
        self.passes.apply(y, [&self.scale, &self.shift], residual, self.clamp, z);
    }

    /// The norm's output times `factor`.
    pub fn scaled(&self, factor: f32) -> Self {
        let times = |values: &[f32]| values.iter().map(|v| factor * v).collect();
        Self { scale: times(&self.scale), shift: times(&self.shift), mean: Vec::new(), ..*self }
    }

    /// Sums of one image's gradient `dz` for the norm whose input was `y`: `[2, channels]`.
    pub fn sums(&self, dz: Stored<'_>, y: Stored<'_>, sums: &mut [f32]) {
        let (scale, shift) = (&self.scale, &self.shift);
        let input = NormInput { y, scale, shift, clamp: self.clamp };
        let (sums, products) = sums.split_at_mut(self.channels);
        self.passes.backward_sums(dz, input, &self.mean, sums, products);
    }
}

/// A layer's input.
pub(super) enum Source<'a> {
    Held(&'a [f32]),
    /// Computed from a norm's input each time it is read: that costs less than to write it to
    /// memory and read it back.
    Derived {
        origin: Arc<Origin>,
        y: Stored<'a>,
    },
}

impl Source<'_> {
    /// What [`Source::read`] needs for so many values.
    pub fn scratch_len(&self, values: usize) -> usize {
        match self {
            Self::Held(_) => 0,
            Self::Derived { .. } => values,
        }
    }

    /// Some of the values, in `scratch` where they are derived.
    pub fn read<'s>(&'s self, range: Range<usize>, scratch: &'s mut [f32]) -> &'s [f32] {
        match self {
            Self::Held(values) => &values[range],
            Self::Derived { origin, y } => {
                let z = &mut scratch[..range.len()];
                origin.apply(y.slice(range), None, z);
                z
            }
        }
    }
}

/// Places of f32 that so many values take.
pub(super) fn room(values: usize, narrow: bool) -> usize {
    if narrow { values.div_ceil(2) } else { values }
}

/// Memory as the values that lie in it.
pub(super) fn stored(memory: &[f32], narrow: bool) -> Stored<'_> {
    if narrow { Stored::Bf16(bytemuck::cast_slice(memory)) } else { Stored::F32(memory) }
}

/// Memory as room for values.
pub(super) fn stored_mut(memory: &mut [f32], narrow: bool) -> StoredMut<'_> {
    if narrow { StoredMut::Bf16(bytemuck::cast_slice_mut(memory)) } else { StoredMut::F32(memory) }
}

/// The first `len` values of what is left.
pub(super) fn cut<'a>(rest: &mut Option<&'a mut [f32]>, len: usize) -> Option<&'a mut [f32]> {
    let (mine, others) = rest.take()?.split_at_mut(len);
    *rest = Some(others);
    Some(mine)
}

/// As [`cut`].
pub(super) fn cut_stored<'a>(
    rest: &mut Option<StoredMut<'a>>,
    len: usize,
) -> Option<StoredMut<'a>> {
    let (mine, others) = rest.take()?.split(len);
    *rest = Some(others);
    Some(mine)
}

/// All memory of a trainer but its parameters.
pub(super) struct Buffers {
    /// Values of one sample.
    lens: Vec<usize>,
    /// Which tensors are derived from a norm's input whenever they are read, and take no memory.
    derived: Vec<bool>,
    /// Which tensors, or the gradients of which derived tensors, are stored in bf16: memory decides
    /// how fast a norm's passes are.
    narrow: Vec<bool>,
    tensors: Vec<Vec<f32>>,
    gradients: Vec<Option<Buffer>>,
    origins: Vec<Option<Arc<Origin>>>,
    /// Sums for the norms that tensors came out of.
    sums: Vec<Option<Buffer>>,
    free: Vec<Buffer>,
    scratch: Mutex<Vec<Vec<f32>>>,
}

impl Buffers {
    pub fn new(lens: Vec<usize>, derived: Vec<bool>, narrow: Vec<bool>) -> Self {
        let tensors = lens.iter().map(|_| Vec::new()).collect();
        let gradients = lens.iter().map(|_| None).collect();
        let origins = lens.iter().map(|_| None).collect();
        let sums = lens.iter().map(|_| None).collect();
        let (free, scratch) = (Vec::new(), Mutex::default());
        Self { lens, derived, narrow, tensors, gradients, origins, sums, free, scratch }
    }

    /// Makes room for `n` samples.
    pub fn reserve(&mut self, n: usize) {
        for id in (0..self.lens.len()).filter(|&id| !self.derived[id]) {
            let len = room(n * self.lens[id], self.narrow[id]);
            let tensor = &mut self.tensors[id];
            if tensor.len() < len {
                tensor.resize(len, 0.0);
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

    pub fn is_held(&self, id: TensorId) -> bool {
        !self.derived[id]
    }

    /// How a layer reads a tensor that another has written.
    pub fn source(&self, id: TensorId) -> Source<'_> {
        match &self.origins[id] {
            Some(origin) if self.derived[id] => {
                let y = self.stored(origin.before_norm);
                Source::Derived { origin: origin.clone(), y }
            }
            _ => Source::Held(&self.tensors[id]),
        }
    }

    /// A tensor that may be stored in bf16.
    pub fn stored(&self, id: TensorId) -> Stored<'_> {
        stored(&self.tensors[id], self.narrow[id])
    }

    /// Whether a tensor, or the gradient of a derived one, is stored in bf16.
    pub fn is_narrow(&self, id: TensorId) -> bool {
        self.narrow[id]
    }

    /// Takes a tensor out to write to it while others are read.
    pub fn take_tensor(&mut self, id: TensorId) -> Vec<f32> {
        std::mem::take(&mut self.tensors[id])
    }

    pub fn put_tensor(&mut self, id: TensorId, tensor: Vec<f32>) {
        self.tensors[id] = tensor;
    }

    /// A buffer of exactly `len` values: the smallest free one that is large enough. Sizes recur
    /// from step to step, so that soon one of the right size is always free.
    pub fn take(&mut self, len: usize) -> Buffer {
        let fitting = self.free.iter().enumerate().filter(|(_, b)| b.values.len() >= len);
        match fitting.min_by_key(|(_, buffer)| buffer.values.len()).map(|(i, _)| i) {
            Some(i) => Buffer { len, ..self.free.swap_remove(i) },
            None => Buffer { values: vec![0.0; len], len },
        }
    }

    pub fn give_back(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }

    pub fn origin(&self, id: TensorId) -> Option<Arc<Origin>> {
        self.origins[id].clone()
    }

    pub fn set_origin(&mut self, id: TensorId, origin: Origin) {
        self.origins[id] = Some(Arc::new(origin));
    }

    pub fn take_sums(&mut self, id: TensorId) -> Option<Buffer> {
        self.sums[id].take()
    }

    pub fn set_sums(&mut self, id: TensorId, sums: Buffer) {
        self.sums[id] = Some(sums);
    }

    pub fn gradient(&self, id: TensorId) -> Option<&[f32]> {
        self.gradients[id].as_deref()
    }

    pub fn take_gradient(&mut self, id: TensorId) -> Option<Buffer> {
        self.gradients[id].take()
    }

    pub fn set_gradient(&mut self, id: TensorId, gradient: Buffer) {
        self.gradients[id] = Some(gradient);
    }

    /// Adds to what other layers gave the tensor, or is the first.
    pub fn add_gradient(&mut self, id: TensorId, mut gradient: Buffer) {
        if let Some(other) = self.take_gradient(id) {
            gradient.iter_mut().zip(&*other).for_each(|(sum, other)| *sum += other);
            self.give_back(other);
        }
        self.set_gradient(id, gradient);
    }

    pub fn clear_gradients(&mut self) {
        for id in 0..self.gradients.len() {
            let old = [self.gradients[id].take(), self.sums[id].take()];
            old.into_iter().flatten().for_each(|buffer| self.give_back(buffer));
        }
    }

    /// Runs `work` with at least `len` values of a worker's scratch.
    pub fn with_scratch<R>(&self, len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
        let lock = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = {
            let mut free = lock();
            // The smallest that is large enough, else the largest, so that few ever grow.
            let fitting = free.iter().enumerate().filter(|(_, s)| s.len() >= len);
            let best = fitting.min_by_key(|(_, s)| s.len());
            let best = best.or_else(|| free.iter().enumerate().max_by_key(|(_, s)| s.len()));
            best.map(|(i, _)| i).map(|i| free.swap_remove(i)).unwrap_or_default()
        };
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
        let held = self.gradients.iter().flatten().chain(self.sums.iter().flatten());
        let buffers = held.chain(&self.free).map(|buffer| &buffer.values);
        let all = self.tensors.iter().chain(buffers).chain(scratch.iter());
        4 * all.map(Vec::capacity).sum::<usize>()
    }
}
