//! What follows from a recipe: its parameters, its shapes and its cost.

use crate::blocks::{Block, Conv, ConvNormAct, EncoderLayer, Linear, Shortcut, TokenEmbed};
use crate::{NnError, Recipe, Result};

/// What a parameter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Kernel of a convolution or matrix of a linear layer.
    Weight,
    /// Bias of a convolution or linear layer.
    Bias,
    /// Scale of a norm.
    NormWeight,
    /// Shift of a norm.
    NormBias,
    /// Running mean of a norm: a buffer, not trained.
    RunningMean,
    /// Running variance of a norm: a buffer, not trained.
    RunningVar,
}

impl Role {
    /// Whether an optimiser changes it.
    pub fn trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVar)
    }
}

/// A named array that a recipe asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Full key, such as `layer1.0.bn1.running_mean`.
    pub key: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: Role,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no value; no recipe has such a parameter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Activations of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A picture of `channels`, channels innermost.
    Map {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
    },
    /// That many features.
    Vector(usize),
}

impl Shape {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Self::Map { height, width, channels } => height * width * channels,
            Self::Vector(features) => features,
        }
    }

    /// Whether there is no value.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// As the array of a batch of `n`: `[n, h, w, c]` or `[n, d]`.
    pub fn batch(self, n: usize) -> Vec<usize> {
        match self {
            Self::Map { height, width, channels } => vec![n, height, width, channels],
            Self::Vector(features) => vec![n, features],
        }
    }
}

impl Recipe {
    /// Parameters and buffers of the backbone in the order of the network.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut out = Vec::new();
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            of_block(block, &mut out);
        }
        out
    }

    /// Parameters of one stage; empty for a stage that the recipe does not have.
    pub fn stage_parameters(&self, stage: &str) -> Vec<Parameter> {
        let mut out = Vec::new();
        for block in self.stages.iter().filter(|s| s.name == stage).flat_map(|s| &s.blocks) {
            of_block(block, &mut out);
        }
        out
    }

    /// Parameters of the source classifier; empty where the recipe has none.
    pub fn head_parameters(&self) -> Vec<Parameter> {
        let mut out = Vec::new();
        if let Some(head) = &self.head {
            of_linear(head, &mut out);
        }
        out
    }

    /// Number of trained values in the backbone; running statistics are not counted.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().filter(|p| p.role.trained()).map(Parameter::len).sum()
    }

    /// Output shape of every stage for an input of `height` × `width` pixels.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] where a window is larger than what is left of the picture, or a
    /// linear layer meets another number of features than its own.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<(&'static str, Shape)>> {
        let mut shape = Shape::Map { height, width, channels: self.picture()?.channels.count() };
        let mut out = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            for block in &stage.blocks {
                shape = block_output(block, shape).ok_or_else(|| {
                    NnError::Unsupported(format!(
                        "recipe `{}` cannot take {height}×{width} pixels: stage `{}` gets {shape:?}",
                        self.name, stage.name
                    ))
                })?;
            }
            out.push((stage.name, shape));
        }
        Ok(out)
    }

    /// Output shape of one stage for an input of `height` × `width` pixels.
    ///
    /// # Errors
    /// As [`Recipe::shapes`], and [`NnError::Unknown`] for a stage that the recipe does not have.
    pub fn shape_at_stage(&self, stage: &str, height: usize, width: usize) -> Result<Shape> {
        let shapes = self.shapes(height, width)?;
        let found = shapes.iter().find(|(name, _)| *name == stage);
        found.map(|(_, shape)| *shape).ok_or_else(|| NnError::Unknown {
            family: "stage",
            name: stage.to_string(),
            suggestion: None,
        })
    }

    /// Multiply–accumulate operations of a text encoder's matrices and attention for one sequence.
    pub fn text_macs(&self, tokens: usize) -> u64 {
        let blocks = self.stages.iter().flat_map(|stage| &stage.blocks);
        let layers = blocks.map(|block| match block {
            Block::EncoderLayer(EncoderLayer { features, hidden, .. }) => {
                tokens * features * (4 * features + 2 * hidden + 2 * tokens)
            }
            _ => 0,
        });
        layers.sum::<usize>() as u64
    }

    /// Multiply–accumulate operations of the backbone's convolutions and linear layers for one
    /// input of `height` × `width` pixels.
    ///
    /// # Errors
    /// As [`Recipe::shapes`].
    pub fn macs(&self, height: usize, width: usize) -> Result<u64> {
        self.shapes(height, width)?;
        let mut shape = Shape::Map { height, width, channels: self.picture()?.channels.count() };
        let mut total = 0;
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            total += block_macs(block, shape);
            if let Some(next) = block_output(block, shape) {
                shape = next;
            }
        }
        Ok(total)
    }
}

