//! Squeeze-and-excitation on every instruction level equals its definition, and its gradients the
//! differences of its outputs.

mod support;

use offshoot_kernels::{Activation, ExciteGradients, Isa, Order, SqueezeExcite};
use proptest::prelude::*;
use support::{below, cases, values};

/// Parameters and images.
#[derive(Clone)]
struct Case {
    channels: usize,
    hidden: usize,
    act: Activation,
    /// `[channels, hidden]`, `[hidden]`, `[hidden, channels]`, `[channels]`, `[images, pixels,
    /// channels]`.
    arrays: [Vec<f64>; 5],
    images: usize,
}

impl Case {
    fn new(channels: usize, hidden: usize, act: Activation, images: usize, pixels: usize) -> Self {
        let lens =
            [channels * hidden, hidden, hidden * channels, channels, images * pixels * channels];
        let array = |i: usize| {
            // Means must not vanish, and gates not saturate.
            let shift = if i == 4 { 0.4 } else { 0.0 };
            let size = if i == 4 { 0.2 } else { 0.1 };
            values(lens[i], i + 1).iter().map(|&v| size * f64::from(v) + shift).collect()
        };
        Self { channels, hidden, act, arrays: std::array::from_fn(array), images }
    }

    fn act(&self, x: f64) -> f64 {
        match self.act {
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            other => panic!("{other:?} is not drawn"),
        }
    }

    /// By the definition.
    fn outputs(&self) -> Vec<f64> {
        let (channels, hidden) = (self.channels, self.hidden);
        let [reduce, reduce_bias, expand, expand_bias, x] = &self.arrays;
        let each = x.len() / self.images;
        let mut y = Vec::new();
        for image in x.chunks_exact(each) {
            let pixels = each / channels;
            let mean =
                |c: usize| image.iter().skip(c).step_by(channels).sum::<f64>() / pixels as f64;
            let h: Vec<f64> = (0..hidden)
                .map(|h| {
                    let sum = (0..channels).map(|c| mean(c) * reduce[c * hidden + h]).sum::<f64>();
                    self.act(sum + reduce_bias[h])
                })
                .collect();
            let gate = |c: usize| {
                let sum = (0..hidden).map(|i| h[i] * expand[i * channels + c]).sum::<f64>();
                1.0 / (1.0 + (-(sum + expand_bias[c])).exp())
            };
            let gates: Vec<f64> = (0..channels).map(gate).collect();
            y.extend(image.iter().enumerate().map(|(at, x)| x * gates[at % channels]));
        }
        y
    }

