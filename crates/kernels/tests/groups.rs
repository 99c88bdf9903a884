//! Grouped convolutions on every instruction level equal the dense ones whose weights are zero
//! wherever one group would meet another's channels.

mod support;

use offshoot_kernels::{
    Conv, ConvGrad, GroupSizes, GroupedConv, GroupedConvGrad, Isa, Order, Precision, Window,
    images_of,
};
use proptest::prelude::*;
use support::{cases, clamp, levels, values, window};

/// Prime and even numbers of groups, of narrow and wide groups.
fn sizes() -> impl Strategy<Value = GroupSizes> {
    let groups = prop_oneof![1usize..8, Just(11), Just(32)];
    let each = || prop_oneof![1usize..8, Just(13), Just(17)];
    let few = |n: usize| if cfg!(miri) { n.min(3) } else { n };
    (groups, each(), each()).prop_map(move |(groups, inputs, outputs)| GroupSizes {
        inputs: few(groups) * few(inputs),
        outputs: few(groups) * few(outputs),
        groups: few(groups),
    })
}

/// `[kh, kw, inputs / groups, outputs]` as `[kh, kw, inputs, outputs]`.
fn dense(sizes: GroupSizes, taps: usize, weight: &[f32]) -> Vec<f32> {
    let GroupSizes { inputs, outputs, groups } = sizes;
    let mut dense = vec![0.0; taps * inputs * outputs];
    for (at, &value) in weight.iter().enumerate() {
        let (o, c) = (at % outputs, at / outputs % (inputs / groups));
        let tap = at / outputs / (inputs / groups);
        let channel = o / (outputs / groups) * (inputs / groups) + c;
        dense[(tap * inputs + channel) * outputs + o] = value;
    }
    dense
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(60)) })]

    /// Small whole numbers, so that sums are exact in any order.
    #[test]
    fn forward_and_backward(
        window in window(),
        sizes in sizes(),
        images in 1usize..4,
        clamp in clamp(),
        with_add: bool,
    ) {
        let GroupSizes { inputs, outputs, groups } = sizes;
        let taps = window.kernel[0] * window.kernel[1];
        let x_len = images * window.input[0] * window.input[1] * inputs;
        let y_len = images * window.output[0] * window.output[1] * outputs;
        let weight = values(taps * inputs / groups * outputs, 1);
        let (bias, x, dy) = (values(outputs, 2), values(x_len, 3), values(y_len, 4));
        let add = values(x_len, 5);
        let add = with_add.then_some(&add[..]);
        let whole = dense(sizes, taps, &weight);
        let plain = (Isa::Portable, Precision::F32);

        let mut conv = Conv::planned(plain.0, plain.1, window, inputs, outputs).unwrap();
        conv.pack(Order::Hwio, &whole, &bias).unwrap();
        let (mut y, mut scratch) = (vec![f32::NAN; y_len], vec![0.0; conv.scratch_len(images)]);
        conv.run(images, &x, None, clamp, &mut scratch, &mut y);
        let mut grad = ConvGrad::new(plain.0, plain.1, window, inputs, outputs).unwrap();
        grad.pack(&whole).unwrap();
        let mut dx = vec![f32::NAN; x_len];
        let mut scratch = vec![0.0; grad.input_scratch_len(images)];
        grad.input(images, &dy, add, &mut scratch, &mut dx);
        let mut dw = vec![f32::NAN; whole.len()];
        let mut scratch = vec![0.0; grad.weight_scratch_len(images)];
        grad.weight(images, &x, &dy, &mut scratch, &mut dw);

        for (isa, precision) in levels() {
            let mut conv = GroupedConv::planned(isa, precision, window, sizes).unwrap();
            conv.pack(Order::Hwio, &weight, &bias).unwrap();
            let mut scratch = vec![f32::NAN; conv.scratch_len(images)];
            let mut actual = vec![f32::NAN; y_len];
            conv.run(images, &x, clamp, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &y, "output, {:?} {:?}", isa, precision);

            let mut grad = GroupedConvGrad::new(isa, precision, window, sizes).unwrap();
            grad.pack(&weight).unwrap();
            let mut scratch = vec![f32::NAN; grad.scratch_len(images)];
            let mut actual = vec![f32::NAN; x_len];
            grad.input(images, &dy, add, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &dx, "input, {:?} {:?}", isa, precision);

            let parts = grad.parts(images);
            let mut sums = vec![0.0; parts * grad.sums_len()];
            for (part, sums) in sums.chunks_exact_mut(grad.sums_len()).enumerate() {
                let range = images_of(part, parts, images);
                let x = &x[range.start * x_len / images..];
                let dy = &dy[range.start * y_len / images..];
                grad.add(range.len(), x, dy, &mut scratch, sums);
            }
            let mut actual = vec![f32::NAN; weight.len()];
            grad.collect(&sums, &mut actual);
            let spread = dense(sizes, taps, &actual);
            let mask = dense(sizes, taps, &vec![1.0; weight.len()]);
            for ((&actual, &dw), &mask) in spread.iter().zip(&dw).zip(&mask) {
                prop_assert_eq!(actual, dw * mask, "weight, {:?} {:?}", isa, precision);
            }
        }
    }
}

/// Two groups of one pixel, by hand.
#[test]
fn a_group_meets_its_own_filters_only() {
    let window =
        Window { input: [1, 1], output: [1, 1], kernel: [1, 1], stride: 1, before: [0, 0] };
    let sizes = GroupSizes { inputs: 4, outputs: 2, groups: 2 };
    for isa in Isa::available() {
        let mut conv = GroupedConv::planned(isa, Precision::F32, window, sizes).unwrap();
        conv.pack(Order::Oihw, &[1.0, 10.0, 100.0, 1000.0], &[0.5, 0.25]).unwrap();
        let mut scratch = vec![0.0; conv.scratch_len(1)];
        let mut y = [f32::NAN; 2];
        let none = offshoot_kernels::Clamp::NONE;
        conv.run(1, &[1.0, 2.0, 3.0, 4.0], none, &mut scratch, &mut y);
        assert_eq!(y, [21.5, 4300.25], "{isa:?}");
    }
}

#[test]
fn groups_that_do_not_divide_the_channels_are_refused() {
    let window =
        Window { input: [1, 1], output: [1, 1], kernel: [1, 1], stride: 1, before: [0, 0] };
    for (inputs, outputs, groups) in [(4, 4, 3), (4, 6, 4), (6, 4, 3), (0, 4, 1), (4, 4, 0)] {
        let sizes = GroupSizes { inputs, outputs, groups };
        let planned = GroupedConv::planned(Isa::Portable, Precision::F32, window, sizes);
        assert!(planned.is_err(), "{sizes:?}");
        let planned = GroupedConvGrad::new(Isa::Portable, Precision::F32, window, sizes);
        assert!(planned.is_err(), "{sizes:?}");
    }
}
