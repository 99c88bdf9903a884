//! From a recipe's blocks to a list of fused operations on numbered buffers.

mod lines;

use std::ops::Range;

use offshoot_kernels::{
    Activation, Clamp, Conv, Depthwise, GroupSizes, GroupedConv, Isa, KernelError, Line, LinesConv,
    LinesDepthwise, Order, Precision, SqueezeExcite, Window,
};

use super::fold::{array, fold};
use super::{activation, split};
use crate::blocks::{self, Act, Block, ConvNormAct, Linear, Padding, Residual, Shortcut};
use crate::{NnError, Params, Recipe, Result, Shape};

impl From<KernelError> for NnError {
    fn from(error: KernelError) -> Self {
        Self::Unsupported(error.to_string())
    }
}

/// What an operation computes for each image.
pub(super) enum Kernel {
    Conv(Conv),
    Depthwise(Depthwise),
    Grouped(GroupedConv),
    LinesConv(LinesConv),
    LinesDepthwise(LinesDepthwise),
    /// From values to lines, and back.
    ToLines {
        channels: usize,
    },
    ToValues {
        channels: usize,
    },
    MaxPool {
        window: Window,
        channels: usize,
    },
    MeanPool {
        channels: usize,
        input: Kept,
    },
    /// `[pixels, channels]` → `[channels, pixels]`.
    Flatten {
        channels: usize,
    },
}

/// Activations of one image: how they are kept, and how many values or lines they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub storage: Storage,
    pub len: usize,
}

/// How activations are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// As f32 `[pixels, channels]`.
    Values,
    /// In bf16, as lines of 32 channels.
    Lines,
}

impl Kept {
    fn of(shape: Shape, storage: Storage) -> Self {
        let len = match (storage, shape) {
            (Storage::Lines, Shape::Map { height, width, channels }) => {
                height * width * Line::per_pixel(channels)
            }
            _ => shape.len(),
        };
        Self { storage, len }
    }

    fn bytes(self) -> usize {
        match self.storage {
            Storage::Values => self.len * size_of::<f32>(),
            Storage::Lines => self.len * size_of::<Line>(),
        }
    }
}

/// A buffer of a worker; the first operation of a segment reads the segment's input instead and
/// the last one writes its output.
pub(super) type Slot = usize;

/// One fused operation.
pub(super) struct Op {
    pub kernel: Kernel,
    pub clamp: Clamp,
    /// On the output while it is in the cache.
    pub act: Activation,
    pub excite: Option<Box<SqueezeExcite>>,
    /// Buffers that are read and written; `None` is the current segment's input.
    pub from: Option<Slot>,
    pub residual: Option<Option<Slot>>,
    pub to: Slot,
    /// One image in `to`.
    pub output: Kept,
}

impl Op {
    fn scratch_len(&self, images: usize) -> usize {
        let of_kernel = match &self.kernel {
            Kernel::Conv(conv) => conv.scratch_len(images),
            Kernel::LinesConv(conv) => conv.scratch_len(),
            Kernel::Grouped(conv) => conv.scratch_len(images),
            _ => 0,
        };
        of_kernel.max(self.excite.as_ref().map_or(0, |excite| excite.kept_len()))
    }
}

/// Neighbouring blocks through which a worker takes `group` images at a time.
pub(super) struct Segment {
    pub ops: Range<usize>,
    pub group: usize,
    /// One image that comes in and goes out.
    pub input: Kept,
    pub output: Kept,
    /// Values and lines of one image in each slot, at most.
    pub slots: Vec<[usize; 2]>,
    /// Values of scratch for a whole group.
    pub scratch: usize,
}

/// A lowered network.
pub(super) struct Lowered {
    pub ops: Vec<Op>,
    pub segments: Vec<Segment>,
    pub output: Shape,
}

/// Activations that a worker should keep in its part of the cache.
const GROUP_BYTES: usize = 1 << 20;

/// Images of a group at most: beyond that, weights are shared well enough.
const MAX_GROUP: usize = 16;

