//! From a recipe's blocks to layers over numbered tensors.

use std::collections::BTreeMap;

use offshoot_kernels::{
    Activation, BatchNorm, Conv, ConvGrad, Depthwise, DepthwiseGrad, GroupSizes, GroupedConv,
    GroupedConvGrad, Isa, Precision, SqueezeExcite, Window,
};

use super::activation::ActLayer;
use super::conv::ConvLayer;
use super::excite::ExciteLayer;
use super::kernel::Kernel;
use super::layer::{Layer, ShapeKind, ShapeLayer};
use super::norm::{MOMENTUM, Norm};
use super::param::Param;
use super::{NormMode, TensorId, TrainOptions};
use crate::blocks::{self, Act, Block, ConvNormAct, Linear, Residual, Shortcut};
use crate::cpu::fold::array;
use crate::cpu::{activation, lower, split};
use crate::{NnError, Params, Result, Role, Shape, Stage};

pub(super) struct Built {
    pub layers: Vec<Layer>,
    pub params: Vec<Param>,
    /// Values of one sample in each tensor.
    pub tensors: Vec<usize>,
    /// Whether a tensor is a norm's output that only a convolution reads, which can form it itself.
    pub derived: Vec<bool>,
    /// Whether a tensor, or the gradient of a derived one, is stored in bf16.
    pub narrow: Vec<bool>,
    /// Whether a tensor's gradient leads to anything that learns.
    pub wanted: Vec<bool>,
    /// The tensor that each stage asked for gives out.
    pub taps: BTreeMap<String, TensorId>,
    pub output: Shape,
}

/// Builds the stages from `first` on for inputs of shape `input`.
pub(super) fn build(
    isa: Isa,
    options: &TrainOptions,
    params: &Params,
    input: Shape,
    all: &[Stage],
    first: usize,
) -> Result<Built> {
    let (frozen, stages) = all.split_at(first);
    let mut builder = Builder {
        isa,
        options,
        from: params,
        stage: "",
        layers: Vec::new(),
        params: Vec::new(),
        tensors: vec![input.len()],
        branches: [branches(frozen), branches(all)],
    };
    let (mut at, mut shape) = (0, input);
    let mut taps = BTreeMap::new();
    for stage in stages {
        builder.stage = stage.name;
        for block in &stage.blocks {
            (at, shape) = builder.block(at, shape, block)?;
        }
        if options.taps.iter().any(|tap| tap == stage.name) {
            taps.insert(stage.name.to_string(), at);
        }
    }
    if let Some(missing) = options.taps.iter().find(|tap| !taps.contains_key(*tap)) {
        let detail = format!("activations of stage `{missing}`, which is not trained");
        return Err(NnError::Unsupported(detail));
    }
    if builder.layers.is_empty() {
        return Err(NnError::Unsupported("every stage is frozen: nothing is left to train".into()));
    }
    let Builder { mut layers, params, tensors, .. } = builder;
    let mut readers = vec![0; tensors.len()];
    for layer in &layers {
        layer.reads().for_each(|id| readers[id] += 1);
    }
    let mut derived = vec![false; tensors.len()];
    // Whoever asked for a stage's output is a reader, too, and may add to its gradient.
    taps.values().for_each(|&id| readers[id] += 1);
    for layer in &mut layers {
        match layer {
            Layer::Conv(conv) => {
                conv.sole_reader = readers[conv.input] == 1;
                derived[conv.input] = conv.sole_reader;
            }
            Layer::Act(act) => derived[act.input] = readers[act.input] == 1,
            Layer::Shape(_) | Layer::Excite(_) => {}
        }
    }
    let mut from_norm = vec![false; tensors.len()];
    for layer in &layers {
        if let Layer::Conv(conv) = layer {
            from_norm[conv.output] = conv.norm.is_some() && conv.residual.is_none();
        }
    }
    derived.iter_mut().zip(from_norm).for_each(|(derived, from_norm)| *derived &= from_norm);
    let mut narrow = vec![false; tensors.len()];
    let mut wanted = vec![false; tensors.len()];
    wanted[0] = options.input_gradient;
    for layer in &mut layers {
        let learns = layer.params().into_iter().any(|at| params[at].learns);
        wanted[layer.output()] = learns || layer.reads().any(|id| wanted[id]);
        match layer {
            Layer::Conv(conv) => {
                conv.wanted = [wanted[conv.input], conv.residual.is_some_and(|id| wanted[id])];
            }
            Layer::Excite(excite) => excite.wanted = wanted[excite.input],
            Layer::Shape(_) | Layer::Act(_) => {}
        }
    }
    if options.precision == Precision::Bf16 {
        narrow.clone_from(&derived);
        for layer in &layers {
            match layer {
                Layer::Conv(conv) => conv.before_norm.into_iter().for_each(|id| narrow[id] = true),
                // It passes its output's gradient on in place.
                Layer::Act(act) => narrow[act.input] = false,
                Layer::Shape(_) | Layer::Excite(_) => {}
            }
        }
    }
    Ok(Built { layers, params, tensors, derived, narrow, wanted, taps, output: shape })
}

