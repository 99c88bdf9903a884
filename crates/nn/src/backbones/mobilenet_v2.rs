//! MobileNetV2, width 1.0. Keys are torchvision's.

use super::assemble::{Style, Window, classifier, inverted_residual, pool};
use super::{IMAGENET_MEAN, IMAGENET_STD, timm};
use crate::blocks::{Act, Block};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

const STYLE: Style = Style { eps: 1e-5, same: false, act: Act::Relu6 };

/// Table 2 of the paper: expansion t, channels c, repeats n, first stride s.
const TABLE: [(&str, usize, usize, usize, usize); 7] = [
    ("stage1", 1, 16, 1, 1),
    ("stage2", 6, 24, 2, 2),
    ("stage3", 6, 32, 3, 2),
    ("stage4", 6, 64, 4, 2),
    ("stage5", 6, 96, 3, 1),
    ("stage6", 6, 160, 3, 2),
    ("stage7", 6, 320, 1, 1),
];

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let conv = |key: String, window| Block::Conv(layer(&key, window));
    let stem = conv("features.0".into(), Window::dense(3, 32, 3, 2));
    let mut stages = vec![Stage { name: "stem", blocks: vec![stem] }];
    let (mut inputs, mut index) = (32, 1);
    for (name, expansion, outputs, repeats, first) in TABLE {
        let mut blocks = Vec::new();
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first } else { 1 };
            blocks.push(block(index, inputs, outputs, expansion, stride));
            (inputs, index) = (outputs, index + 1);
        }
        stages.push(Stage { name, blocks });
    }
    let top = conv("features.18".into(), Window::dense(320, 1280, 1, 1));
    stages.push(Stage { name: "top", blocks: vec![top] });
    stages.push(pool());
    Recipe {
        name: "mobilenet_v2",
        summary: "MobileNetV2 1.0, 2.2 M parameters, 0.30 GMAC at 224 px",
        paper: "Sandler et al. 2018, arXiv:1801.04381",
        input: ModelInput::Picture(InputSpec {
            size: 224,
            crop_fraction: Some(0.875),
            interpolation: Interpolation::Bilinear,
            channels: Channels::Rgb,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
        }),
        stages,
        feature_dim: 1280,
        head: classifier("classifier.1", 1280, 1000),
        rename,
    }
}

fn layer(key: &str, window: Window) -> crate::blocks::ConvNormAct {
    STYLE.conv_norm_act(format!("{key}.0"), format!("{key}.1"), window)
}

fn block(index: usize, inputs: usize, outputs: usize, expansion: usize, stride: usize) -> Block {
    let key = format!("features.{index}.conv");
    let hidden = inputs * expansion;
    let mut body = Vec::new();
    if expansion > 1 {
        body.push(layer(&format!("{key}.0"), Window::dense(inputs, hidden, 1, 1)));
    }
    let at = body.len();
    body.push(layer(&format!("{key}.{at}"), Window::depthwise(hidden, 3, stride)));
    let (conv, norm) = (format!("{key}.{}", at + 1), format!("{key}.{}", at + 2));
    body.push(STYLE.conv_norm(conv, norm, Window::dense(hidden, outputs, 1, 1)));
    inverted_residual(body)
}

/// From timm's `mobilenetv2_100` and from the flat numbering of the first PyTorch ports, in which
/// every convolution, norm and activation of a block has a number of its own.
///
/// TensorFlow's conversion (`google/mobilenet_v2_1.0_224`) pads and normalises differently, so its
/// names are deliberately not known here.
fn rename(key: &str) -> Option<String> {
    let (layer, field) = key.rsplit_once('.')?;
    let layer = match layer {
        "conv_stem" => "features.0.0".to_string(),
        "bn1" => "features.0.1".to_string(),
        "conv_head" => "features.18.0".to_string(),
        "bn2" => "features.18.1".to_string(),
        "classifier" => "classifier.1".to_string(),
        _ => from_flat(layer).or_else(|| from_timm(layer))?,
    };
    Some(format!("{layer}.{field}"))
}

fn from_flat(layer: &str) -> Option<String> {
    let (block, number) = layer.strip_prefix("features.")?.split_once(".conv.")?;
    let place = match (block, number) {
        (_, "0") => "0.0",
        (_, "1") => "0.1",
        ("1", "3") => "1",
        ("1", "4") => "2",
        (_, "3") => "1.0",
        (_, "4") => "1.1",
        (_, "6") => "2",
        (_, "7") => "3",
        _ => return None,
    };
    Some(format!("features.{block}.conv.{place}"))
}

fn from_timm(layer: &str) -> Option<String> {
    let (index, part) = timm::flat_block(layer, &TABLE.map(|row| row.3))?;
    let place = match (index, part) {
        (0, "conv_dw") | (1.., "conv_pw") => "0.0",
        (0, "bn1") | (1.., "bn1") => "0.1",
        (0, "conv_pw") => "1",
        (0, "bn2") | (1.., "conv_pwl") => "2",
        (1.., "conv_dw") => "1.0",
        (1.., "bn2") => "1.1",
        (1.., "bn3") => "3",
        _ => return None,
    };
    Some(format!("features.{}.conv.{place}", index + 1))
}
