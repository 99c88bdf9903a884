//! EfficientNet-B0: inverted residuals with squeeze-and-excitation, found by search.
//!
//! Keys are timm's. Weights trained in TensorFlow (`tf_efficientnet_b0` and its PyTorch ports) pad and
//! normalise differently, so the names of those ports are deliberately not known here.

use super::assemble::{Style, Window, classifier, inverted_residual, pool};
use super::{IMAGENET_MEAN, IMAGENET_STD};
use crate::blocks::{Act, Block, ConvNormAct, SqueezeExcite};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

const STYLE: Style = Style { eps: 1e-5, same: false, act: Act::Silu };

/// Table 1 of the paper: expansion, kernel, channels, repeats, first stride.
const TABLE: [(&str, usize, usize, usize, usize, usize); 7] = [
    ("stage1", 1, 3, 16, 1, 1),
    ("stage2", 6, 3, 24, 2, 2),
    ("stage3", 6, 5, 40, 2, 2),
    ("stage4", 6, 3, 80, 3, 2),
    ("stage5", 6, 5, 112, 3, 1),
    ("stage6", 6, 5, 192, 4, 2),
    ("stage7", 6, 3, 320, 1, 1),
];

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let stem = layer("conv_stem", "bn1", Window::dense(3, 32, 3, 2));
    let mut stages = vec![Stage { name: "stem", blocks: vec![Block::Conv(stem)] }];
    let mut inputs = 32;
    for (s, (name, expansion, kernel, outputs, repeats, first)) in TABLE.into_iter().enumerate() {
        let mut blocks = Vec::new();
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first } else { 1 };
            let depthwise = Window::depthwise(inputs * expansion, kernel, stride);
            blocks.push(block(&format!("blocks.{s}.{repeat}"), inputs, depthwise, outputs));
            inputs = outputs;
        }
        stages.push(Stage { name, blocks });
    }
    let top = layer("conv_head", "bn2", Window::dense(inputs, 1280, 1, 1));
    stages.push(Stage { name: "top", blocks: vec![Block::Conv(top)] });
    stages.push(pool());
    Recipe {
        name: "efficientnet_b0",
        summary: "EfficientNet-B0, 4.0 M parameters, 0.38 GMAC at 224 px",
        paper: "Tan & Le 2019, arXiv:1905.11946",
        input: ModelInput::Picture(InputSpec {
            size: 224,
            crop_fraction: Some(0.875),
            interpolation: Interpolation::Bicubic,
            channels: Channels::Rgb,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
        }),
        stages,
        feature_dim: 1280,
        head: classifier("classifier", 1280, 1000),
        rename,
    }
}

fn layer(conv: &str, norm: &str, window: Window) -> ConvNormAct {
    STYLE.conv_norm_act(conv.to_string(), norm.to_string(), window)
}

/// Depthwise-separable where the depthwise convolution keeps the input's channels, otherwise an
/// inverted residual with its expansion. The gates see a quarter of the block's input channels.
fn block(key: &str, inputs: usize, depthwise: Window, outputs: usize) -> Block {
    let channels = depthwise.inputs;
    let project = Window::dense(channels, outputs, 1, 1);
    let at = |part: &str| format!("{key}.{part}");
    let excited = |norm: &str| ConvNormAct {
        excite: Some(SqueezeExcite {
            reduce: at("se.conv_reduce"),
            expand: at("se.conv_expand"),
            hidden: inputs / 4,
            act: Act::Silu,
        }),
        ..layer(&at("conv_dw"), &at(norm), depthwise)
    };
    let body = if channels == inputs {
        vec![excited("bn1"), STYLE.conv_norm(at("conv_pw"), at("bn2"), project)]
    } else {
        vec![
            layer(&at("conv_pw"), &at("bn1"), Window::dense(inputs, channels, 1, 1)),
            excited("bn2"),
            STYLE.conv_norm(at("conv_pwl"), at("bn3"), project),
        ]
    };
    inverted_residual(body)
}

/// From torchvision's names: `features.STAGE.REPEAT.block.PART`.
fn rename(key: &str) -> Option<String> {
    let (layer, field) = key.rsplit_once('.')?;
    let layer = match layer {
        "features.0.0" => "conv_stem".to_string(),
        "features.0.1" => "bn1".to_string(),
        "features.8.0" => "conv_head".to_string(),
        "features.8.1" => "bn2".to_string(),
        "classifier.1" => "classifier".to_string(),
        _ => {
            let (stage, inner) = layer.strip_prefix("features.")?.split_once('.')?;
            let (repeat, part) = inner.split_once(".block.")?;
            let stage = stage.parse::<usize>().ok()?.checked_sub(1)?;
            let repeat = repeat.parse::<usize>().ok()?;
            if repeat >= TABLE.get(stage)?.4 {
                return None;
            }
            // Only the first stage has no expansion, which shifts the numbers by one.
            let part = match (stage, part) {
                (1.., "0.0") => "conv_pw",
                (0, "0.1") | (1.., "0.1") => "bn1",
                (0, "0.0") | (1.., "1.0") => "conv_dw",
                (0, "2.1") | (1.., "1.1") => "bn2",
                (0, "1.fc1") | (1.., "2.fc1") => "se.conv_reduce",
                (0, "1.fc2") | (1.., "2.fc2") => "se.conv_expand",
                (0, "2.0") => "conv_pw",
                (1.., "3.0") => "conv_pwl",
                (1.., "3.1") => "bn3",
                _ => return None,
            };
            format!("blocks.{stage}.{repeat}.{part}")
        }
    };
    Some(format!("{layer}.{field}"))
}
