//! The EfficientNet-Lite family: EfficientNet without squeeze-and-excite, with ReLU6.
//!
//! Keys are those of timm's `tf_efficientnet_lite*`.

use super::assemble::{Style, Window, classifier, inverted_residual, pool};
use super::timm;
use crate::blocks::{Act, Block, ConvNormAct};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

/// TensorFlow's convention throughout, since the weights were trained there.
const STYLE: Style = Style { eps: 1e-3, same: true, act: Act::Relu6 };

/// Stage, expansion, kernel, first stride: the same in the whole family.
const TABLE: [(&str, usize, usize, usize); 7] = [
    ("stage1", 1, 3, 1),
    ("stage2", 6, 3, 2),
    ("stage3", 6, 5, 2),
    ("stage4", 6, 3, 2),
    ("stage5", 6, 5, 1),
    ("stage6", 6, 5, 2),
    ("stage7", 6, 3, 1),
];

/// What differs between members of the family.
pub(super) struct Member {
    pub name: &'static str,
    pub summary: &'static str,
    pub size: usize,
    pub channels: [usize; 7],
    pub repeats: [usize; 7],
    pub rename: fn(&str) -> Option<String>,
}

/// Builds one member.
pub(super) fn recipe(member: Member) -> Recipe {
    let stem = layer("conv_stem", "bn1", Window::dense(3, 32, 3, 2));
    let mut stages = vec![Stage { name: "stem", blocks: vec![Block::Conv(stem)] }];
    let mut inputs = 32;
    for (s, (name, expansion, kernel, first)) in TABLE.into_iter().enumerate() {
        let outputs = member.channels[s];
        let mut blocks = Vec::new();
        for repeat in 0..member.repeats[s] {
            let depthwise =
                Window::depthwise(inputs * expansion, kernel, if repeat == 0 { first } else { 1 });
            blocks.push(block(&format!("blocks.{s}.{repeat}"), inputs, depthwise, outputs));
            inputs = outputs;
        }
        stages.push(Stage { name, blocks });
    }
    let top = layer("conv_head", "bn2", Window::dense(inputs, 1280, 1, 1));
    stages.push(Stage { name: "top", blocks: vec![Block::Conv(top)] });
    stages.push(pool());
    Recipe {
        name: member.name,
        summary: member.summary,
        paper: "Tan & Le 2019, arXiv:1905.11946; Lite variants: Liu 2020, TensorFlow blog",
        input: ModelInput::Picture(InputSpec {
            size: member.size,
            // The whole picture, as the released Lite models are used on devices.
            crop_fraction: None,
            interpolation: Interpolation::Bicubic,
            channels: Channels::Rgb,
            mean: vec![127.0 / 255.0; 3],
            std: vec![128.0 / 255.0; 3],
        }),
        stages,
        feature_dim: 1280,
        head: classifier("classifier", 1280, 1000),
        rename: member.rename,
    }
}

fn layer(conv: &str, norm: &str, window: Window) -> ConvNormAct {
    STYLE.conv_norm_act(conv.to_string(), norm.to_string(), window)
}

/// Depthwise-separable where the depthwise convolution keeps the input's channels, otherwise an
/// inverted residual with its expansion.
fn block(key: &str, inputs: usize, depthwise: Window, outputs: usize) -> Block {
    let hidden = depthwise.inputs;
    let project = Window::dense(hidden, outputs, 1, 1);
    let at = |part: &str| format!("{key}.{part}");
    let body = if hidden == inputs {
        vec![
            layer(&at("conv_dw"), &at("bn1"), depthwise),
            STYLE.conv_norm(at("conv_pw"), at("bn2"), project),
        ]
    } else {
        vec![
            layer(&at("conv_pw"), &at("bn1"), Window::dense(inputs, hidden, 1, 1)),
            layer(&at("conv_dw"), &at("bn2"), depthwise),
            STYLE.conv_norm(at("conv_pwl"), at("bn3"), project),
        ]
    };
    inverted_residual(body)
}

/// From the names of the PyTorch ports (`_conv_stem`, `_blocks.N._expand_conv`, `_fc`, …).
pub(super) fn rename(key: &str, repeats: &[usize; 7]) -> Option<String> {
    let (layer, field) = key.rsplit_once('.')?;
    let layer = match layer {
        "_conv_stem" => "conv_stem".to_string(),
        "_bn0" => "bn1".to_string(),
        "_conv_head" => "conv_head".to_string(),
        "_bn1" => "bn2".to_string(),
        "_fc" => "classifier".to_string(),
        _ => {
            let (index, part) = layer.strip_prefix("_blocks.")?.split_once('.')?;
            let (stage, repeat) = timm::stage_of(index.parse().ok()?, repeats)?;
            // Only the first stage has no expansion, which shifts the numbers by one.
            let part = match (stage, part) {
                (1.., "_expand_conv") => "conv_pw",
                (1.., "_bn0") => "bn1",
                (_, "_depthwise_conv") => "conv_dw",
                (0, "_bn1") => "bn1",
                (1.., "_bn1") => "bn2",
                (0, "_project_conv") => "conv_pw",
                (1.., "_project_conv") => "conv_pwl",
                (0, "_bn2") => "bn2",
                (1.., "_bn2") => "bn3",
                _ => return None,
            };
            format!("blocks.{stage}.{repeat}.{part}")
        }
    };
    Some(format!("{layer}.{field}"))
}
