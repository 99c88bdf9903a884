//! Runs a plan: segment by segment, a few images at a time on each worker.

use std::sync::{Mutex, PoisonError};

use offshoot_kernels::{Activation, Isa, max_pool, mean_pool};
use rayon::prelude::*;

use super::Plan;
use super::lower::{Kernel, Op, Segment};

/// A worker's buffers, reused from batch to batch.
#[derive(Default)]
pub(super) struct Scratch {
    slots: Vec<Vec<f32>>,
    conv: Vec<f32>,
}

/// Makes `buffer` hold at least `len` values.
pub(super) fn reserve(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// `output = backbone(input)`; lengths were checked by the caller.
pub(super) fn run(plan: &Plan, input: &[f32], n: usize, output: &mut [f32]) {
    let Some((last, inner)) = plan.segments.split_last() else { return };
    // Between segments the whole batch lies in one of two buffers.
    let mut between = take(&plan.between);
    for (i, segment) in inner.iter().enumerate() {
        let (even, odd) = between.split_at_mut(1);
        let (from, to) = if i % 2 == 0 { (&odd[0], &mut even[0]) } else { (&even[0], &mut odd[0]) };
        reserve(to, n * segment.output_len);
        let from = if i == 0 { input } else { &from[..n * segment.input_len] };
        run_segment(plan, segment, n, from, &mut to[..n * segment.output_len]);
    }
    let from = match inner.len() {
        0 => input,
        i => &between[(i - 1) % 2][..n * last.input_len],
    };
    run_segment(plan, last, n, from, output);
    give_back(&plan.between, between);
}

/// An idle set of buffers, or a new one.
pub(super) fn take<T: Default>(idle: &Mutex<Vec<T>>) -> T {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

pub(super) fn give_back<T>(idle: &Mutex<Vec<T>>, buffers: T) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
}

fn run_segment(plan: &Plan, segment: &Segment, n: usize, input: &[f32], output: &mut [f32]) {
    // No group may be so large that a worker is left without one.
    let group = segment.group.min(n.div_ceil(rayon::current_num_threads())).max(1);
    input
        .par_chunks(group * segment.input_len)
        .zip(output.par_chunks_mut(group * segment.output_len))
        .for_each(|(input, output)| {
            let mut scratch = take(&plan.idle);
            run_group(plan, segment, input, &mut scratch, output);
            give_back(&plan.idle, scratch);
        });
}

/// Takes a group of images through a segment's operations.
fn run_group(
    plan: &Plan,
    segment: &Segment,
    input: &[f32],
    scratch: &mut Scratch,
    output: &mut [f32],
) {
    let images = input.len() / segment.input_len;
    if scratch.slots.len() < segment.slots.len() {
        scratch.slots.resize_with(segment.slots.len(), Vec::new);
    }
    reserve(&mut scratch.conv, segment.scratch);
    let ops = &plan.ops[segment.ops.clone()];
    for (i, op) in ops.iter().enumerate() {
        if i + 1 == ops.len() {
            run_op(plan.isa, op, images, input, &scratch.slots, &mut scratch.conv, output);
        } else {
            let mut to = std::mem::take(&mut scratch.slots[op.to]);
            reserve(&mut to, images * segment.slots[op.to]);
            run_op(plan.isa, op, images, input, &scratch.slots, &mut scratch.conv, &mut to);
            scratch.slots[op.to] = to;
        }
    }
}

fn run_op(
    isa: Isa,
    op: &Op,
    images: usize,
    input: &[f32],
    slots: &[Vec<f32>],
    scratch: &mut [f32],
    to: &mut [f32],
) {
    let buffer = |slot: Option<usize>| slot.map_or(input, |slot| &slots[slot][..]);
    let from = buffer(op.from);
    let to = &mut to[..images * op.len];
    match &op.kernel {
        Kernel::Conv(conv) => {
            conv.run(images, from, op.residual.map(buffer), op.clamp, scratch, to);
        }
        Kernel::Depthwise(conv) => conv.run(images, from, op.clamp, to),
        Kernel::Grouped(conv) => conv.run(images, from, op.clamp, scratch, to),
        Kernel::MaxPool { window, channels } => {
            let len = window.input[0] * window.input[1] * channels;
            for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(op.len)) {
                max_pool(window, *channels, from, to);
            }
        }
        Kernel::MeanPool { channels, input_len } => {
            for (from, to) in from.chunks_exact(*input_len).zip(to.chunks_exact_mut(op.len)) {
                mean_pool(*channels, from, to);
            }
        }
        Kernel::Flatten { channels } => {
            let pixels = op.len / channels;
            for (from, to) in from.chunks_exact(op.len).zip(to.chunks_exact_mut(op.len)) {
                for (pixel, from) in from.chunks_exact(*channels).enumerate() {
                    for (channel, &value) in from.iter().enumerate() {
                        to[channel * pixels + pixel] = value;
                    }
                }
            }
        }
    }
    if op.act == Activation::None && op.excite.is_none() {
        return;
    }
    for image in to.chunks_exact_mut(op.len) {
        op.act.apply(isa, image);
        if let Some(excite) = &op.excite {
            excite.run(&mut scratch[..excite.kept_len()], image);
        }
    }
}