/// Lowers `blocks`, neighbours in `recipe`, for inputs of shape `input`.
pub(super) fn lower<'a>(
    isa: Isa,
    precision: Precision,
    recipe: &Recipe,
    params: &Params,
    input: Shape,
    blocks: impl Iterator<Item = &'a Block> + Clone,
) -> Result<Lowered> {
    // Operands of products are bf16 anyhow: where every layer can, activations stay so. The whole
    // recipe decides, so that a part of a network computes what the whole one does.
    let in_lines = isa.has_bf16()
        && precision == Precision::Bf16
        && recipe.stages.iter().flat_map(|stage| &stage.blocks).all(lines::can_hold)
        && matches!(input, Shape::Map { .. });
    let mut lowering =
        Lowering { isa, precision, params, in_lines, storage: Storage::Values, ops: Vec::new() };
    let mut segments = Vec::new();
    let mut shape = input;
    if in_lines && !blocks.clone().next().is_some_and(lines::begins_with_values) {
        let before = lowering.mark(shape);
        lowering.push_to_lines(shape, None, 0);
        append(&mut segments, &mut lowering, before, shape);
    }
    for block in blocks {
        let before = lowering.mark(shape);
        let output = lowering.block(shape, block)?;
        append(&mut segments, &mut lowering, before, output);
        shape = output;
    }
    if segments.is_empty() {
        return Err(NnError::Unsupported("a recipe without blocks".into()));
    }
    if lowering.storage == Storage::Lines {
        let before = lowering.mark(shape);
        lowering.push_to_values(shape, None, 0);
        append(&mut segments, &mut lowering, before, shape);
    }
    for segment in &mut segments {
        for op in &lowering.ops[segment.ops.clone()] {
            segment.slots.resize(segment.slots.len().max(op.to + 1), [0; 2]);
            let [values, lines] = &mut segment.slots[op.to];
            let len = match op.output.storage {
                Storage::Values => values,
                Storage::Lines => lines,
            };
            *len = op.output.len.max(*len);
            segment.scratch = segment.scratch.max(op.scratch_len(segment.group));
        }
    }
    Ok(Lowered { ops: lowering.ops, segments, output: shape })
}

/// Where a block begins: its first operation and what it reads.
struct Mark {
    first: usize,
    input: Kept,
}

/// Makes the operations since `before` a part of the last segment, or a segment of their own.
fn append(segments: &mut Vec<Segment>, lowering: &mut Lowering<'_>, before: Mark, output: Shape) {
    let Mark { first, input } = before;
    let ops = first..lowering.ops.len();
    if ops.is_empty() {
        return;
    }
    let output = Kept::of(output, lowering.storage);
    let widest = lowering.ops[ops.clone()].iter().map(|op| op.output.bytes()).max().unwrap_or(0);
    let bytes = widest.max(input.bytes()) + input.bytes();
    let group = (GROUP_BYTES / bytes.max(1)).clamp(1, MAX_GROUP);
    // Round down to a power of two, so that few different groups and thus few segments arise.
    let group = 1 << group.ilog2();
    match segments.last_mut() {
        Some(segment) if segment.group >= group => {
            // The block's own buffers: its input is the previous operation's output.
            join(&mut lowering.ops, segment.ops.end, ops.clone());
            segment.ops.end = ops.end;
            segment.output = output;
            segment.group = segment.group.min(group);
        }
        _ => segments.push(Segment { ops, group, input, output, slots: Vec::new(), scratch: 0 }),
    }
}

/// Makes the block `ops` read the output of the operation before it instead of a segment's input.
///
/// Slots are renamed so that the block does not write to the buffer it still reads.
fn join(all: &mut [Op], first: usize, ops: Range<usize>) {
    let input = all[first - 1].to;
    for op in &mut all[ops] {
        // Slots count up from 0 within a block; those from `input` on move up by one.
        let rename = |slot: Slot| if slot >= input { slot + 1 } else { slot };
        op.from = Some(op.from.map_or(input, rename));
        op.residual = op.residual.map(|slot| Some(slot.map_or(input, rename)));
        op.to = rename(op.to);
    }
}

struct Lowering<'a> {
    isa: Isa,
    precision: Precision,
    params: &'a Params,
    /// Whether images are kept in lines, and how the latest activations are kept.
    in_lines: bool,
    storage: Storage,
    ops: Vec<Op>,
}