fn of_block(block: &Block, out: &mut Vec<Parameter>) {
    match block {
        Block::Conv(layer) => of_conv(layer, out),
        Block::Residual(residual) => {
            residual.body.iter().for_each(|layer| of_conv(layer, out));
            if let Shortcut::Project(layer) = &residual.shortcut {
                of_conv(layer, out);
            }
        }
        Block::Linear(linear) => of_linear(linear, out),
        Block::TokenEmbed(embed) => of_embed(embed, out),
        Block::EncoderLayer(layer) => of_layer(layer, out),
        Block::MaxPool { .. }
        | Block::GlobalAvgPool
        | Block::Flatten
        | Block::LayerMean(_)
        | Block::TokenPool(_)
        | Block::UnitLength => {}
    }
}

fn of_embed(embed: &TokenEmbed, out: &mut Vec<Parameter>) {
    for (key, rows) in embed.tables() {
        let shape = vec![rows, embed.features];
        out.push(Parameter { key: format!("{key}.weight"), shape, role: Role::Weight });
    }
    if let Some(norm) = &embed.norm {
        of_norm(&norm.key, embed.features, out);
    }
}

fn of_layer(layer: &EncoderLayer, out: &mut Vec<Parameter>) {
    let EncoderLayer { features, hidden, .. } = *layer;
    let linear = |key: &str, inputs, outputs, out: &mut Vec<Parameter>| {
        of_linear(&Linear { key: key.to_string(), inputs, outputs, act: layer.act }, out);
    };
    for key in layer.projections.iter().chain([&layer.output]) {
        linear(key, features, features, out);
    }
    of_norm(&layer.attention_norm.key, features, out);
    linear(&layer.expand, features, hidden, out);
    linear(&layer.shrink, hidden, features, out);
    of_norm(&layer.norm.key, features, out);
}

fn of_norm(key: &str, features: usize, out: &mut Vec<Parameter>) {
    for (field, role) in [("weight", Role::NormWeight), ("bias", Role::NormBias)] {
        out.push(Parameter { key: format!("{key}.{field}"), shape: vec![features], role });
    }
}

fn of_conv(layer: &ConvNormAct, out: &mut Vec<Parameter>) {
    let conv = &layer.conv;
    let mut push = |key: &str, field: &str, shape: Vec<usize>, role| {
        out.push(Parameter { key: format!("{key}.{field}"), shape, role });
    };
    let kernel = vec![conv.outputs, conv.inputs / conv.groups, conv.kernel, conv.kernel];
    push(&conv.key, "weight", kernel, Role::Weight);
    if conv.bias {
        push(&conv.key, "bias", vec![conv.outputs], Role::Bias);
    }
    if let Some(norm) = &layer.norm {
        push(&norm.key, "weight", vec![conv.outputs], Role::NormWeight);
        push(&norm.key, "bias", vec![conv.outputs], Role::NormBias);
        push(&norm.key, "running_mean", vec![conv.outputs], Role::RunningMean);
        push(&norm.key, "running_var", vec![conv.outputs], Role::RunningVar);
    }
    if let Some(excite) = &layer.excite {
        let (channels, hidden) = (conv.outputs, excite.hidden);
        push(&excite.reduce, "weight", vec![hidden, channels, 1, 1], Role::Weight);
        push(&excite.reduce, "bias", vec![hidden], Role::Bias);
        push(&excite.expand, "weight", vec![channels, hidden, 1, 1], Role::Weight);
        push(&excite.expand, "bias", vec![channels], Role::Bias);
    }
}

fn of_linear(linear: &Linear, out: &mut Vec<Parameter>) {
    let key = |field| format!("{}.{field}", linear.key);
    let matrix = vec![linear.outputs, linear.inputs];
    out.push(Parameter { key: key("weight"), shape: matrix, role: Role::Weight });
    out.push(Parameter { key: key("bias"), shape: vec![linear.outputs], role: Role::Bias });
}

/// `None` where the block cannot take the shape.
fn block_output(block: &Block, shape: Shape) -> Option<Shape> {
    match (block, shape) {
        (Block::Conv(layer), _) => conv_output(&layer.conv, shape),
        (Block::Residual(residual), _) => {
            let body = residual
                .body
                .iter()
                .try_fold(shape, |shape, layer| conv_output(&layer.conv, shape))?;
            let other = match &residual.shortcut {
                Shortcut::None => body,
                Shortcut::Identity => shape,
                Shortcut::Project(layer) => conv_output(&layer.conv, shape)?,
            };
            (body == other).then_some(body)
        }
        (Block::MaxPool { kernel, stride, padding }, Shape::Map { height, width, channels }) => {
            Some(Shape::Map {
                height: padding.output(height, *kernel, *stride)?,
                width: padding.output(width, *kernel, *stride)?,
                channels,
            })
        }
        (Block::GlobalAvgPool, Shape::Map { channels, .. }) => Some(Shape::Vector(channels)),
        (Block::Flatten, Shape::Map { .. }) => Some(Shape::Vector(shape.len())),
        (Block::Linear(linear), Shape::Vector(d)) if d == linear.inputs => {
            Some(Shape::Vector(linear.outputs))
        }
        _ => None,
    }
}