/// Residual sums, each of which has a branch that stochastic depth may leave out.
fn branches(stages: &[Stage]) -> usize {
    let blocks = stages.iter().flat_map(|stage| &stage.blocks);
    blocks.filter(|b| matches!(b, Block::Residual(r) if r.shortcut != Shortcut::None)).count()
}

struct Builder<'a> {
    isa: Isa,
    options: &'a TrainOptions,
    from: &'a Params,
    stage: &'static str,
    layers: Vec<Layer>,
    params: Vec<Param>,
    tensors: Vec<usize>,
    /// Residual sums so far, frozen ones included, and of the whole network.
    branches: [usize; 2],
}

impl Builder<'_> {
    fn block(&mut self, at: TensorId, shape: Shape, block: &Block) -> Result<(TensorId, Shape)> {
        match (block, shape) {
            (Block::Conv(conv), _) => self.conv(at, shape, conv, None, conv.act),
            (Block::Residual(residual), _) => self.residual(at, shape, residual),
            (&Block::MaxPool { kernel, stride, padding }, Shape::Map { channels, .. }) => {
                let window = lower::window(shape, kernel, stride, padding)?;
                let output = lower::map(window.output, channels);
                Ok((self.shape_layer(ShapeKind::MaxPool(window), channels, at, output), output))
            }
            (Block::GlobalAvgPool, Shape::Map { channels, .. }) => {
                let output = Shape::Vector(channels);
                Ok((self.shape_layer(ShapeKind::MeanPool, channels, at, output), output))
            }
            (Block::Flatten, Shape::Map { channels, .. }) => {
                let output = Shape::Vector(shape.len());
                Ok((self.shape_layer(ShapeKind::Flatten, channels, at, output), output))
            }
            (Block::Linear(linear), Shape::Vector(inputs)) if inputs == linear.inputs => {
                self.linear(at, linear)
            }
            _ => Err(NnError::Unsupported(format!("training {block:?} after {shape:?}"))),
        }
    }

    fn shape_layer(
        &mut self,
        kind: ShapeKind,
        channels: usize,
        input: TensorId,
        shape: Shape,
    ) -> TensorId {
        let output = self.tensor(shape.len());
        self.layers.push(Layer::Shape(ShapeLayer { kind, channels, input, output }));
        output
    }

    fn tensor(&mut self, len: usize) -> TensorId {
        self.tensors.push(len);
        self.tensors.len() - 1
    }

    fn param(&mut self, key: String, shape: Vec<usize>, role: Role) -> Result<usize> {
        let learns = self.options.learns.as_ref().is_none_or(|keys| keys.contains(&key));
        self.params.push(Param::read(self.from, self.stage, key, shape, role, learns)?);
        Ok(self.params.len() - 1)
    }

    /// The next residual branch's number, and how likely it is left out: the later, the likelier.
    fn next_branch(&mut self) -> (usize, f32) {
        let [before, all] = self.branches;
        self.branches[0] += 1;
        (before, self.options.drop_path * (before + 1) as f32 / all as f32)
    }

    fn residual(
        &mut self,
        at: TensorId,
        shape: Shape,
        block: &Residual,
    ) -> Result<(TensorId, Shape)> {
        let (last, body) = lower::body_of(block)?;
        let shortcut = match &block.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some((at, shape)),
            Shortcut::Project(conv) => Some(self.conv(at, shape, conv, None, conv.act)?),
        };
        let (mut inner, mut inner_shape) = (at, shape);
        for conv in body {
            (inner, inner_shape) = self.conv(inner, inner_shape, conv, None, conv.act)?;
        }
        let residual = shortcut.map(|(id, _)| id);
        let (output, output_shape) = self.conv(inner, inner_shape, last, residual, block.act)?;
        if residual.is_some() {
            let branch = self.next_branch();
            let end = self.layers.iter_mut().rev().find_map(|layer| match layer {
                Layer::Conv(conv) => Some(conv),
                _ => None,
            });
            if let Some(conv) = end.filter(|conv| branch.1 > 0.0 && conv.norm.is_some()) {
                conv.drop = Some(branch);
            }
        }
        match shortcut {
            Some((_, shape)) if shape != output_shape => Err(NnError::Unsupported(format!(
                "a residual sum of {shape:?} and {output_shape:?}"
            ))),
            _ => Ok((output, output_shape)),
        }
    }

    fn conv(
        &mut self,
        input: TensorId,
        shape: Shape,
        block: &ConvNormAct,
        residual: Option<TensorId>,
        act: Act,
    ) -> Result<(TensorId, Shape)> {
        let conv = &block.conv;
        let Shape::Map { channels: inputs, .. } = shape else {
            return Err(NnError::Unsupported(format!("`{}` cannot follow {shape:?}", conv.key)));
        };
        let window = lower::window(shape, conv.kernel, conv.stride, conv.padding)?;
        let channels = conv.outputs;
        if inputs != conv.inputs {
            return Err(NnError::Unsupported(format!(
                "`{}` expects {} channels, got {inputs}",
                conv.key, conv.inputs
            )));
        }
        if conv.groups != 1 && residual.is_some() && block.norm.is_none() {
            return Err(NnError::Unsupported(format!(
                "`{}`: a residual sum right after a convolution of {} groups",
                conv.key, conv.groups
            )));
        }
        let kernel = if conv.groups == 1 {
            self.dense(window, inputs, channels)?
        } else if conv.groups == inputs && channels == inputs {
            let zeros = vec![0.0; channels * conv.kernel * conv.kernel];
            let bias = &zeros[..channels];
            let forward = Box::new(Depthwise::new(self.isa, window, channels, &zeros, bias)?);
            let gradient = Box::new(DepthwiseGrad::new(self.isa, window, channels)?);
            Kernel::Depthwise { forward, gradient }
        } else {
            let sizes = GroupSizes { inputs, outputs: channels, groups: conv.groups };
            let (isa, precision) = (self.isa, self.options.precision);
            let forward = Box::new(GroupedConv::planned(isa, precision, window, sizes)?);
            let gradient = Box::new(GroupedConvGrad::new(isa, precision, window, sizes)?);
            Kernel::Grouped { forward, gradient }
        };
        let of_weight = vec![channels, inputs / conv.groups, conv.kernel, conv.kernel];
        let weight = self.param(format!("{}.weight", conv.key), of_weight, Role::Weight)?;
        let bias = match conv.bias {
            true => Some(self.param(format!("{}.bias", conv.key), vec![channels], Role::Bias)?),
            false => None,
        };
        let norm = match &block.norm {
            None => None,
            Some(norm) => {
                let read = |name| array(self.from, &format!("{}.{name}", norm.key), channels);
                let (mean, var) = (read("running_mean")?.to_vec(), read("running_var")?.to_vec());
                let (weight, bias) = (format!("{}.weight", norm.key), format!("{}.bias", norm.key));
                let gamma = self.param(weight, vec![channels], Role::NormWeight)?;
                Some(Norm {
                    key: norm.key.clone(),
                    gamma,
                    beta: self.param(bias, vec![channels], Role::NormBias)?,
                    eps: norm.eps,
                    // Statistics of a norm that stays as it is belong to the source.
                    mode: match self.params[gamma].learns {
                        true => self.options.norm,
                        false => NormMode::Running,
                    },
                    momentum: MOMENTUM,
                    running_mean: mean,
                    running_var: var,
                    mean: vec![0.0; channels],
                    inverse: vec![0.0; channels],
                    scale: vec![0.0; channels],
                    shift: vec![0.0; channels],
                    sums: Vec::new(),
                })
            }
        };
        let output_shape = lower::map(window.output, channels);
        let (clamp, smooth) = split(act);
        let before_norm = norm.is_some().then(|| self.tensor(output_shape.len()));
        let output = self.tensor(output_shape.len());
        self.layers.push(Layer::Conv(Box::new(ConvLayer {
            kernel,
            weight,
            bias,
            norm,
            act: clamp,
            input,
            before_norm,
            residual,
            output,
            sole_reader: false,
            wanted: [true; 2],
            drop: None,
            factors: Vec::new(),
            passes: BatchNorm::new(self.isa, channels)?,
            channels,
            stale: true,
        })));
        let output = self.smooth(smooth, output);
        match &block.excite {
            Some(excite) => Ok((self.excite(excite, channels, output)?, output_shape)),
            None => Ok((output, output_shape)),
        }
    }

    /// The activation's layer, where there is one.
    fn smooth(&mut self, act: Activation, input: TensorId) -> TensorId {
        if act == Activation::None {
            return input;
        }
        let output = self.tensor(self.tensors[input]);
        self.layers.push(Layer::Act(ActLayer { isa: self.isa, act, input, output }));
        output
    }

    fn excite(
        &mut self,
        excite: &blocks::SqueezeExcite,
        channels: usize,
        input: TensorId,
    ) -> Result<TensorId> {
        let hidden = excite.hidden;
        let mut layer = |key: &str, inputs: usize, outputs: usize| {
            let sizes = vec![outputs, inputs, 1, 1];
            let weight = self.param(format!("{key}.weight"), sizes, Role::Weight)?;
            let bias = self.param(format!("{key}.bias"), vec![outputs], Role::Bias)?;
            Ok::<_, NnError>([weight, bias])
        };
        let reduce = layer(&excite.reduce, channels, hidden)?;
        let expand = layer(&excite.expand, hidden, channels)?;
        let kernel = SqueezeExcite::new(self.isa, channels, hidden, activation(excite.act))?;
        let output = self.tensor(self.tensors[input]);
        let kept = Vec::new();
        let layer =
            ExciteLayer { kernel, reduce, expand, input, output, kept, stale: true, wanted: true };
        self.layers.push(Layer::Excite(Box::new(layer)));
        Ok(output)
    }

    fn dense(&self, window: Window, inputs: usize, outputs: usize) -> Result<Kernel> {
        let (isa, precision) = (self.isa, self.options.precision);
        let forward = Box::new(Conv::planned(isa, precision, window, inputs, outputs)?);
        let gradient = Box::new(ConvGrad::new(isa, precision, window, inputs, outputs)?);
        Ok(Kernel::Dense { forward, gradient })
    }

    /// A fully connected layer is a convolution on a single pixel.
    fn linear(&mut self, input: TensorId, block: &Linear) -> Result<(TensorId, Shape)> {
        let pixel =
            Window { input: [1, 1], output: [1, 1], kernel: [1, 1], stride: 1, before: [0, 0] };
        let kernel = self.dense(pixel, block.inputs, block.outputs)?;
        let sizes = vec![block.outputs, block.inputs];
        let weight = self.param(format!("{}.weight", block.key), sizes, Role::Weight)?;
        let bias = format!("{}.bias", block.key);
        let bias = Some(self.param(bias, vec![block.outputs], Role::Bias)?);
        let (clamp, smooth) = split(block.act);
        let output = self.tensor(block.outputs);
        self.layers.push(Layer::Conv(Box::new(ConvLayer {
            kernel,
            weight,
            bias,
            norm: None,
            act: clamp,
            input,
            before_norm: None,
            residual: None,
            output,
            sole_reader: false,
            wanted: [true; 2],
            drop: None,
            factors: Vec::new(),
            passes: BatchNorm::new(self.isa, block.outputs)?,
            channels: block.outputs,
            stale: true,
        })));
        Ok((self.smooth(smooth, output), Shape::Vector(block.outputs)))
    }
}
