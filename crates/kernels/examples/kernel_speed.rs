//! Speed of each kernel on one thread, for the shapes of MobileNetV2, ResNet, ResNeXt and
//! EfficientNet-B0.
//!
//! `cargo run --release -p offshoot-kernels --example kernel_speed [isa]`

use std::time::Instant;

use offshoot_kernels::{
    Activation, Clamp, Conv, ConvGrad, Depthwise, GroupSizes, GroupedConv, GroupedConvGrad, Isa,
    KernelError, Order, Precision, SqueezeExcite, Window,
};

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn square(size: usize, kernel: usize, stride: usize) -> Window {
    let pad = kernel / 2;
    let out = (size + 2 * pad - kernel) / stride + 1;
    Window { input: [size; 2], output: [out; 2], kernel: [kernel; 2], stride, before: [pad; 2] }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = match std::env::args().nth(1) {
        Some(name) => Isa::from_name(&name).ok_or("portable, neon, avx2, avx512 or amx")?,
        None => Isa::detect(),
    };
    println!("{} on one thread", isa.name());
    println!(
        "dense: size kernel stride inputs outputs images, forward, gradient of input, of weights"
    );
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
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
        let weight = vec![0.01; outputs * inputs * kernel * kernel];
        let window = square(size, kernel, stride);
        let conv = Conv::new(isa, window, inputs, outputs, &weight, &vec![0.0; outputs])?;
        let input = vec![0.5; images * conv.input_len()];
        let mut output = vec![0.0; images * conv.output_len()];
        let mut scratch = vec![0.0; conv.scratch_len(images)];
        let seconds =
            median(|| conv.run(images, &input, None, Clamp::RELU6, &mut scratch, &mut output));
        let flops = 2.0 * (conv.multiply_adds() * images) as f64;
        let mut grad = ConvGrad::new(isa, Precision::F32, window, inputs, outputs)?;
        grad.pack(&weight)?;
        let mut dx = vec![0.0; input.len()];
        let mut dw = vec![0.0; weight.len()];
        let mut scratch = vec![0.0; grad.input_scratch_len(images)];
        let by_input = median(|| grad.input(images, &output, None, &mut scratch, &mut dx));
        let mut scratch = vec![0.0; grad.add_scratch_len()];
        let mut sums = vec![0.0; grad.sums_len()];
        let by_weight = median(|| {
            grad.add(images, &input, &output, &mut scratch, &mut sums);
            pool.install(|| grad.collect(&sums, &mut dw));
        });
        print!("{size:4} {kernel} {stride} {inputs:4} {outputs:4} {images:3}");
        for seconds in [seconds, by_input, by_weight] {
            print!("  {:8.3} ms  {:6.1} GFLOP/s", seconds * 1e3, flops / seconds * 1e-9);
        }
        println!();
    }
    println!("depthwise: size kernel stride channels");
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
        let weight = vec![0.01; channels * kernel * kernel];
        let conv = Depthwise::new(
            isa,
            square(size, kernel, stride),
            channels,
            &weight,
            &vec![0.0; channels],
        )?;
        let input = vec![0.5; conv.input_len()];
        let mut output = vec![0.0; conv.output_len()];
        let seconds = median(|| conv.run(1, &input, Clamp::RELU6, &mut output));
        println!(
            "{size:4} {kernel} {stride} {channels:4}  {:8.3} ms  {:6.1} GFLOP/s  {:6.1} GB/s",
            seconds * 1e3,
            2.0 * conv.multiply_adds() as f64 / seconds * 1e-9,
            4.0 * (input.len() + output.len()) as f64 / seconds * 1e-9
        );
    }
    grouped(isa)?;
    excited(isa)?;
    Ok(())
}

/// The 3×3 convolutions of ResNeXt-50 (32×4d); GFLOP/s counts what the groups need, without the
/// zeros between them.
fn grouped(isa: Isa) -> Result<(), KernelError> {
    println!("32 groups: size stride channels images, forward, gradient of input, of weights");
    for (size, stride, channels, images) in [
        (56, 1, 128, 1),
        (56, 2, 256, 1),
        (28, 1, 256, 2),
        (28, 2, 512, 2),
        (14, 1, 512, 4),
        (14, 2, 1024, 4),
        (7, 1, 1024, 16),
    ] {
        let window = square(size, 3, stride);
        let sizes = GroupSizes { inputs: channels, outputs: channels, groups: 32 };
        let weight = vec![0.01; 9 * channels / 32 * channels];
        let mut conv = GroupedConv::planned(isa, Precision::F32, window, sizes)?;
        conv.pack(Order::Hwio, &weight, &vec![0.0; channels])?;
        let pixels = window.output[0] * window.output[1];
        let input = vec![0.5; images * size * size * channels];
        let mut output = vec![0.0; images * pixels * channels];
        let mut scratch = vec![0.0; conv.scratch_len(images)];
        let forward = median(|| conv.run(images, &input, Clamp::RELU, &mut scratch, &mut output));
        let mut grad = GroupedConvGrad::new(isa, Precision::F32, window, sizes)?;
        grad.pack(&weight)?;
        let mut scratch = vec![0.0; grad.scratch_len(images)];
        let mut dx = vec![0.0; input.len()];
        let by_input = median(|| grad.input(images, &output, None, &mut scratch, &mut dx));
        let mut sums = vec![0.0; grad.sums_len()];
        let by_weight = median(|| grad.add(images, &input, &output, &mut scratch, &mut sums));
        let flops = 2.0 * (images * pixels * weight.len()) as f64;
        print!("{size:4} {stride} {channels:4} {images:3}");
        for seconds in [forward, by_input, by_weight] {
            print!("  {:8.3} ms  {:6.1} GFLOP/s", seconds * 1e3, flops / seconds * 1e-9);
        }
        println!();
    }
    Ok(())
}

/// Bytes are those of the image, read twice and written once, or of three images and one.
fn excited(isa: Isa) -> Result<(), KernelError> {
    println!("squeeze-excite: size channels hidden, forward, gradient of input");
    for (size, channels, hidden) in
        [(112, 32, 8), (56, 96, 4), (28, 240, 10), (14, 480, 20), (7, 1152, 48)]
    {
        let kernel = SqueezeExcite::new(isa, channels, hidden, Activation::Silu)?;
        let len = size * size * channels;
        let (x, dy) = (vec![0.5; len], vec![0.25; len]);
        let (mut y, mut dx) = (vec![0.0; len], vec![0.0; len]);
        let mut kept = vec![0.0; kernel.kept_len()];
        let mut deltas = vec![0.0; kernel.deltas_len()];
        let forward = median(|| {
            kernel.gates(&x, &mut kept);
            kernel.apply(&kept, &x, &mut y);
        });
        let backward = median(|| kernel.backward(&kept, &x, &dy, &mut deltas, &mut dx));
        print!("{size:4} {channels:4} {hidden:3}");
        for (seconds, passes) in [(forward, 3.0), (backward, 4.0)] {
            let rate = 4.0 * passes * len as f64 / seconds * 1e-9;
            print!("  {:8.3} ms  {rate:6.1} GB/s", seconds * 1e3);
        }
        println!();
    }
    Ok(())
}