fn conv_output(conv: &Conv, shape: Shape) -> Option<Shape> {
    let Shape::Map { height, width, channels } = shape else { return None };
    (channels == conv.inputs).then_some(())?;
    Some(Shape::Map {
        height: conv.padding.output(height, conv.kernel, conv.stride)?,
        width: conv.padding.output(width, conv.kernel, conv.stride)?,
        channels: conv.outputs,
    })
}

/// Zero where the block cannot take the shape.
fn block_macs(block: &Block, shape: Shape) -> u64 {
    match block {
        Block::Conv(layer) => layer_macs(layer, shape),
        Block::Residual(residual) => {
            let mut total = 0;
            let mut at = shape;
            for layer in &residual.body {
                total += layer_macs(layer, at);
                at = conv_output(&layer.conv, at).unwrap_or(at);
            }
            if let Shortcut::Project(layer) = &residual.shortcut {
                total += layer_macs(layer, shape);
            }
            total
        }
        Block::Linear(linear) => (linear.inputs * linear.outputs) as u64,
        _ => 0,
    }
}

fn layer_macs(layer: &ConvNormAct, shape: Shape) -> u64 {
    let excite = layer.excite.as_ref().map_or(0, |e| 2 * e.hidden * layer.conv.outputs);
    conv_macs(&layer.conv, shape) + excite as u64
}

fn conv_macs(conv: &Conv, shape: Shape) -> u64 {
    let values = conv_output(conv, shape).map_or(0, Shape::len);
    (values * (conv.inputs / conv.groups) * conv.kernel * conv.kernel) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones;

    /// Counted by PyTorch on the models of timm, torchvision and ccexam: values of all parameters
    /// and multiply–accumulates of all convolutions and linear layers, classifier included. VGG's
    /// are those of `features` alone.
    #[test]
    fn size_and_cost_are_those_that_pytorch_counts() {
        for (name, parameters, macs) in [
            ("craft_vgg16_bn", 12_362_304, 14_884_208_640),
            ("digits_mnist", 421_642, 4_241_152),
            ("digits_svhn", 815_018, 39_160_320),
            ("digits_usps", 151_498, 1_385_728),
            ("efficientnet_lite0", 4_652_008, 385_187_552),
            ("efficientnet_lite1", 5_416_680, 600_185_232),
            ("efficientnet_lite2", 6_092_072, 859_736_272),
            ("efficientnet_b0", 5_288_548, 385_814_752),
            ("mobilenet_v2", 3_504_872, 300_774_272),
            ("resnet18", 11_689_512, 1_814_073_344),
            ("resnet34", 21_797_672, 3_663_761_408),
            ("resnet50", 25_557_032, 4_089_184_256),
            ("resnext50_32x4d", 25_028_904, 4_230_479_872),
            ("vgg16_bn", 14_723_136, 15_346_630_656),
        ] {
            let recipe = backbones::find(name).unwrap();
            let head: usize = recipe.head_parameters().iter().map(Parameter::len).sum();
            assert_eq!(recipe.parameter_count() + head, parameters, "{name}");
            let classifier =
                recipe.head.as_ref().map_or(0, |head| (head.inputs * head.outputs) as u64);
            let size = recipe.picture().unwrap().size;
            assert_eq!(recipe.macs(size, size).unwrap() + classifier, macs, "{name}");
        }
    }

    #[test]
    fn every_recipe_ends_in_its_feature_vector_at_its_own_size() {
        for entry in backbones::pictures() {
            let recipe = (entry.recipe)();
            let size = recipe.picture().unwrap().size;
            let shapes = recipe.shapes(size, size).unwrap();
            let last = shapes.last().map(|(_, shape)| *shape);
            assert_eq!(last, Some(Shape::Vector(recipe.feature_dim)), "{}", entry.name);
            let names: std::collections::BTreeSet<_> =
                shapes.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), shapes.len(), "{}: stage names repeat", entry.name);
        }
    }

    #[test]
    fn a_picture_that_is_too_small_is_refused_by_stage() {
        let recipe = backbones::find("vgg16_bn").unwrap();
        let error = recipe.shapes(8, 8).unwrap_err().to_string();
        assert!(error.contains("`conv4`"), "{error}");
        let recipe = backbones::find("digits_usps").unwrap();
        assert!(recipe.shapes(20, 16).unwrap_err().to_string().contains("`hidden`"));
        assert!(recipe.shapes(0, 0).is_err());
    }

    #[test]
    fn keys_are_unique() {
        for entry in backbones::all() {
            let recipe = (entry.recipe)();
            let mut keys: Vec<_> = recipe.parameters().into_iter().map(|p| p.key).collect();
            keys.extend(recipe.head_parameters().into_iter().map(|p| p.key));
            let n = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), n, "{}", entry.name);
        }
    }
}
