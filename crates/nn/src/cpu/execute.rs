//! Runs a plan: segment by segment, a few images at a time on each worker.

use std::sync::{Mutex, PoisonError};

use offshoot_kernels::{
    Activation, Isa, Line, lines_to_values, max_pool, max_pool_lines, mean_pool, mean_pool_lines,
    values_to_lines,
};
use rayon::prelude::*;

use super::Plan;
use super::lower::{Kept, Kernel, Op, Segment, Storage};

/// A worker's buffers, reused from batch to batch.
#[derive(Default)]
pub(super) struct Scratch {
    slots: Vec<Buffer>,
    conv: Vec<f32>,
}

/// Activations of some images, kept in one way or the other.
#[derive(Default)]
pub(super) struct Buffer {
    values: Vec<f32>,
    lines: Vec<Line>,
    /// What was written last.
    kept: Option<Kept>,
}

/// Images to read.
#[derive(Clone, Copy)]
enum Images<'a> {
    Values(&'a [f32]),
    Lines(&'a [Line]),
}

/// Images to write.
enum ImagesMut<'a> {
    Values(&'a mut [f32]),
    Lines(&'a mut [Line]),
}

impl Buffer {
    fn reserve(&mut self, [values, lines]: [usize; 2]) {
        reserve(&mut self.values, values);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::ZERO);
        }
    }

    fn images(&self, kept: Kept, n: usize) -> Images<'_> {
        match kept.storage {
            Storage::Values => Images::Values(&self.values[..n * kept.len]),
            Storage::Lines => Images::Lines(&self.lines[..n * kept.len]),
        }
    }

    fn images_mut(&mut self, kept: Kept, n: usize) -> ImagesMut<'_> {
        match kept.storage {
            Storage::Values => ImagesMut::Values(&mut self.values[..n * kept.len]),
            Storage::Lines => ImagesMut::Lines(&mut self.lines[..n * kept.len]),
        }
    }
}

impl Kept {
    /// Values and lines of `n` images.
    fn lens(self, n: usize) -> [usize; 2] {
        match self.storage {
            Storage::Values => [n * self.len, 0],
            Storage::Lines => [0, n * self.len],
        }
    }
}

// A plan asks for images as it keeps them; were it wrong, kernels would refuse an empty slice.
impl<'a> Images<'a> {
    fn values(self) -> &'a [f32] {
        match self {
            Self::Values(values) => values,
            Self::Lines(_) => &[],
        }
    }

    fn lines(self) -> &'a [Line] {
        match self {
            Self::Values(_) => &[],
            Self::Lines(lines) => lines,
        }
    }

    /// Images `first..first + count` of `len` values or lines each.
    fn slice(self, first: usize, count: usize, len: usize) -> Self {
        let range = first * len..(first + count) * len;
        match self {
            Self::Values(values) => Self::Values(&values[range]),
            Self::Lines(lines) => Self::Lines(&lines[range]),
        }
    }
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
    let input = Images::Values(input);
    for (i, segment) in inner.iter().enumerate() {
        let [even, odd] = &mut between;
        let (from, to) = if i % 2 == 0 { (odd, even) } else { (even, odd) };
        to.reserve(segment.output.lens(n));
        let from = if i == 0 { input } else { from.images(segment.input, n) };
        run_segment(plan, segment, n, from, to.images_mut(segment.output, n));
    }
    let from = match inner.len() {
        0 => input,
        i => between[(i - 1) % 2].images(last.input, n),
    };
    run_segment(plan, last, n, from, ImagesMut::Values(output));
    give_back(&plan.between, between);
}

/// An idle set of buffers, or a new one.
pub(super) fn take<T: Default>(idle: &Mutex<Vec<T>>) -> T {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

pub(super) fn give_back<T>(idle: &Mutex<Vec<T>>, buffers: T) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
}

fn run_segment(plan: &Plan, segment: &Segment, n: usize, input: Images<'_>, output: ImagesMut<'_>) {
    // No group may be so large that a worker is left without one.
    let group = segment.group.min(n.div_ceil(rayon::current_num_threads())).max(1);
    let len = group * segment.output.len;
    let run = |i: usize, output: ImagesMut<'_>| {
        let images = group.min(n - i * group);
        let input = input.slice(i * group, images, segment.input.len);
        let mut scratch = take(&plan.idle);
        run_group(plan, segment, images, input, &mut scratch, output);
        give_back(&plan.idle, scratch);
    };
    match output {
        ImagesMut::Values(output) => {
            let groups = output.par_chunks_mut(len).enumerate();
            groups.for_each(|(i, output)| run(i, ImagesMut::Values(output)));
        }
        ImagesMut::Lines(output) => {
            let groups = output.par_chunks_mut(len).enumerate();
            groups.for_each(|(i, output)| run(i, ImagesMut::Lines(output)));
        }
    }
}

