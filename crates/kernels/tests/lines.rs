//! Kernels on images in bf16 lines equal their definitions, rounded once, on shapes that fit no tile.
//!
//! Operands are whole numbers that bf16 holds, so that nothing but the last rounding is inexact.

mod support;

use offshoot_kernels::{
    Activation, Clamp, Isa, KernelError, Line, LinesConv, LinesDepthwise, Window, lines_to_values,
    max_pool, max_pool_lines, mean_pool, mean_pool_lines, round_to_bf16, values_to_lines,
};
use proptest::prelude::*;
use support::{below, cases, channels, clamp, direct, values, window};

/// What lines are made of where nothing was written, so that it shows.
const UNTOUCHED: Line = Line([0x7fc0; 32]);

/// The levels that multiply bf16; it is said where there are none.
fn levels() -> Vec<Isa> {
    let levels: Vec<Isa> = Isa::available().filter(|isa| isa.has_bf16()).collect();
    if levels.is_empty() {
        println!("skipped: this machine does not multiply bf16");
    }
    levels
}

fn in_lines(channels: usize, values: &[f32]) -> Vec<Line> {
    let mut lines = vec![UNTOUCHED; values.len() / channels * Line::per_pixel(channels)];
    values_to_lines(Isa::detect(), channels, values, &mut lines);
    lines
}

fn area(size: [usize; 2]) -> usize {
    size[0] * size[1]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    #[test]
    fn convolution(
        window in window(),
        inputs in channels(),
        outputs in 1..below(70),
        images in 1usize..4,
        with_residual: bool,
        clamp in clamp(),
    ) {
        let weight = values(outputs * inputs * window.kernel[0] * window.kernel[1], 1);
        let bias = values(outputs, 2);
        let input = values(images * area(window.input) * inputs, 3);
        let residual = values(images * area(window.output) * outputs, 4);
        let mut expected = Vec::new();
        for (i, image) in input.chunks_exact(area(window.input) * inputs).enumerate() {
            let sums = direct(&window, [inputs, outputs, 1], image, &weight, &bias);
            let first = i * sums.len();
            expected.extend(sums.iter().enumerate().map(|(k, &sum)| {
                let residual = if with_residual { residual[first + k] } else { 0.0 };
                (sum + residual).clamp(clamp.low, clamp.high)
            }));
        }
        let expected = in_lines(outputs, &expected);
        let residual = with_residual.then(|| in_lines(outputs, &residual));
        let lines = in_lines(inputs, &input);
        for isa in levels() {
            let conv = LinesConv::new(isa, window, inputs, outputs, &weight, &bias).unwrap();
            let mut scratch = vec![f32::NAN; conv.scratch_len()];
            let mut output = vec![UNTOUCHED; expected.len()];
            conv.run(images, &lines, residual.as_deref(), clamp, &mut scratch, &mut output);
            prop_assert!(output == expected, "from lines, {:?}", isa);
            if !with_residual {
                let conv = LinesConv::of_values(isa, window, inputs, outputs, &weight, &bias);
                let conv = conv.unwrap();
                let mut scratch = vec![f32::NAN; conv.scratch_len()];
                output.fill(UNTOUCHED);
                let finish = (clamp, Activation::None);
                conv.run_from_values(images, &input, finish, &mut scratch, &mut output);
                prop_assert!(output == expected, "from values, {:?}", isa);
            }
        }
    }

    #[test]
    fn two_layers_of_a_feed_forward_network(
        rows in 1usize..80,
        inputs in 1..below(70),
        hidden in 1..below(70),
        outputs in 1..below(70),
    ) {
        let (first, second) = (values(hidden * inputs, 1), values(outputs * hidden, 2));
        let (bias, residual) = (values(hidden + outputs, 3), values(rows * outputs, 5));
        let input = values(rows * inputs, 4);
        let row = |x: &[f32], weight: &[f32], bias: &[f32]| -> Vec<f32> {
            let sum = |w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
            weight.chunks(x.len()).zip(bias).map(|(w, b)| sum(w) + b).collect()
        };
        for isa in levels() {
            // What the second layer adds up are no whole numbers, and may cancel: a sum is as exact as its terms
            // are large.
            let (mut expected, mut sizes) = (Vec::new(), Vec::new());
            for (x, residual) in input.chunks(inputs).zip(residual.chunks(outputs)) {
                let mut wide = row(x, &first, &bias[..hidden]);
                Activation::Gelu.apply(isa, &mut wide);
                let mut rounded = vec![0; hidden];
                round_to_bf16(isa, &wide, &mut rounded);
                let wide: Vec<f64> = rounded
                    .iter()
                    .map(|&bits| f64::from(f32::from_bits(u32::from(bits) << 16)))
                    .collect();
                for ((w, b), r) in second.chunks(hidden).zip(&bias[hidden..]).zip(residual) {
                    let ends = [f64::from(*b), f64::from(*r)];
                    let terms = wide.iter().zip(w).map(|(x, w)| x * f64::from(*w)).chain(ends);
                    expected.push(terms.clone().sum::<f64>());
                    sizes.push(terms.map(f64::abs).sum::<f64>());
                }
            }
            let conv = |lines, inputs, outputs, weight: &[f32], bias: &[f32]| {
                let new = if lines { LinesConv::new } else { LinesConv::of_values };
                new(isa, Window::PIXEL, inputs, outputs, weight, bias).unwrap()
            };
            let expand = conv(false, inputs, hidden, &first, &bias[..hidden]);
            let shrink = conv(true, hidden, outputs, &second, &bias[hidden..]);
            let mut scratch = vec![f32::NAN; expand.scratch_len().max(shrink.scratch_len())];
            let mut wide = vec![UNTOUCHED; rows * Line::per_pixel(hidden)];
            let act = (Clamp::NONE, Activation::Gelu);
            expand.run_from_values(rows, &input, act, &mut scratch, &mut wide);
            let mut output = vec![f32::NAN; rows * outputs];
            shrink.run_to_values(rows, &wide, Some(&residual), &mut scratch, &mut output);
            for (k, ((&y, e), size)) in output.iter().zip(&expected).zip(&sizes).enumerate() {
                let error = (f64::from(y) - e).abs();
                prop_assert!(error <= 1e-6 * size, "value {}: {} is not {} of {}", k, y, e, size);
            }
        }
    }

    #[test]
    fn depthwise(
        window in window(),
        channels in 1..below(70),
        images in 1usize..3,
        clamp in clamp(),
    ) {
        let weight = values(channels * window.kernel[0] * window.kernel[1], 1);
        let bias = values(channels, 2);
        let input = values(images * area(window.input) * channels, 3);
        let mut expected = Vec::new();
        for image in input.chunks_exact(area(window.input) * channels) {
            expected.extend(direct(&window, [channels; 3], image, &weight, &bias));
        }
        expected.iter_mut().for_each(|y| *y = y.clamp(clamp.low, clamp.high));
        let expected = in_lines(channels, &expected);
        for isa in levels() {
            let conv = LinesDepthwise::new(isa, window, channels, &weight, &bias).unwrap();
            let mut output = vec![UNTOUCHED; expected.len()];
            conv.run(images, &in_lines(channels, &input), clamp, &mut output);
            prop_assert!(output == expected, "{:?}", isa);
        }
    }

    #[test]
    fn pools(window in window(), channels in 1..below(70)) {
        let input = values(area(window.input) * channels, 1);
        let mut expected = vec![0.0; area(window.output) * channels];
        max_pool(&window, channels, &input, &mut expected);
        let mut mean = vec![0.0; channels];
        mean_pool(channels, &input, &mut mean);
        let lines = in_lines(channels, &input);
        for isa in Isa::available() {
            let mut output = vec![UNTOUCHED; area(window.output) * Line::per_pixel(channels)];
            max_pool_lines(isa, &window, Line::per_pixel(channels), &lines, &mut output);
            let mut actual = vec![f32::NAN; expected.len()];
            lines_to_values(isa, channels, &output, &mut actual);
            prop_assert_eq!(&actual, &expected, "maximum, {:?}", isa);
            let mut actual = vec![f32::NAN; channels];
            mean_pool_lines(isa, channels, &lines, &mut actual);
            prop_assert_eq!(&actual, &mean, "mean, {:?}", isa);
        }
    }
}

