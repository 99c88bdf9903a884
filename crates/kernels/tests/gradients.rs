//! Gradients of every kernel on every instruction level equal their definition.

mod support;

use offshoot_kernels::{ConvGrad, Window};
use proptest::prelude::*;
use support::{levels, values, window};

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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn convolution(
        window in window(),
        inputs in prop_oneof![1usize..20, 30usize..70],
        outputs in 1usize..70,
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
            let mut scratch = vec![f32::NAN; grad.weight_scratch_len(images)];
            grad.weight(images, &x, &dy, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &dw, "weight, {:?} {:?}", isa, precision);
        }
    }
}