/// Takes a group of images through a segment's operations.
fn run_group(
    plan: &Plan,
    segment: &Segment,
    images: usize,
    input: Images<'_>,
    scratch: &mut Scratch,
    output: ImagesMut<'_>,
) {
    if scratch.slots.len() < segment.slots.len() {
        scratch.slots.resize_with(segment.slots.len(), Buffer::default);
    }
    reserve(&mut scratch.conv, segment.scratch);
    let Some((last, inner)) = plan.ops[segment.ops.clone()].split_last() else { return };
    for op in inner {
        let mut to = std::mem::take(&mut scratch.slots[op.to]);
        to.reserve(segment.slots[op.to].map(|len| images * len));
        let from = Reading { input, slots: &scratch.slots, images };
        run_op(plan.isa, op, images, &from, &mut scratch.conv, to.images_mut(op.output, images));
        to.kept = Some(op.output);
        scratch.slots[op.to] = to;
    }
    let from = Reading { input, slots: &scratch.slots, images };
    run_op(plan.isa, last, images, &from, &mut scratch.conv, output);
}

/// What the operations of a segment may read.
struct Reading<'a> {
    input: Images<'a>,
    slots: &'a [Buffer],
    images: usize,
}

impl<'a> Reading<'a> {
    /// A slot, or the segment's input.
    fn of(&self, slot: Option<usize>) -> Images<'a> {
        let written = slot.and_then(|slot| Some((&self.slots[slot], self.slots[slot].kept?)));
        written.map_or(self.input, |(buffer, kept)| buffer.images(kept, self.images))
    }
}

fn run_op(
    isa: Isa,
    op: &Op,
    images: usize,
    reading: &Reading<'_>,
    scratch: &mut [f32],
    to: ImagesMut<'_>,
) {
    let from = reading.of(op.from);
    let residual = op.residual.map(|slot| reading.of(slot));
    match to {
        ImagesMut::Values(to) => values_op(isa, op, images, from, residual, scratch, to),
        ImagesMut::Lines(to) => lines_op(isa, op, images, from, residual, scratch, to),
    }
}

/// An operation that gives out lines.
fn lines_op(
    isa: Isa,
    op: &Op,
    images: usize,
    from: Images<'_>,
    residual: Option<Images<'_>>,
    scratch: &mut [f32],
    to: &mut [Line],
) {
    match (&op.kernel, from) {
        (Kernel::LinesConv(conv), Images::Values(from)) => {
            conv.run_from_values(images, from, (op.clamp, Activation::None), scratch, to);
        }
        (Kernel::LinesConv(conv), Images::Lines(from)) => {
            conv.run(images, from, residual.map(Images::lines), op.clamp, scratch, to);
        }
        (Kernel::LinesDepthwise(conv), Images::Lines(from)) => {
            conv.run(images, from, op.clamp, to);
        }
        (Kernel::MaxPool { window, channels }, Images::Lines(from)) => {
            let planes = Line::per_pixel(*channels);
            let len = window.input[0] * window.input[1] * planes;
            for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(op.output.len)) {
                max_pool_lines(isa, window, planes, from, to);
            }
        }
        (Kernel::ToLines { channels }, Images::Values(from)) => {
            values_to_lines(isa, *channels, from, to);
        }
        // Lowering pairs kernels with what they read and write.
        _ => unreachable!("an operation that gives out no lines"),
    }
}

/// An operation that gives out values.
fn values_op(
    isa: Isa,
    op: &Op,
    images: usize,
    from: Images<'_>,
    residual: Option<Images<'_>>,
    scratch: &mut [f32],
    to: &mut [f32],
) {
    let len = op.output.len;
    match &op.kernel {
        Kernel::Conv(conv) => {
            let residual = residual.map(Images::values);
            conv.run(images, from.values(), residual, op.clamp, scratch, to);
        }
        Kernel::Depthwise(conv) => conv.run(images, from.values(), op.clamp, to),
        Kernel::Grouped(conv) => conv.run(images, from.values(), op.clamp, scratch, to),
        Kernel::MaxPool { window, channels } => {
            let input_len = window.input[0] * window.input[1] * channels;
            let images = from.values().chunks_exact(input_len).zip(to.chunks_exact_mut(len));
            images.for_each(|(from, to)| max_pool(window, *channels, from, to));
        }
        Kernel::MeanPool { channels, input } => match from {
            Images::Values(from) => {
                let images = from.chunks_exact(input.len).zip(to.chunks_exact_mut(len));
                images.for_each(|(from, to)| mean_pool(*channels, from, to));
            }
            Images::Lines(from) => {
                let images = from.chunks_exact(input.len).zip(to.chunks_exact_mut(len));
                images.for_each(|(from, to)| mean_pool_lines(isa, *channels, from, to));
            }
        },
        Kernel::Flatten { channels } => {
            let pixels = len / channels;
            for (from, to) in from.values().chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                for (pixel, from) in from.chunks_exact(*channels).enumerate() {
                    for (channel, &value) in from.iter().enumerate() {
                        to[channel * pixels + pixel] = value;
                    }
                }
            }
        }
        Kernel::ToValues { channels } => lines_to_values(isa, *channels, from.lines(), to),
        // Lowering pairs kernels with what they read and write.
        Kernel::LinesConv(_) | Kernel::LinesDepthwise(_) | Kernel::ToLines { .. } => {
            unreachable!("an operation that gives out lines")
        }
    }
    if op.act == Activation::None && op.excite.is_none() {
        return;
    }
    for image in to.chunks_exact_mut(len) {
        op.act.apply(isa, image);
        if let Some(excite) = &op.excite {
            excite.run(&mut scratch[..excite.kept_len()], image);
        }
    }
}
