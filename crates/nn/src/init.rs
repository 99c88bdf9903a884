//! Random weights: the same network as if nothing had been learned.

use crate::{Array, Params, Recipe, Role};
use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

/// Weights of the backbone, and of the head if there is one, as training from scratch starts.
///
/// Convolutions are normal with variance `2 / (outputs · kernel²)`, the fan-out form of He et al.
/// 2015 (arXiv:1502.01852), where a depthwise convolution counts only its own channel; norms are the
/// identity; linear layers are uniform within `±1/√inputs`, and biases are zero. Each array is drawn
/// from its own key, so the values do not depend on the rest of the network.
pub fn random_weights(recipe: &Recipe, seed: u64) -> Params {
    let mut parameters = recipe.parameters();
    parameters.extend(recipe.head_parameters());
    let arrays = parameters.into_par_iter().map(|parameter| {
        let n = parameter.len();
        let data = match parameter.role {
            Role::Weight => weight(&parameter.shape, &parameter.key, seed),
            Role::Bias | Role::NormBias | Role::RunningMean => vec![0.0; n],
            Role::NormWeight | Role::RunningVar => vec![1.0; n],
        };
        (parameter.key, Array { shape: parameter.shape, data: data.into() })
    });
    arrays.collect()
}

fn weight(shape: &[usize], key: &str, seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, &format!("init {key}"), 0, 0);
    let n = shape.iter().product();
    if let &[outputs, per_group, height, width] = shape {
        // `[channels, 1, k, k]` is a depthwise kernel: every output has one input of its own.
        let fan_out = if per_group == 1 { height * width } else { outputs * height * width };
        let deviation = (2.0 / fan_out as f64).sqrt();
        let pairs = (0..n / 2 + 1).flat_map(|_| standard_normals(&mut rng));
        pairs.take(n).map(|z| (deviation * z) as f32).collect()
    } else {
        let bound = 1.0 / (shape.last().copied().unwrap_or(1) as f64).sqrt();
        (0..n).map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32).collect()
    }
}

/// Two independent draws (Box and Muller 1958, doi:10.1214/aoms/1177706645).
fn standard_normals(rng: &mut impl RngExt) -> [f64; 2] {
    // `random` may be 0 but never 1, so the logarithm stays finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let (sine, cosine) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones;

    #[test]
    fn weights_have_the_stated_spread_and_norms_are_the_identity() {
        let params = random_weights(&backbones::find("resnet18").unwrap(), 3);
        let weight = &params["layer2.1.conv1.weight"];
        let n = weight.data.len() as f64;
        let mean = weight.data.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = weight.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        let expected = 2.0 / (128.0 * 9.0);
        assert!(mean.abs() < 4.0 * (expected / n).sqrt());
        assert!((variance / expected - 1.0).abs() < 4.0 * (2.0 / n).sqrt());
        assert!(params["bn1.running_var"].data.iter().all(|&v| v == 1.0));
        assert!(params["bn1.bias"].data.iter().all(|&v| v == 0.0));
    }

    #[test]
    fn a_depthwise_kernel_counts_its_own_channel_only() {
        let params = random_weights(&backbones::find("mobilenet_v2").unwrap(), 0);
        let weight = &params["features.17.conv.1.0.weight"];
        let n = weight.data.len() as f64;
        let variance = weight.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        assert!((variance * 4.5 - 1.0).abs() < 4.0 * (2.0 / n).sqrt());
    }

    #[test]
    fn the_seed_decides() {
        let recipe = backbones::find("digits_usps").unwrap();
        assert_eq!(random_weights(&recipe, 1), random_weights(&recipe, 1));
        assert_ne!(random_weights(&recipe, 1), random_weights(&recipe, 2));
    }
}
