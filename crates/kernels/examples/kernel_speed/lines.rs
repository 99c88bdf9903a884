//! Kernels on images in bf16 lines: shapes of MobileNetV2, ResNet-18 and MiniLM.

use offshoot_kernels::{
    Activation, Clamp, Isa, KernelError, Line, LinesConv, LinesDepthwise, Precision, Window,
    max_pool_lines, mean_pool_lines,
};

use super::images::square;
use super::{Level, Work, figure};

pub fn all(level: Level) -> Result<(), KernelError> {
    if !level.isa.has_bf16() || level.precision != Precision::Bf16 {
        return Ok(());
    }
    dense(level.isa)?;
    depthwise(level.isa)?;
    pools(level.isa);
    Ok(())
}

fn area([height, width]: [usize; 2]) -> usize {
    height * width
}

fn dense(isa: Isa) -> Result<(), KernelError> {
    for (size, kernel, stride, inputs, outputs, images) in [
        (112, 1, 1, 16, 96, 1),
        (56, 1, 1, 24, 144, 1),
        (56, 1, 1, 144, 24, 1),
        (14, 1, 1, 64, 384, 8),
        (14, 1, 1, 384, 64, 8),
        (7, 1, 1, 160, 960, 16),
        (7, 1, 1, 960, 160, 16),
        (7, 1, 1, 320, 1280, 16),
        (56, 3, 1, 64, 64, 1),
        (28, 3, 1, 128, 128, 2),
        (14, 3, 1, 256, 256, 4),
        (7, 3, 1, 512, 512, 16),
        (56, 3, 2, 64, 128, 1),
    ] {
        let shape = format!("{size}² {kernel}×{kernel}/{stride} {inputs}→{outputs}, {images}");
        let window = square(size, kernel, stride);
        let weight = vec![0.01; outputs * inputs * kernel * kernel];
        let conv = LinesConv::new(isa, window, inputs, outputs, &weight, &vec![0.0; outputs])?;
        let input = vec![Line([0x3f00; 32]); images * area(window.input) * Line::per_pixel(inputs)];
        let mut output = vec![Line::ZERO; images * area(window.output) * Line::per_pixel(outputs)];
        let mut scratch = vec![0.0; conv.scratch_len()];
        let work = Work::Flop(2.0 * (conv.multiply_adds() * images) as f64);
        figure("lines", &shape, work, || {
            conv.run(images, &input, None, Clamp::RELU6, &mut scratch, &mut output);
        });
    }
    for (size, kernel, outputs) in [(224, 3, 32), (224, 7, 64)] {
        let shape = format!("{size}² {kernel}×{kernel}/2 3→{outputs}, 1");
        let window = square(size, kernel, 2);
        let weight = vec![0.01; outputs * 3 * kernel * kernel];
        let conv = LinesConv::of_values(isa, window, 3, outputs, &weight, &vec![0.0; outputs])?;
        let input = vec![0.5; area(window.input) * 3];
        let mut output = vec![Line::ZERO; area(window.output) * Line::per_pixel(outputs)];
        let mut scratch = vec![0.0; conv.scratch_len()];
        let work = Work::Flop(2.0 * conv.multiply_adds() as f64);
        figure("lines of values", &shape, work, || {
            let finish = (Clamp::RELU6, Activation::None);
            conv.run_from_values(1, &input, finish, &mut scratch, &mut output);
        });
    }
    let (rows, inputs, hidden) = (256, 384, 1536);
    let (weight, bias) = (vec![0.01; inputs * hidden], vec![0.0; hidden]);
    let work = Work::Flop(2.0 * (rows * inputs * hidden) as f64);
    let expand = LinesConv::of_values(isa, Window::PIXEL, inputs, hidden, &weight, &bias)?;
    let shrink = LinesConv::new(isa, Window::PIXEL, hidden, inputs, &weight, &bias[..inputs])?;
    let (input, mut output) = (vec![0.5; rows * inputs], vec![0.0; rows * inputs]);
    let mut wide = vec![Line::ZERO; rows * Line::per_pixel(hidden)];
    let mut scratch = vec![0.0; expand.scratch_len().max(shrink.scratch_len())];
    figure("lines expand, GELU", "256, 384→1536", work, || {
        let finish = (Clamp::NONE, Activation::Gelu);
        expand.run_from_values(rows, &input, finish, &mut scratch, &mut wide);
    });
    figure("lines shrink", "256, 1536→384", work, || {
        shrink.run_to_values(rows, &wide, Some(&input), &mut scratch, &mut output);
    });
    Ok(())
}

fn depthwise(isa: Isa) -> Result<(), KernelError> {
    for (size, kernel, stride, channels) in [
        (112, 3, 1, 32),
        (112, 3, 2, 96),
        (56, 3, 1, 144),
        (56, 3, 2, 144),
        (56, 5, 2, 144),
        (28, 3, 1, 192),
        (14, 3, 1, 384),
        (14, 5, 1, 480),
        (7, 3, 1, 960),
    ] {
        let shape = format!("{size}² {kernel}×{kernel}/{stride} {channels}");
        let window = square(size, kernel, stride);
        let weight = vec![0.01; channels * kernel * kernel];
        let conv = LinesDepthwise::new(isa, window, channels, &weight, &vec![0.0; channels])?;
        let planes = Line::per_pixel(channels);
        let input = vec![Line([0x3f00; 32]); area(window.input) * planes];
        let mut output = vec![Line::ZERO; area(window.output) * planes];
        let work = Work::Flop(2.0 * (area(window.output) * channels * area(window.kernel)) as f64);
        figure("lines depthwise", &shape, work, || {
            conv.run(1, &input, Clamp::RELU6, &mut output);
        });
    }
    Ok(())
}

fn pools(isa: Isa) {
    let window = square(112, 3, 2);
    let x = vec![Line([0x3f00; 32]); area(window.input) * 2];
    let mut y = vec![Line::ZERO; area(window.output) * 2];
    let work = Work::Bytes(64.0 * (x.len() + y.len()) as f64);
    figure("lines max pool", "112² 3×3/2 64", work, || {
        max_pool_lines(isa, &window, 2, &x, &mut y);
    });
    let (x, mut y) = (vec![Line([0x3f00; 32]); 49 * 40], vec![0.0; 1280]);
    let work = Work::Bytes(64.0 * x.len() as f64);
    figure("lines mean pool", "7² 1280", work, || mean_pool_lines(isa, 1280, &x, &mut y));
}
