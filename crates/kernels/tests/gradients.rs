//! Gradients of every kernel on every instruction level equal their definition.

mod support;

use offshoot_kernels::{
    BatchNorm, Clamp, ConvGrad, CrossEntropy, Depthwise, DepthwiseGrad, Isa, NormInput, Stored,
    Window, images_of, max_pool, max_pool_backward, mean_pool, mean_pool_backward, merge_moments,
    round_to_bf16,
};
use proptest::prelude::*;
use support::{below, cases, channels, levels, values, window};

/// Gradients of a dense convolution by their definition: `dx` and `dw` `[kh, kw, inputs, outputs]`.
fn direct(
    window: &Window,
    [images, inputs, outputs]: [usize; 3],
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let ([h, w], [out_h, out_w], [kh, kw]) = (window.input, window.output, window.kernel);
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; kh * kw * inputs * outputs];
    for (at, dy) in dy.chunks_exact(outputs).enumerate() {
        let (image, oy, ox) = (at / (out_h * out_w), at / out_w % out_h, at % out_w);
        for tap in 0..kh * kw {
            let y = (oy * window.stride + tap / kw).wrapping_sub(window.before[0]);
            let x_at = (ox * window.stride + tap % kw).wrapping_sub(window.before[1]);
            if y >= h || x_at >= w {
                continue;
            }
            for c in 0..inputs {
                let pixel = ((image * h + y) * w + x_at) * inputs + c;
                for (o, dy) in dy.iter().enumerate() {
                    let at = (tap * inputs + c) * outputs + o;
                    dx[pixel] += dy * weight[at];
                    dw[at] += dy * x[pixel];
                }
            }
        }
    }
    assert_eq!(dx.len(), images * h * w * inputs);
    (dx, dw)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(200)) })]

    #[test]
    fn convolution(
        window in window(),
        inputs in channels(),
        outputs in 1..below(70),
        images in 1usize..4,
        with_add: bool,
    ) {
        let [kh, kw] = window.kernel;
        let x_len = images * window.input[0] * window.input[1] * inputs;
        let dy_len = images * window.output[0] * window.output[1] * outputs;
        let weight = values(kh * kw * inputs * outputs, 1);
        let (x, dy, add) = (values(x_len, 2), values(dy_len, 3), values(x_len, 4));
        let (mut expected, dw) = direct(&window, [images, inputs, outputs], &x, &dy, &weight);
        if with_add {
            expected.iter_mut().zip(&add).for_each(|(e, a)| *e += a);
        }
        for (isa, precision) in levels() {
            let mut grad = ConvGrad::new(isa, precision, window, inputs, outputs).unwrap();
            grad.pack(&weight).unwrap();
            let mut actual = vec![f32::NAN; x_len];
            let mut scratch = vec![f32::NAN; grad.input_scratch_len(images)];
            grad.input(images, &dy, with_add.then_some(&add[..]), &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &expected, "input, {:?} {:?}", isa, precision);
            let mut actual = vec![f32::NAN; dw.len()];
            let mut scratch = vec![f32::NAN; grad.add_scratch_len()];
            let parts = grad.parts(images);
            let mut sums = vec![0.0; parts * grad.sums_len()];
            for (part, sums) in sums.chunks_exact_mut(grad.sums_len()).enumerate() {
                let range = images_of(part, parts, images);
                let x = &x[range.start * x_len / images..];
                let dy = &dy[range.start * dy_len / images..];
                grad.add(range.len(), x, dy, &mut scratch, sums);
            }
            grad.collect(&sums, &mut actual);
            prop_assert_eq!(&actual, &dw, "weight, {:?} {:?}", isa, precision);
            let mut actual = vec![f32::NAN; dw.len()];
            let mut scratch = vec![f32::NAN; grad.weight_scratch_len(images)];
            grad.weight(images, &x, &dy, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &dw, "weight at once, {:?} {:?}", isa, precision);
        }
    }
}