#[test]
fn a_nan_stays_a_nan() {
    for isa in levels() {
        let pixel = Window::PIXEL;
        let nan = [Line([0xffc0; 32])];
        let mut output = [Line::ZERO];
        let conv = LinesConv::new(isa, pixel, 32, 32, &[1.0; 1024], &[0.0; 32]).unwrap();
        let mut scratch = vec![0.0; conv.scratch_len()];
        conv.run(1, &nan, None, Clamp::RELU6, &mut scratch, &mut output);
        let mut values = [0.0; 32];
        lines_to_values(isa, 32, &output, &mut values);
        assert!(values.iter().all(|y| y.is_nan()), "convolution");
        let conv = LinesDepthwise::new(isa, pixel, 32, &[1.0; 32], &[0.0; 32]).unwrap();
        conv.run(1, &nan, Clamp::RELU6, &mut output);
        lines_to_values(isa, 32, &output, &mut values);
        assert!(values.iter().all(|y| y.is_nan()), "depthwise");
    }
}

#[test]
fn what_cannot_be_had_is_refused() {
    let window =
        Window { input: [4, 4], output: [2, 2], kernel: [3, 3], stride: 1, before: [0, 0] };
    let refused = LinesConv::new(Isa::Portable, window, 2, 3, &[0.0; 54], &[0.0; 3]).err();
    assert_eq!(refused, Some(KernelError::Unavailable(Isa::Avx512Bf16)));
    let refused = LinesDepthwise::new(Isa::Portable, window, 2, &[0.0; 18], &[0.0; 2]).err();
    assert_eq!(refused, Some(KernelError::Unavailable(Isa::Avx512Bf16)));
    for isa in levels() {
        assert!(LinesConv::new(isa, window, 2, 3, &[0.0; 53], &[0.0; 3]).is_err());
        assert!(LinesDepthwise::new(isa, window, 2, &[0.0; 18], &[0.0; 3]).is_err());
    }
}

#[test]
fn values_beyond_bf16_are_rounded_once() {
    let mut bits = [0];
    round_to_bf16(Isa::detect(), &[257.0], &mut bits);
    assert_eq!(in_lines(1, &[257.0])[0].0[0], bits[0]);
}
