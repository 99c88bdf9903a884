//! Kernels on channels-last images: shapes of MobileNetV2, ResNet, ResNeXt and EfficientNet-B0.

use offshoot_kernels::{
    Activation, BatchNorm, Clamp, Conv, ConvGrad, Depthwise, DepthwiseGrad, GroupSizes,
    GroupedConv, GroupedConvGrad, KernelError, NormInput, Order, SqueezeExcite, Stored, Window,
    max_pool, max_pool_backward, mean_pool, mean_pool_backward, round_to_bf16,
};

use super::{Level, Work, figure};

pub fn square(size: usize, kernel: usize, stride: usize) -> Window {
    let pad = kernel / 2;
    let out = (size + 2 * pad - kernel) / stride + 1;
    Window { input: [size; 2], output: [out; 2], kernel: [kernel; 2], stride, before: [pad; 2] }
}

pub fn all(level: Level) -> Result<(), KernelError> {
    dense(level)?;
    depthwise(level)?;
    grouped(level)?;
    excited(level)?;
    norms(level)?;
    pools();
    Ok(())
}

fn dense(level: Level) -> Result<(), KernelError> {
    for (size, kernel, stride, inputs, outputs, images) in [
        (224, 3, 2, 3, 32, 1),
        (112, 1, 1, 32, 16, 1),
        (112, 1, 1, 16, 96, 1),
        (56, 1, 1, 24, 144, 1),
        (56, 1, 1, 144, 24, 1),
        (28, 1, 1, 32, 192, 4),
        (28, 1, 1, 192, 32, 4),
        (14, 1, 1, 64, 384, 8),
        (14, 1, 1, 384, 64, 8),
        (14, 1, 1, 576, 96, 8),
        (7, 1, 1, 160, 960, 16),
        (7, 1, 1, 960, 160, 16),
        (7, 1, 1, 320, 1280, 16),
        (224, 7, 2, 3, 64, 1),
        (56, 3, 1, 64, 64, 1),
        (28, 3, 1, 128, 128, 2),
        (14, 3, 1, 256, 256, 4),
        (7, 3, 1, 512, 512, 16),
        (56, 3, 2, 64, 128, 1),
        (56, 1, 2, 64, 128, 1),
    ] {
        let shape = format!("{size}² {kernel}×{kernel}/{stride} {inputs}→{outputs}, {images}");
        let window = square(size, kernel, stride);
        let weight = vec![0.01; outputs * inputs * kernel * kernel];
        let mut conv = Conv::planned(level.isa, level.precision, window, inputs, outputs)?;
        let bias = vec![0.0; outputs];
        conv.pack(Order::Hwio, &weight, &bias)?;
        let work = Work::Flop(2.0 * (conv.multiply_adds() * images) as f64);
        let input = vec![0.5; images * conv.input_len()];
        let mut output = vec![0.0; images * conv.output_len()];
        let mut scratch = vec![0.0; conv.scratch_len(images)];
        figure("convolution", &shape, work, || {
            conv.run(images, &input, None, Clamp::RELU6, &mut scratch, &mut output);
        });
        let mut grad = ConvGrad::new(level.isa, level.precision, window, inputs, outputs)?;
        grad.pack(&weight)?;
        let mut dx = vec![0.0; input.len()];
        let mut scratch = vec![0.0; grad.input_scratch_len(images)];
        figure("convolution dX", &shape, work, || {
            grad.input(images, &output, None, &mut scratch, &mut dx);
        });
        let mut dw = vec![0.0; weight.len()];
        let mut scratch = vec![0.0; grad.add_scratch_len()];
        let mut sums = vec![0.0; grad.sums_len()];
        figure("convolution dW", &shape, work, || {
            grad.add(images, &input, &output, &mut scratch, &mut sums);
            grad.collect(&sums, &mut dw);
        });
        figure("convolution packing", &shape, Work::of_values(2 * weight.len()), || {
            conv.pack(Order::Hwio, &weight, &bias).unwrap_or_default();
        });
    }
    Ok(())
}

fn depthwise(level: Level) -> Result<(), KernelError> {
    for (size, kernel, stride, channels) in [
        (112, 3, 1, 32),
        (112, 3, 2, 96),
        (56, 3, 1, 144),
        (56, 3, 2, 144),
        (56, 5, 2, 144),
        (28, 3, 1, 192),
        (28, 5, 1, 240),
        (14, 3, 1, 384),
        (14, 5, 1, 480),
        (7, 3, 1, 960),
        (7, 5, 1, 1152),
    ] {
        let shape = format!("{size}² {kernel}×{kernel}/{stride} {channels}");
        let window = square(size, kernel, stride);
        let weight = vec![0.01; channels * kernel * kernel];
        let conv = Depthwise::new(level.isa, window, channels, &weight, &vec![0.0; channels])?;
        let work = Work::Flop(2.0 * conv.multiply_adds() as f64);
        let input = vec![0.5; conv.input_len()];
        let mut output = vec![0.0; conv.output_len()];
        figure("depthwise", &shape, work, || conv.run(1, &input, Clamp::RELU6, &mut output));
        let mut grad = DepthwiseGrad::new(level.isa, window, channels)?;
        grad.pack(&weight)?;
        let mut dx = vec![0.0; input.len()];
        figure("depthwise dX", &shape, work, || grad.input(1, &output, None, &mut dx));
        let mut sums = vec![0.0; grad.sums_len()];
        figure("depthwise dW", &shape, work, || grad.add(1, &input, &output, &mut sums));
    }
    Ok(())
}