    /// Outputs, then gradients of all arrays, for the gradient `dy` of the outputs.
    fn run(&self, isa: Isa, dy: &[f32]) -> (Vec<f32>, [Vec<f32>; 5]) {
        let [reduce, reduce_bias, expand, expand_bias, x] =
            self.arrays.clone().map(|a| a.iter().map(|&v| v as f32).collect::<Vec<_>>());
        let mut kernel = SqueezeExcite::new(isa, self.channels, self.hidden, self.act).unwrap();
        let layers = [[&reduce[..], &reduce_bias], [&expand[..], &expand_bias]];
        kernel.pack(Order::Hwio, layers[0], layers[1]).unwrap();
        let each = x.len() / self.images;
        let (mut y, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        let mut kept = vec![f32::NAN; self.images * kernel.kept_len()];
        let mut deltas = vec![f32::NAN; self.images * kernel.deltas_len()];
        for i in 0..self.images {
            let image = i * each..(i + 1) * each;
            let kept = &mut kept[i * kernel.kept_len()..][..kernel.kept_len()];
            let deltas = &mut deltas[i * kernel.deltas_len()..][..kernel.deltas_len()];
            kernel.gates(&x[image.clone()], kept);
            kernel.apply(kept, &x[image.clone()], &mut y[image.clone()]);
            let (x, dy) = (&x[image.clone()], &dy[image.clone()]);
            kernel.backward(kept, x, dy, deltas, &mut dx[image]);
        }
        let mut again = x.clone();
        let mut scratch = vec![f32::NAN; kernel.kept_len()];
        again.chunks_exact_mut(each).for_each(|image| kernel.run(&mut scratch, image));
        assert_eq!(again, y, "in place, {isa:?}");
        let mut gradients = [reduce, reduce_bias, expand, expand_bias, dx];
        gradients[..4].iter_mut().for_each(|g| g.fill(f32::NAN));
        let [reduce, reduce_bias, expand, expand_bias, _] = &mut gradients;
        let to = ExciteGradients { reduce, reduce_bias, expand, expand_bias };
        kernel.gradients(&kept, &deltas, to);
        (y, gradients)
    }
}

/// Largest difference in terms of the largest expected value.
fn error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(1e-6, |a: f64, e| a.max(e.abs()));
    let differences = actual.iter().zip(expected).map(|(&a, e)| (f64::from(a) - e).abs());
    // A NaN must not lose against a number.
    differences.fold(0.0, |a: f64, b| if a >= b { a } else { b }) / largest
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(40)) })]

    #[test]
    fn outputs_and_gradients(
        channels in 1..below(40),
        hidden in 1..below(20),
        images in 1usize..4,
        pixels in 1usize..8,
        silu: bool,
    ) {
        let act = if silu { Activation::Silu } else { Activation::Relu };
        let case = Case::new(channels, hidden, act, images, pixels);
        let expected = case.outputs();
        let dy = values(expected.len(), 9);
        let loss = |case: &Case| {
            case.outputs().iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
        };
        // A few values of each array; differences of a kinked activation mean nothing at its kink.
        let mut probes = Vec::new();
        for (array, values) in case.arrays.iter().enumerate() {
            for at in [0, values.len() / 2, values.len() - 1] {
                let moved = |by: f64| {
                    let mut case = case.clone();
                    case.arrays[array][at] += by;
                    loss(&case)
                };
                let [below, here, above] = [-1e-5, 0.0, 1e-5].map(moved);
                let [left, right] = [(here - below) / 1e-5, (above - here) / 1e-5];
                if (left - right).abs() < 1e-4 * (left.abs() + right.abs()).max(1.0) {
                    probes.push((array, at, 0.5 * (left + right)));
                }
            }
        }
        for isa in Isa::available() {
            let (y, gradients) = case.run(isa, &dy);
            let worst = error(&y, &expected);
            prop_assert!(worst < 1e-5, "output, {:?}: {:e}", isa, worst);
            for &(array, at, expected) in &probes {
                let actual = f64::from(gradients[array][at]);
                let largest = gradients[array].iter().fold(1.0, |a: f32, g| a.max(g.abs()));
                let close = (actual - expected).abs() < 1e-4 * f64::from(largest);
                prop_assert!(close, "array {}, {:?}: {} is not {}", array, isa, actual, expected);
            }
        }
    }
}

/// One channel, one pixel: `x·σ(e·max(r·x + b, 0) + d)`.
#[test]
fn one_value_by_hand() {
    for isa in Isa::available() {
        let mut kernel = SqueezeExcite::new(isa, 1, 1, Activation::Relu).unwrap();
        kernel.pack(Order::Oihw, [&[2.0], &[1.0]], [&[0.5], &[-3.0]]).unwrap();
        let mut image = [3.0];
        kernel.run(&mut vec![0.0; kernel.kept_len()], &mut image);
        let expected = 3.0 / (1.0 + (-0.5f32).exp());
        assert!((image[0] - expected).abs() < 1e-6, "{isa:?}: {}", image[0]);
    }
}

#[test]
fn a_broken_image_shows_and_wrong_sizes_are_refused() {
    assert!(SqueezeExcite::new(Isa::Portable, 0, 1, Activation::Silu).is_err());
    assert!(SqueezeExcite::new(Isa::Portable, 1, 0, Activation::Silu).is_err());
    for isa in Isa::available() {
        let mut kernel = SqueezeExcite::new(isa, 2, 1, Activation::Silu).unwrap();
        assert!(kernel.pack(Order::Oihw, [&[1.0; 2], &[1.0; 2]], [&[1.0; 2]; 2]).is_err());
        kernel.pack(Order::Oihw, [&[1.0; 2], &[1.0; 1]], [&[1.0; 2]; 2]).unwrap();
        let mut image = [f32::NAN, 1.0];
        kernel.run(&mut vec![0.0; kernel.kept_len()], &mut image);
        assert!(image.iter().all(|x| x.is_nan()), "{isa:?}: {image:?}");
    }
}
