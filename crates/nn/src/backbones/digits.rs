//! The digit classifiers of the `ccexam` package: plain convolutions and one hidden layer.
//!
//! They come with weights and were trained on three different digit sets, which makes them a small
//! but real choice of sources. The feature vector is the input of the last linear layer; dropout is
//! the identity outside training. Keys are the package's.

use super::assemble::{Window, biased_conv, classifier, halve};
use crate::blocks::{Act, Block, Linear};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

/// What differs between members of the family.
pub(super) struct Member {
    pub name: &'static str,
    pub summary: &'static str,
    pub size: usize,
    pub channels: Channels,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    /// Convolutional stages; each ends with a 2×2 maximum.
    pub convs: Vec<Stage>,
    /// Keys of the hidden and the last linear layer.
    pub linears: [&'static str; 2],
    pub hidden: usize,
}

/// Builds one member.
pub(super) fn recipe(member: Member) -> Recipe {
    let mut stages = member.convs;
    let side = member.size >> stages.len();
    let channels = stages.iter().flat_map(|stage| &stage.blocks).fold(0, |last, block| {
        if let Block::Conv(layer) = block { layer.conv.outputs } else { last }
    });
    let hidden = Linear {
        key: member.linears[0].to_string(),
        inputs: channels * side * side,
        outputs: member.hidden,
        act: Act::Relu,
    };
    stages.push(Stage { name: "hidden", blocks: vec![Block::Flatten, Block::Linear(hidden)] });
    Recipe {
        name: member.name,
        summary: member.summary,
        paper: "LeCun et al. 1998, doi:10.1109/5.726791 (convolutions, pooling, linear layers)",
        input: ModelInput::Picture(InputSpec {
            size: member.size,
            crop_fraction: None,
            interpolation: Interpolation::Bilinear,
            channels: member.channels,
            mean: member.mean,
            std: member.std,
        }),
        stages,
        feature_dim: member.hidden,
        head: classifier(member.linears[1], member.hidden, 10),
        rename: |_| None,
    }
}

/// 3×3 convolutions followed by a 2×2 maximum.
///
/// `keys` are those of each convolution and of its norm.
pub(super) fn stage(
    name: &'static str,
    keys: &[(&str, Option<&str>)],
    inputs: usize,
    outputs: usize,
) -> Stage {
    let mut blocks = Vec::new();
    for (n, (conv, norm)) in keys.iter().enumerate() {
        let window = Window::dense(if n == 0 { inputs } else { outputs }, outputs, 3, 1);
        blocks.push(biased_conv(conv.to_string(), norm.map(str::to_string), window));
    }
    blocks.push(halve());
    Stage { name, blocks }
}
