//! Batch norm and pooling on random shapes equal their definitions, in buffers of exact size.

mod support;

use offshoot_kernels::{
    BatchNorm, Clamp, Isa, NormInput, Stored, max_pool, max_pool_backward, mean_pool,
    mean_pool_backward, round_to_bf16,
};
use proptest::prelude::*;
use support::{below, cases, clamp, values, window};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(100)) })]

    #[test]
    fn moments(channels in 1..below(80), pixels in 1..below(300)) {
        let y = values(pixels * channels, 1);
        for isa in Isa::available() {
            let norm = BatchNorm::new(isa, channels).unwrap();
            let (mut mean, mut squares) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
            norm.moments(&y, &mut mean, &mut squares);
            for c in 0..channels {
                let column = || y.iter().skip(c).step_by(channels).map(|&y| f64::from(y));
                let expected = column().sum::<f64>() / pixels as f64;
                prop_assert!((f64::from(mean[c]) - expected).abs() < 1e-5, "{:?}", isa);
                let expected = column().map(|y| (y - expected).powi(2)).sum::<f64>();
                let error = (f64::from(squares[c]) - expected).abs();
                prop_assert!(error < 1e-5 * expected.max(1.0), "{:?}", isa);
            }
        }
    }

    /// Small whole numbers throughout, so that every value is exact, in bf16 too.
    #[test]
    fn passes_of_batch_norm(
        channels in 1..below(80),
        pixels in 1..below(40),
        clamp in clamp(),
        with_residual: bool,
        [half_y, half_dz]: [bool; 2],
    ) {
        let n = pixels * channels;
        let (y, dz, residual) = (values(n, 1), values(n, 2), values(n, 3));
        let [scale, shift, mean, a, b, c] = [4, 5, 6, 7, 8, 9].map(|salt| values(channels, salt));
        let each = |f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..n).map(|i| f(i, i % channels)).collect()
        };
        let linear = each(&|i, c| scale[c] * y[i] + shift[c]);
        let passes = |x: f32| if x > clamp.low && x < clamp.high { 1.0 } else { 0.0 };
        let gradient = each(&|i, _| dz[i] * passes(linear[i]));
        let residual = with_residual.then_some(&residual[..]);
        for isa in Isa::available() {
            let norm = BatchNorm::new(isa, channels).unwrap();
            let halves = [&y, &dz].map(|wide| {
                let mut halves = vec![0; n];
                round_to_bf16(isa, wide, &mut halves);
                halves
            });
            let stored_y = if half_y { Stored::Bf16(&halves[0]) } else { Stored::F32(&y) };
            let stored_dz = if half_dz { Stored::Bf16(&halves[1]) } else { Stored::F32(&dz) };
            let mut z = vec![f32::NAN; n];
            norm.apply(stored_y, [&scale, &shift], residual, clamp, &mut z);
            let expected = each(&|i, _| {
                (linear[i] + residual.map_or(0.0, |r| r[i])).clamp(clamp.low, clamp.high)
            });
            prop_assert_eq!(&z, &expected, "apply, {:?}", isa);

            let input = NormInput { y: stored_y, scale: &scale, shift: &shift, clamp };
            let (mut sums, mut products) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
            norm.backward_sums(stored_dz, input, &mean, &mut sums, &mut products);
            let (mut expected, mut expected_products) = (vec![0.0; channels], vec![0.0; channels]);
            for (i, g) in gradient.iter().enumerate() {
                expected[i % channels] += g;
                expected_products[i % channels] += g * (y[i] - mean[i % channels]);
            }
            prop_assert_eq!(sums, expected, "sums, {:?}", isa);
            prop_assert_eq!(products, expected_products, "products, {:?}", isa);

            let mut dy = vec![f32::NAN; n];
            norm.backward_apply(stored_dz, input, [&a, &b, &c], &mut dy);
            let expected = each(&|i, k| a[k] * gradient[i] + b[k] * y[i] + c[k]);
            prop_assert_eq!(&dy, &expected, "backward, {:?}", isa);

            let mut masked = dz.clone();
            norm.mask(&mut masked, &linear, clamp);
            prop_assert_eq!(&masked, &gradient, "mask, {:?}", isa);
        }
    }

    #[test]
    fn largest_values(window in window(), channels in 1..below(20)) {
        let [h, w] = window.input;
        let [out_h, out_w] = window.output;
        let x = values(h * w * channels, 1);
        let dy = values(out_h * out_w * channels, 2);
        let (mut expected, mut expected_dx) = (Vec::new(), vec![0.0; x.len()]);
        for pixel in 0..out_h * out_w {
            for c in 0..channels {
                // Of equal values, the first is the largest.
                let mut best: Option<usize> = None;
                for tap in 0..window.kernel[0] * window.kernel[1] {
                    let [i, j] = [tap / window.kernel[1], tap % window.kernel[1]];
                    let y = (pixel / out_w * window.stride + i).wrapping_sub(window.before[0]);
                    let column = (pixel % out_w * window.stride + j).wrapping_sub(window.before[1]);
                    let at = y.wrapping_mul(w).wrapping_add(column).wrapping_mul(channels) + c;
                    if y < h && column < w && best.is_none_or(|best| x[at] > x[best]) {
                        best = Some(at);
                    }
                }
                let best = best.unwrap();
                expected.push(x[best]);
                expected_dx[best] += dy[pixel * channels + c];
            }
        }
        let mut y = vec![f32::NAN; dy.len()];
        max_pool(&window, channels, &x, &mut y);
        prop_assert_eq!(&y, &expected);
        let mut dx = vec![f32::NAN; x.len()];
        max_pool_backward(&window, channels, &x, &y, &dy, &mut dx);
        prop_assert_eq!(dx, expected_dx);
    }

    #[test]
    fn means(channels in 1..below(80), pixels in 1..below(40)) {
        let (x, dy) = (values(pixels * channels, 1), values(channels, 2));
        let mut y = vec![f32::NAN; channels];
        mean_pool(channels, &x, &mut y);
        for (c, &y) in y.iter().enumerate() {
            let expected = x.iter().skip(c).step_by(channels).sum::<f32>() / pixels as f32;
            prop_assert!((y - expected).abs() < 1e-5);
        }
        let mut dx = vec![f32::NAN; x.len()];
        mean_pool_backward(channels, &dy, &mut dx);
        for (i, &dx) in dx.iter().enumerate() {
            prop_assert!((dx - dy[i % channels] / pixels as f32).abs() < 1e-5);
        }
    }
}

#[test]
fn a_clamp_lets_the_bounds_themselves_through_without_gradient() {
    let z = [-1.0, 0.0, 3.0, 6.0, 7.0];
    for isa in Isa::available() {
        let mut dz = [1.0; 5];
        BatchNorm::new(isa, 5).unwrap().mask(&mut dz, &z, Clamp::RELU6);
        assert_eq!(dz, [0.0, 0.0, 1.0, 0.0, 0.0], "{isa:?}");
    }
}