/// The 3×3 convolutions of ResNeXt-50 (32×4d), counting what the groups need, without the zeros
/// between them.
fn grouped(level: Level) -> Result<(), KernelError> {
    for (size, stride, channels, images) in [
        (56, 1, 128, 1),
        (56, 2, 256, 1),
        (28, 1, 256, 2),
        (28, 2, 512, 2),
        (14, 1, 512, 4),
        (14, 2, 1024, 4),
        (7, 1, 1024, 16),
    ] {
        let shape = format!("{size}² 3×3/{stride} 32×{}, {images}", channels / 32);
        let window = square(size, 3, stride);
        let sizes = GroupSizes { inputs: channels, outputs: channels, groups: 32 };
        let weight = vec![0.01; 9 * channels / 32 * channels];
        let mut conv = GroupedConv::planned(level.isa, level.precision, window, sizes)?;
        conv.pack(Order::Hwio, &weight, &vec![0.0; channels])?;
        let pixels = window.output[0] * window.output[1];
        let work = Work::Flop(2.0 * (images * pixels * weight.len()) as f64);
        let input = vec![0.5; images * size * size * channels];
        let mut output = vec![0.0; images * pixels * channels];
        let mut scratch = vec![0.0; conv.scratch_len(images)];
        figure("grouped", &shape, work, || {
            conv.run(images, &input, Clamp::RELU, &mut scratch, &mut output);
        });
        let mut grad = GroupedConvGrad::new(level.isa, level.precision, window, sizes)?;
        grad.pack(&weight)?;
        let mut scratch = vec![0.0; grad.scratch_len(images)];
        let mut dx = vec![0.0; input.len()];
        figure("grouped dX", &shape, work, || {
            grad.input(images, &output, None, &mut scratch, &mut dx);
        });
        let mut sums = vec![0.0; grad.sums_len()];
        figure("grouped dW", &shape, work, || {
            grad.add(images, &input, &output, &mut scratch, &mut sums);
        });
    }
    Ok(())
}

fn excited(level: Level) -> Result<(), KernelError> {
    for (size, channels, hidden) in
        [(112, 32, 8), (56, 96, 4), (28, 240, 10), (14, 480, 20), (7, 1152, 48)]
    {
        let shape = format!("{size}² {channels}, {hidden}");
        let kernel = SqueezeExcite::new(level.isa, channels, hidden, Activation::Silu)?;
        let len = size * size * channels;
        let (x, dy) = (vec![0.5; len], vec![0.25; len]);
        let (mut y, mut dx) = (vec![0.0; len], vec![0.0; len]);
        let mut kept = vec![0.0; kernel.kept_len()];
        let mut deltas = vec![0.0; kernel.deltas_len()];
        // The image is read twice and written once.
        figure("squeeze-excite", &shape, Work::of_values(3 * len), || {
            kernel.gates(&x, &mut kept);
            kernel.apply(&kept, &x, &mut y);
        });
        figure("squeeze-excite dX", &shape, Work::of_values(4 * len), || {
            kernel.backward(&kept, &x, &dy, &mut deltas, &mut dx);
        });
    }
    Ok(())
}

fn norms(level: Level) -> Result<(), KernelError> {
    for (size, channels) in [(56, 24), (56, 144), (14, 576), (7, 1280)] {
        let shape = format!("{size}² {channels}");
        let norm = BatchNorm::new(level.isa, channels)?;
        let len = size * size * channels;
        let y: Vec<f32> = (0..len).map(|i| (i % 17) as f32 - 8.0).collect();
        let (mut narrow, mut z) = (vec![0; len], vec![0.0; len]);
        round_to_bf16(level.isa, &y, &mut narrow);
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let (mut a, mut b) = (vec![0.0; channels], vec![0.0; channels]);
        figure("norm moments", &shape, Work::of_values(2 * len), || {
            norm.moments(&y, &mut a, &mut b);
        });
        figure("norm", &shape, Work::of_values(2 * len), || {
            norm.apply(Stored::F32(&y), [&ones, &zeros], None, Clamp::RELU6, &mut z);
        });
        figure("norm of bf16", &shape, Work::Bytes(6.0 * len as f64), || {
            norm.apply(Stored::Bf16(&narrow), [&ones, &zeros], None, Clamp::RELU6, &mut z);
        });
        figure("rounding to bf16", &shape, Work::Bytes(6.0 * len as f64), || {
            round_to_bf16(level.isa, &y, &mut narrow);
        });
        let y = Stored::F32(&y);
        let input = NormInput { y, scale: &ones, shift: &zeros, clamp: Clamp::RELU6 };
        figure("norm sums", &shape, Work::of_values(2 * len), || {
            norm.backward_sums(y, input, &zeros, &mut a, &mut b);
        });
        figure("norm dX", &shape, Work::of_values(3 * len), || {
            norm.backward_apply(y, input, [&ones, &zeros, &zeros], &mut z);
        });
    }
    Ok(())
}

fn pools() {
    let (window, channels) = (square(112, 3, 2), 64);
    let x: Vec<f32> = (0..112 * 112 * channels).map(|i| (i % 23) as f32).collect();
    let mut y = vec![0.0; 56 * 56 * channels];
    let mut dx = vec![0.0; x.len()];
    let work = Work::of_values(x.len() + y.len());
    figure("max pool", "112² 3×3/2 64", work, || max_pool(&window, channels, &x, &mut y));
    let dy = y.clone();
    figure("max pool dX", "112² 3×3/2 64", work, || {
        max_pool_backward(&window, channels, &x, &y, &dy, &mut dx);
    });
    let (x, mut y) = (vec![0.5; 49 * 1280], vec![0.0; 1280]);
    let mut dx = x.clone();
    let work = Work::of_values(x.len());
    figure("mean pool", "7² 1280", work, || mean_pool(1280, &x, &mut y));
    figure("mean pool dX", "7² 1280", work, || mean_pool_backward(1280, &y, &mut dx));
}