/// Gradients of a depthwise convolution by their definition.
fn direct_depthwise(
    window: &Window,
    channels: usize,
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let ([h, w], [out_h, out_w], kw) = (window.input, window.output, window.kernel[1]);
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    for (at, dy) in dy.chunks_exact(channels).enumerate() {
        let (image, oy, ox) = (at / (out_h * out_w), at / out_w % out_h, at % out_w);
        for tap in 0..window.kernel[0] * kw {
            let y = (oy * window.stride + tap / kw).wrapping_sub(window.before[0]);
            let column = (ox * window.stride + tap % kw).wrapping_sub(window.before[1]);
            if y < h && column < w {
                for (c, dy) in dy.iter().enumerate() {
                    let pixel = ((image * h + y) * w + column) * channels + c;
                    dx[pixel] += dy * weight[tap * channels + c];
                    dw[tap * channels + c] += dy * x[pixel];
                }
            }
        }
    }
    (dx, dw)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(200)) })]

    #[test]
    fn depthwise(window in window(), channels in 1..below(40), images in 1usize..4, with_add: bool) {
        let x_len = images * window.input[0] * window.input[1] * channels;
        let dy_len = images * window.output[0] * window.output[1] * channels;
        let weight = values(window.kernel[0] * window.kernel[1] * channels, 1);
        let (x, dy, add) = (values(x_len, 2), values(dy_len, 3), values(x_len, 4));
        let (mut expected, dw) = direct_depthwise(&window, channels, &x, &dy, &weight);
        if with_add {
            expected.iter_mut().zip(&add).for_each(|(e, a)| *e += a);
        }
        for isa in Isa::available() {
            let mut grad = DepthwiseGrad::new(isa, window, channels).unwrap();
            grad.pack(&weight).unwrap();
            let mut actual = vec![f32::NAN; x_len];
            grad.input(images, &dy, with_add.then_some(&add[..]), &mut actual);
            prop_assert_eq!(&actual, &expected, "input, {:?}", isa);
            let mut actual = vec![f32::NAN; dw.len()];
            let parts = grad.parts(images);
            let mut sums = vec![0.0; parts * grad.sums_len()];
            for (part, sums) in sums.chunks_exact_mut(grad.sums_len()).enumerate() {
                let range = images_of(part, parts, images);
                let x = &x[range.start * x_len / images..];
                let dy = &dy[range.start * dy_len / images..];
                grad.add(range.len(), x, dy, sums);
            }
            grad.collect(&sums, &mut actual);
            prop_assert_eq!(&actual, &dw, "weight, {:?}", isa);
        }
    }

    #[test]
    fn repacked_weights_are_used(window in window(), channels in 1..below(40)) {
        let weight = values(window.kernel[0] * window.kernel[1] * channels, 1);
        let bias = vec![0.0; channels];
        let mut conv = Depthwise::new(Isa::Portable, window, channels, &weight, &bias).unwrap();
        let input = values(conv.input_len(), 2);
        let (mut one, mut other) = (vec![0.0; conv.output_len()], vec![0.0; conv.output_len()]);
        conv.run(1, &input, Clamp::NONE, &mut one);
        // The same weights in the other order.
        let taps = window.kernel[0] * window.kernel[1];
        let hwio: Vec<f32> =
            (0..weight.len()).map(|i| weight[i % channels * taps + i / channels]).collect();
        conv.pack(offshoot_kernels::Order::Hwio, &hwio, &bias).unwrap();
        conv.run(1, &input, Clamp::NONE, &mut other);
        prop_assert_eq!(one, other);
    }
}

/// Smooth values without a pattern.
fn real(n: usize, salt: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7371 + salt).sin() * 2.0).collect()
}

/// `Σ dz·z` for the training form of batch norm, residual and activation, in double precision.
fn norm_loss(y: &[f64], gamma: &[f64], beta: &[f64], dz: &[f32], clamp: Clamp) -> f64 {
    let channels = gamma.len();
    let n = (y.len() / channels) as f64;
    let column = |c: usize| y.iter().skip(c).step_by(channels);
    let mut loss = 0.0;
    for c in 0..channels {
        let mean = column(c).sum::<f64>() / n;
        let variance = column(c).map(|y| (y - mean).powi(2)).sum::<f64>() / n;
        for (y, dz) in column(c).zip(dz.iter().skip(c).step_by(channels)) {
            let v = gamma[c] * (y - mean) / (variance + 1e-5).sqrt() + beta[c];
            loss += f64::from(*dz) * v.clamp(f64::from(clamp.low), f64::from(clamp.high));
        }
    }
    loss
}

