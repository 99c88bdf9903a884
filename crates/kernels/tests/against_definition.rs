//! Every kernel on every instruction level equals its definition, on shapes that fit no tile.

mod support;

use offshoot_kernels::{Clamp, Conv, Depthwise, Isa, Precision, Window, max_pool, mean_pool};
use proptest::prelude::*;
use support::{below, cases, channels, clamp, direct, levels, values, window};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(200)))]

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
        for (isa, precision) in levels() {
            let conv =
                Conv::with_precision(isa, precision, window, inputs, outputs, &weight, &bias);
            let conv = conv.unwrap();
            let input = values(images * conv.input_len(), 3);
            let residual = values(images * conv.output_len(), 4);
            let mut output = vec![f32::NAN; images * conv.output_len()];
            let mut scratch = vec![f32::NAN; conv.scratch_len(images)];
            let residual = with_residual.then_some(&residual[..]);
            conv.run(images, &input, residual, clamp, &mut scratch, &mut output);
            for i in 0..images {
                let image = &input[i * conv.input_len()..][..conv.input_len()];
                let mut expected = direct(&window, [inputs, outputs, 1], image, &weight, &bias);
                for (k, e) in expected.iter_mut().enumerate() {
                    *e += residual.map_or(0.0, |r| r[i * conv.output_len() + k]);
                    *e = e.clamp(clamp.low, clamp.high);
                }
                let actual = &output[i * conv.output_len()..][..conv.output_len()];
                prop_assert_eq!(actual, &expected[..], "{:?} {:?}", isa, precision);
            }
        }
    }

    #[test]
    fn depthwise(window in window(), channels in 1..below(40), images in 1usize..3) {
        let weight = values(channels * window.kernel[0] * window.kernel[1], 1);
        let bias = values(channels, 2);
        for isa in Isa::available() {
            let conv = Depthwise::new(isa, window, channels, &weight, &bias).unwrap();
            let input = values(images * conv.input_len(), 3);
            let mut output = vec![f32::NAN; images * conv.output_len()];
            conv.run(images, &input, Clamp::RELU6, &mut output);
            for i in 0..images {
                let image = &input[i * conv.input_len()..][..conv.input_len()];
                let shape = [channels, channels, channels];
                let mut expected = direct(&window, shape, image, &weight, &bias);
                expected.iter_mut().for_each(|e| *e = e.clamp(0.0, 6.0));
                let actual = &output[i * conv.output_len()..][..conv.output_len()];
                prop_assert_eq!(actual, &expected[..], "{:?}", isa);
            }
        }
    }
}

#[test]
fn every_precision_keeps_its_bound() {
    let window =
        Window { input: [9, 11], output: [9, 11], kernel: [3, 3], stride: 1, before: [1, 1] };
    let (inputs, outputs) = if cfg!(miri) { (5, 3) } else { (50, 37) };
    let real = |n: usize, salt: f32| -> Vec<f32> {
        (0..n).map(|i| ((i as f32 * 12.9898 + salt).sin() * 43_758.547).fract()).collect()
    };
    let (input, weight) = (real(99 * inputs, 0.1), real(outputs * inputs * 9, 0.7));
    let bias = vec![0.0; outputs];
    let exact = |input: &[f32], weight: &[f32]| {
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (input, weight) = (wide(input), wide(weight));
        let mut result = Vec::new();
        for pixel in 0..99 {
            for o in 0..outputs {
                let (mut sum, mut magnitudes) = (0.0, 0.0);
                for tap in 0..9 {
                    let (y, x) = (pixel / 11 + tap / 3, pixel % 11 + tap % 3);
                    if (1..=9).contains(&y) && (1..=11).contains(&x) {
                        for c in 0..inputs {
                            let a = input[((y - 1) * 11 + x - 1) * inputs + c];
                            let b = weight[(o * inputs + c) * 9 + tap];
                            sum += a * b;
                            magnitudes += (a * b).abs();
                        }
                    }
                }
                result.push((sum, magnitudes));
            }
        }
        result
    };
    let expected = exact(&input, &weight);
    for (isa, precision) in levels() {
        let conv = Conv::with_precision(isa, precision, window, inputs, outputs, &weight, &bias);
        let conv = conv.unwrap();
        let mut output = vec![f32::NAN; conv.output_len()];
        let mut scratch = vec![f32::NAN; conv.scratch_len(1)];
        conv.run(1, &input, None, Clamp::NONE, &mut scratch, &mut output);
        let errors = output.iter().zip(&expected);
        let worst = errors.map(|(&y, (e, m))| (f64::from(y) - e).abs() / m).fold(0.0, f64::max);
        let bound = match precision {
            Precision::F32 => 1e-6,
            Precision::Bf16x3 => 1e-5,
            Precision::Bf16 => 2f64.powi(-8),
        };
        println!("{} {precision:?}: {worst:.1e} of the sum of magnitudes", isa.name());
        assert!(worst <= bound, "{isa:?} {precision:?}: {worst:e}");
    }
}

#[test]
fn a_nan_stays_a_nan() {
    let window =
        Window { input: [1, 1], output: [1, 1], kernel: [1, 1], stride: 1, before: [0, 0] };
    for isa in Isa::available() {
        let mut output = [0.0; 3];
        for inputs in [1, 40] {
            let conv = Conv::new(isa, window, inputs, 3, &[1.0; 120][..3 * inputs], &[0.0; 3]);
            let conv = conv.unwrap();
            let mut scratch = vec![0.0; conv.scratch_len(1)];
            let input = vec![f32::NAN; inputs];
            conv.run(1, &input, None, Clamp::RELU6, &mut scratch, &mut output);
            assert!(output.iter().all(|y| y.is_nan()), "convolution, {isa:?}");
        }
        let conv = Depthwise::new(isa, window, 3, &[1.0; 3], &[0.0; 3]).unwrap();
        conv.run(1, &[f32::NAN; 3], Clamp::RELU6, &mut output);
        assert!(output.iter().all(|y| y.is_nan()), "depthwise, {isa:?}");
    }
}

#[test]
fn padding_never_wins_the_maximum() {
    let window =
        Window { input: [2, 2], output: [2, 2], kernel: [3, 3], stride: 1, before: [1, 1] };
    let mut output = [0.0; 4];
    max_pool(&window, 1, &[-4.0, -3.0, -2.0, -1.0], &mut output);
    assert_eq!(output, [-1.0; 4]);
}

#[test]
fn the_mean_is_over_pixels() {
    let mut output = [0.0; 2];
    mean_pool(2, &[1.0, 10.0, 3.0, 30.0], &mut output);
    assert_eq!(output, [2.0, 20.0]);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let window =
        Window { input: [4, 4], output: [2, 2], kernel: [3, 3], stride: 1, before: [0, 0] };
    assert!(Conv::new(Isa::Portable, window, 2, 3, &[0.0; 53], &[0.0; 3]).is_err());
    let empty = Window { output: [0, 2], ..window };
    assert!(Conv::new(Isa::Portable, empty, 2, 3, &[0.0; 54], &[0.0; 3]).is_err());
    assert!(Depthwise::new(Isa::Portable, window, 2, &[0.0; 18], &[0.0; 3]).is_err());
}