impl Lowering<'_> {
    fn mark(&self, shape: Shape) -> Mark {
        Mark { first: self.ops.len(), input: Kept::of(shape, self.storage) }
    }

    /// Lowers one block, whose input is the segment's; returns the shape that it gives out.
    fn block(&mut self, shape: Shape, block: &Block) -> Result<Shape> {
        match (block, shape) {
            (Block::Conv(conv), _) => self.conv(shape, conv, None, 0, None, conv.act),
            (Block::Residual(residual), _) => self.residual(shape, residual),
            (&Block::MaxPool { kernel, stride, padding }, Shape::Map { channels, .. }) => {
                let window = window(shape, kernel, stride, padding)?;
                let output = map(window.output, channels);
                self.push(Kernel::MaxPool { window, channels }, None, 0, output);
                Ok(output)
            }
            (Block::GlobalAvgPool, Shape::Map { channels, .. }) => {
                let output = Shape::Vector(channels);
                let input = Kept::of(shape, self.storage);
                self.storage = Storage::Values;
                self.push(Kernel::MeanPool { channels, input }, None, 0, output);
                Ok(output)
            }
            (Block::Flatten, Shape::Map { channels, .. }) => {
                let output = Shape::Vector(shape.len());
                let (mut from, mut to) = (None, 0);
                if self.storage == Storage::Lines {
                    self.push_to_values(shape, None, 0);
                    (from, to) = (Some(0), 1);
                }
                self.push(Kernel::Flatten { channels }, from, to, output);
                Ok(output)
            }
            (Block::Linear(layer), Shape::Vector(inputs)) if inputs == layer.inputs => {
                let conv = linear(self.isa, self.params, layer)?;
                let output = Shape::Vector(layer.outputs);
                self.push(Kernel::Conv(conv), None, 0, output);
                let (clamp, act) = split(layer.act);
                let op = self.last_mut();
                (op.clamp, op.act) = (clamp, act);
                Ok(output)
            }
            _ => Err(NnError::Unsupported(format!("{block:?} cannot follow {shape:?}"))),
        }
    }

    fn residual(&mut self, shape: Shape, block: &Residual) -> Result<Shape> {
        let (last, body) = body_of(block)?;
        // Slot 0 and 1 take turns; slot 2 holds the projected shortcut.
        let shortcut = match &block.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some((None, shape)),
            Shortcut::Project(conv) => {
                let output = self.conv(shape, conv, None, 2, None, conv.act)?;
                Some((Some(2), output))
            }
        };
        let (mut from, mut inner) = (None, shape);
        for (i, conv) in body.iter().enumerate() {
            inner = self.conv(inner, conv, from, i % 2, None, conv.act)?;
            from = Some(i % 2);
        }
        let residual = shortcut.map(|(slot, _)| slot);
        let output = self.conv(inner, last, from, body.len() % 2, residual, block.act)?;
        match shortcut {
            Some((_, shape)) if shape != output => {
                Err(NnError::Unsupported(format!("a residual sum of {shape:?} and {output:?}")))
            }
            _ => Ok(output),
        }
    }

    fn conv(
        &mut self,
        shape: Shape,
        block: &ConvNormAct,
        from: Option<Slot>,
        to: Slot,
        residual: Option<Option<Slot>>,
        act: Act,
    ) -> Result<Shape> {
        let conv = &block.conv;
        let Shape::Map { channels, .. } = shape else {
            return Err(NnError::Unsupported(format!("`{}` cannot follow {shape:?}", conv.key)));
        };
        if channels != conv.inputs {
            return Err(NnError::Unsupported(format!(
                "`{}` expects {} channels, got {channels}",
                conv.key, conv.inputs
            )));
        }
        let window = window(shape, conv.kernel, conv.stride, conv.padding)?;
        let output = map(window.output, conv.outputs);
        let (weight, bias) = fold(self.params, block)?;
        let (isa, inputs, outputs) = (self.isa, conv.inputs, conv.outputs);
        let kernel = if self.in_lines && conv.groups == 1 {
            let new = match self.storage {
                Storage::Values => LinesConv::of_values,
                Storage::Lines => LinesConv::new,
            };
            self.storage = Storage::Lines;
            Kernel::LinesConv(new(isa, window, inputs, outputs, &weight, &bias)?)
        } else if self.in_lines {
            Kernel::LinesDepthwise(LinesDepthwise::new(isa, window, channels, &weight, &bias)?)
        } else if conv.groups == 1 {
            let precision = self.precision;
            Kernel::Conv(Conv::with_precision(
                isa, precision, window, inputs, outputs, &weight, &bias,
            )?)
        } else if conv.groups == conv.inputs && conv.inputs == conv.outputs && residual.is_none() {
            let conv = Depthwise::new(self.isa, window, channels, &weight, &bias)?;
            Kernel::Depthwise(conv)
        } else if residual.is_none() {
            let sizes =
                GroupSizes { inputs: conv.inputs, outputs: conv.outputs, groups: conv.groups };
            let mut grouped = GroupedConv::planned(self.isa, self.precision, window, sizes)?;
            grouped.pack(Order::Oihw, &weight, &bias)?;
            Kernel::Grouped(grouped)
        } else {
            return Err(NnError::Unsupported(format!(
                "`{}`: a residual sum right after a convolution of {} groups",
                conv.key, conv.groups
            )));
        };
        let excite = match &block.excite {
            Some(excite) => Some(Box::new(self.excite(excite, conv.outputs)?)),
            None => None,
        };
        self.push(kernel, from, to, output);
        let op = self.last_mut();
        (op.clamp, op.act) = split(act);
        op.excite = excite;
        op.residual = residual;
        Ok(output)
    }

    fn excite(&self, excite: &blocks::SqueezeExcite, channels: usize) -> Result<SqueezeExcite> {
        let hidden = excite.hidden;
        let layer = |key: &str, outputs: usize| {
            let weight = array(self.params, &format!("{key}.weight"), hidden * channels)?;
            let bias = array(self.params, &format!("{key}.bias"), outputs)?;
            Ok::<_, NnError>([weight, bias])
        };
        let mut kernel = SqueezeExcite::new(self.isa, channels, hidden, activation(excite.act))?;
        let (reduce, expand) = (layer(&excite.reduce, hidden)?, layer(&excite.expand, channels)?);
        kernel.pack(Order::Oihw, reduce, expand)?;
        Ok(kernel)
    }

    fn push(&mut self, kernel: Kernel, from: Option<Slot>, to: Slot, output: Shape) {
        let output = Kept::of(output, self.storage);
        let (clamp, act) = (Clamp::NONE, Activation::None);
        self.ops.push(Op { kernel, clamp, act, excite: None, from, residual: None, to, output });
    }

    fn push_to_lines(&mut self, shape: Shape, from: Option<Slot>, to: Slot) {
        let Shape::Map { channels, .. } = shape else { return };
        self.storage = Storage::Lines;
        self.push(Kernel::ToLines { channels }, from, to, shape);
    }

    fn push_to_values(&mut self, shape: Shape, from: Option<Slot>, to: Slot) {
        let Shape::Map { channels, .. } = shape else { return };
        self.storage = Storage::Values;
        self.push(Kernel::ToValues { channels }, from, to, shape);
    }

    fn last_mut(&mut self) -> &mut Op {
        let last = self.ops.len() - 1;
        &mut self.ops[last]
    }
}