#[test]
fn batch_norm_has_the_gradient_of_its_definition() {
    let shapes = [(1, 7), (3, 10), (16, 5), (70, 9)];
    for (channels, pixels) in shapes.into_iter().take(if cfg!(miri) { 2 } else { 4 }) {
        let (y, dz) = (real(channels * pixels, 0.3), real(channels * pixels, 1.9));
        let (gamma, beta) = (real(channels, 5.0), real(channels, 8.0));
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        for isa in Isa::available() {
            for clamp in [Clamp::NONE, Clamp::RELU, Clamp { low: 0.0, high: 1.5 }] {
                let norm = BatchNorm::new(isa, channels).unwrap();
                // Two slices, merged.
                let cut = pixels / 3 * channels;
                let mut parts = Vec::new();
                for slice in [&y[..cut], &y[cut..]] {
                    let (mut mean, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
                    norm.moments(slice, &mut mean, &mut squares);
                    parts.push((slice.len() / channels, mean, squares));
                }
                let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
                let slices = parts.iter().map(|(n, m, s)| (*n, &m[..], &s[..]));
                merge_moments(slices, &mut mean, &mut variance);
                let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
                let narrow = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<_>>();
                let scale =
                    narrow((0..channels).map(|c| f64::from(gamma[c]) * inverse[c]).collect());
                let shift = narrow(
                    (0..channels)
                        .map(|c| f64::from(beta[c]) - f64::from(gamma[c]) * inverse[c] * mean[c])
                        .collect(),
                );
                let mut z = vec![0.0; y.len()];
                norm.apply(Stored::F32(&y), [&scale, &shift], None, clamp, &mut z);
                let loss: f64 = z.iter().zip(&dz).map(|(z, dz)| f64::from(z * dz)).sum();
                let expected = norm_loss(&wide(&y), &wide(&gamma), &wide(&beta), &dz, clamp);
                assert!(
                    (loss - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                    "{loss} {expected}"
                );

                let input = NormInput { y: Stored::F32(&y), scale: &scale, shift: &shift, clamp };
                let mean = narrow(mean);
                let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
                norm.backward_sums(Stored::F32(&dz), input, &mean, &mut sums, &mut products);
                let n = pixels as f64;
                let factor = |f: &dyn Fn(usize) -> f64| narrow((0..channels).map(f).collect());
                let by = |c: usize| f64::from(scale[c]);
                let through =
                    |c: usize| f64::from(products[c]) * inverse[c] * inverse[c] / n * by(c);
                let factors = [
                    factor(&by),
                    factor(&|c| -through(c)),
                    factor(&|c| through(c) * f64::from(mean[c]) - by(c) * f64::from(sums[c]) / n),
                ];
                let mut dy = vec![f32::NAN; dz.len()];
                let factors = [&factors[0][..], &factors[1], &factors[2]];
                norm.backward_apply(Stored::F32(&dz), input, factors, &mut dy);
                let step = 1e-6;
                let slope = |at: usize, what: usize| {
                    let moved = |step: f64| {
                        let mut all = [wide(&y), wide(&gamma), wide(&beta)];
                        all[what][at] += step;
                        norm_loss(&all[0], &all[1], &all[2], &dz, clamp)
                    };
                    (moved(step) - moved(-step)) / (2.0 * step)
                };
                for (at, &dy) in dy.iter().enumerate() {
                    let expected = slope(at, 0);
                    assert!(
                        (f64::from(dy) - expected).abs() < 2e-4,
                        "{isa:?} {clamp:?}: {dy} {expected}"
                    );
                }
                for c in 0..channels {
                    let gamma = f64::from(products[c]) * inverse[c];
                    assert!((gamma - slope(c, 1)).abs() < 2e-4, "gamma");
                    assert!((f64::from(sums[c]) - slope(c, 2)).abs() < 2e-4, "beta");
                }
            }
        }
    }
}

#[test]
fn a_mask_keeps_what_lies_inside() {
    let z: Vec<f32> = (0..41).map(|i| i as f32 - 20.0).collect();
    for isa in Isa::available() {
        let mut dz = vec![1.0; z.len()];
        BatchNorm::new(isa, 1).unwrap().mask(&mut dz, &z, Clamp::RELU6);
        let expected: Vec<f32> =
            z.iter().map(|&z| if z > 0.0 && z < 6.0 { 1.0 } else { 0.0 }).collect();
        assert_eq!(dz, expected, "{isa:?}");
    }
}

#[test]
fn norm_passes_read_bf16_as_the_f32_that_it_stands_for() {
    for isa in Isa::available() {
        for channels in [1, 7, 16, 70] {
            let values = 11 * channels;
            let (mut y, mut dz) = (vec![0; values], vec![0; values]);
            round_to_bf16(isa, &real(values, 0.3), &mut y);
            round_to_bf16(isa, &real(values, 1.7), &mut dz);
            let widen = |halves: &[u16]| -> Vec<f32> {
                halves.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect()
            };
            let (wide_y, wide_dz) = (widen(&y), widen(&dz));
            let norm = BatchNorm::new(isa, channels).unwrap();
            let rows: Vec<Vec<f32>> = (0..6).map(|i| real(channels, i as f32)).collect();
            let clamp = Clamp { low: 0.0, high: 0.8 };
            let run = |y: Stored<'_>, dz: Stored<'_>| {
                let input = NormInput { y, scale: &rows[0], shift: &rows[1], clamp };
                let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
                norm.backward_sums(dz, input, &rows[2], &mut sums, &mut products);
                let (mut z, mut dy) = (vec![f32::NAN; values], vec![f32::NAN; values]);
                norm.apply(y, [&rows[0], &rows[1]], None, clamp, &mut z);
                norm.backward_apply(dz, input, [&rows[3], &rows[4], &rows[5]], &mut dy);
                [sums, products, z, dy]
            };
            let expected = run(Stored::F32(&wide_y), Stored::F32(&wide_dz));
            for (y, dz) in [
                (Stored::Bf16(&y), Stored::F32(&wide_dz)),
                (Stored::F32(&wide_y), Stored::Bf16(&dz)),
                (Stored::Bf16(&y), Stored::Bf16(&dz)),
            ] {
                assert_eq!(run(y, dz), expected, "{isa:?}, {channels} channels");
            }
        }
    }
}

#[test]
fn pools_give_gradients_back_to_what_they_read() {
    let window =
        Window { input: [4, 5], output: [2, 3], kernel: [3, 3], stride: 2, before: [1, 1] };
    let channels = 2;
    let x = real(20 * channels, 0.1);
    let mut y = vec![0.0; 6 * channels];
    max_pool(&window, channels, &x, &mut y);
    let dy = real(y.len(), 4.0);
    let mut dx = vec![f32::NAN; x.len()];
    max_pool_backward(&window, channels, &x, &y, &dy, &mut dx);
    for at in 0..x.len() {
        let moved = |step: f32| {
            let (mut x, mut y) = (x.clone(), y.clone());
            x[at] += step;
            max_pool(&window, channels, &x, &mut y);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f32>()
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((dx[at] - slope).abs() < 1e-3, "{} {slope}", dx[at]);
    }
    // Of equal maxima, the first takes all.
    let mut dx = [f32::NAN; 4];
    let whole = Window { input: [2, 2], output: [1, 1], kernel: [2, 2], stride: 2, before: [0, 0] };
    max_pool_backward(&whole, 1, &[3.0; 4], &[3.0], &[5.0], &mut dx);
    assert_eq!(dx, [5.0, 0.0, 0.0, 0.0]);
    let (mut mean, mut dx) = ([0.0; 2], [f32::NAN; 6]);
    mean_pool(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut mean);
    assert_eq!(mean, [3.0, 4.0]);
    mean_pool_backward(2, &[3.0, 6.0], &mut dx);
    assert_eq!(dx, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn cross_entropy_has_the_gradient_of_its_definition() {
    let labels = [2, 0, 1, 1];
    let logits = real(12, 0.9);
    for loss in [
        CrossEntropy::PLAIN,
        CrossEntropy { label_smoothing: 0.1, class_weights: None },
        CrossEntropy { label_smoothing: 0.2, class_weights: Some(vec![0.5, 2.0, 1.5]) },
    ] {
        let mut gradient = vec![f32::NAN; 12];
        loss.loss(&logits, &labels, &mut gradient);
        for at in 0..12 {
            let moved = |step: f32| {
                let (mut logits, mut unused) = (logits.clone(), vec![0.0; 12]);
                logits[at] += step;
                loss.loss(&logits, &labels, &mut unused)
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(gradient[at]) - slope).abs() < 1e-4, "{} {slope}", gradient[at]);
        }
    }
}
