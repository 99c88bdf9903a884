//! Speed of each kernel on one thread, for the shapes of MobileNetV2 and ResNet.
//!
//! `cargo run --release -p offshoot-kernels --example kernel_speed [isa]`

use std::time::Instant;

use offshoot_kernels::{Clamp, Conv, ConvGrad, Depthwise, Isa, Precision, Window};

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
    Ok(())
}