/// A fully connected layer is a convolution on a single pixel.
pub(super) fn linear(isa: Isa, params: &Params, layer: &Linear) -> Result<Conv> {
    let weight = array(params, &format!("{}.weight", layer.key), layer.inputs * layer.outputs)?;
    let bias = array(params, &format!("{}.bias", layer.key), layer.outputs)?;
    Ok(Conv::new(isa, Window::PIXEL, layer.inputs, layer.outputs, weight, bias)?)
}

pub(super) fn map([height, width]: [usize; 2], channels: usize) -> Shape {
    Shape::Map { height, width, channels }
}

pub(super) fn window(
    shape: Shape,
    kernel: usize,
    stride: usize,
    padding: Padding,
) -> Result<Window> {
    let Shape::Map { height, width, .. } = shape else {
        return Err(NnError::Unsupported(format!("a window over {shape:?}")));
    };
    let size = |n| {
        padding.output(n, kernel, stride).ok_or_else(|| {
            NnError::Unsupported(format!("a {kernel}×{kernel} window over {height}×{width} pixels"))
        })
    };
    Ok(Window {
        input: [height, width],
        output: [size(height)?, size(width)?],
        kernel: [kernel; 2],
        stride,
        before: [height, width].map(|n| padding.around(n, kernel, stride).0),
    })
}

/// The last layer of a residual block, to which the shortcut is added, and those before it.
///
/// # Errors
/// For a block that puts anything between the last norm and the sum.
pub(super) fn body_of(block: &Residual) -> Result<(&ConvNormAct, &[ConvNormAct])> {
    let Some((last, body)) = block.body.split_last() else {
        return Err(NnError::Unsupported("a residual block without a body".into()));
    };
    if last.act != Act::None {
        return Err(NnError::Unsupported("an activation before the residual sum".into()));
    }
    if last.excite.is_some() && block.shortcut != Shortcut::None {
        return Err(NnError::Unsupported("squeeze-excite before the residual sum".into()));
    }
    Ok((last, body))
}
