//! The ResNet family, with the stride on the 3×3 convolution ("v1.5").
//!
//! Keys are torchvision's, which timm shares.

use super::assemble::{Style, Window, classifier, pool};
use super::{IMAGENET_MEAN, IMAGENET_STD};
use crate::blocks::{Act, Block, ConvNormAct, Padding, Residual, Shortcut};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

const STYLE: Style = Style { eps: 1e-5, same: false, act: Act::Relu };

/// Builds one member of the family.
pub(super) fn recipe(name: &'static str, summary: &'static str, body: Body) -> Recipe {
    let stem = STYLE.conv_norm_act("conv1".into(), "bn1".into(), Window::dense(3, 64, 7, 2));
    let shrink = Block::MaxPool { kernel: 3, stride: 2, padding: Padding::Symmetric(1) };
    let mut stages = vec![Stage { name: "stem", blocks: vec![Block::Conv(stem), shrink] }];
    let mut inputs = 64;
    for (s, stage) in ["layer1", "layer2", "layer3", "layer4"].into_iter().enumerate() {
        let width = 64 << s;
        let mut blocks = Vec::new();
        for repeat in 0..body.repeats[s] {
            let stride = if repeat == 0 && s > 0 { 2 } else { 1 };
            let (block, outputs) =
                (body.block)(&format!("{stage}.{repeat}"), inputs, width, stride);
            blocks.push(block);
            inputs = outputs;
        }
        stages.push(Stage { name: stage, blocks });
    }
    stages.push(pool());
    Recipe {
        name,
        summary,
        paper: "He et al. 2015, arXiv:1512.03385",
        input: ModelInput::Picture(InputSpec {
            size: 224,
            crop_fraction: Some(0.875),
            interpolation: Interpolation::Bilinear,
            channels: Channels::Rgb,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
        }),
        stages,
        feature_dim: inputs,
        head: classifier("fc", inputs, 1000),
        rename: body.rename,
    }
}

/// What differs between members of the family.
pub(super) struct Body {
    /// Blocks a stage.
    pub repeats: [usize; 4],
    /// (key, inputs, width, stride) → block and its output channels.
    pub block: fn(&str, usize, usize, usize) -> (Block, usize),
    /// From Hugging Face's names.
    pub rename: fn(&str) -> Option<String>,
}

/// Two 3×3 convolutions.
pub(super) fn basic_block(key: &str, inputs: usize, width: usize, stride: usize) -> (Block, usize) {
    let body = vec![
        conv(key, 1, Window::dense(inputs, width, 3, stride)),
        linear_conv(key, 2, Window::dense(width, width, 3, 1)),
    ];
    (residual(key, body, stride), width)
}

/// 1×1 down, 3×3, 1×1 up to four times the width.
pub(super) fn bottleneck(key: &str, inputs: usize, width: usize, stride: usize) -> (Block, usize) {
    let window = Window::dense(width, width, 3, stride);
    (around(key, inputs, window, 4 * width), 4 * width)
}

/// A bottleneck whose 3×3 convolution is twice as wide, in 32 groups: `32x4d` of ResNeXt.
pub(super) fn grouped_bottleneck(
    key: &str,
    inputs: usize,
    width: usize,
    stride: usize,
) -> (Block, usize) {
    let window = Window { groups: 32, ..Window::dense(2 * width, 2 * width, 3, stride) };
    (around(key, inputs, window, 4 * width), 4 * width)
}

/// 1×1 to the window's channels, the window, 1×1 to `outputs`.
fn around(key: &str, inputs: usize, window: Window, outputs: usize) -> Block {
    let body = vec![
        conv(key, 1, Window::dense(inputs, window.inputs, 1, 1)),
        conv(key, 2, window),
        linear_conv(key, 3, Window::dense(window.outputs, outputs, 1, 1)),
    ];
    residual(key, body, window.stride)
}

fn conv(key: &str, n: usize, window: Window) -> ConvNormAct {
    STYLE.conv_norm_act(format!("{key}.conv{n}"), format!("{key}.bn{n}"), window)
}

fn linear_conv(key: &str, n: usize, window: Window) -> ConvNormAct {
    STYLE.conv_norm(format!("{key}.conv{n}"), format!("{key}.bn{n}"), window)
}

/// The shortcut projects where size or channels change.
fn residual(key: &str, body: Vec<ConvNormAct>, stride: usize) -> Block {
    let inputs = body.first().map_or(0, |layer| layer.conv.inputs);
    let outputs = body.last().map_or(0, |layer| layer.conv.outputs);
    let shortcut = if stride == 1 && inputs == outputs {
        Shortcut::Identity
    } else {
        let (conv, norm) = (format!("{key}.downsample.0"), format!("{key}.downsample.1"));
        Shortcut::Project(STYLE.conv_norm(conv, norm, Window::dense(inputs, outputs, 1, stride)))
    };
    Block::Residual(Residual { body, shortcut, act: Act::Relu })
}

/// From the names of `ResNetForImageClassification` in Hugging Face transformers.
pub(super) fn rename(key: &str) -> Option<String> {
    let (layer, field) = key.rsplit_once('.')?;
    let layer = match layer.strip_prefix("resnet.").unwrap_or(layer) {
        "classifier.1" => "fc".to_string(),
        "embedder.embedder.convolution" => "conv1".to_string(),
        "embedder.embedder.normalization" => "bn1".to_string(),
        inner => {
            let (stage, inner) = inner.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
            let (repeat, part) = inner.split_once('.')?;
            let stage = stage.parse::<usize>().ok().filter(|&stage| stage < 4)? + 1;
            let part = match part {
                "shortcut.convolution" => "downsample.0".to_string(),
                "shortcut.normalization" => "downsample.1".to_string(),
                _ => {
                    let (n, kind) = part.strip_prefix("layer.")?.split_once('.')?;
                    let n = n.parse::<usize>().ok().filter(|&n| n < 3)? + 1;
                    match kind {
                        "convolution" => format!("conv{n}"),
                        "normalization" => format!("bn{n}"),
                        _ => return None,
                    }
                }
            };
            format!("layer{stage}.{repeat}.{part}")
        }
    };
    Some(format!("{layer}.{field}"))
}
