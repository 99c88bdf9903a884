//! Speed of the kernels of a text encoder on one thread, for the shapes of MiniLM-L6 (or of a
//! width given): `cargo run --release -p offshoot-kernels --example row_speed [isa] [hidden] [precision]`

use std::time::Instant;

use offshoot_kernels::{
    Activation, Attention, Epilogue, Isa, LayerNorm, Linear, Precision, Sequence,
};

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = match std::env::args().nth(1) {
        Some(name) => Isa::from_name(&name).ok_or("portable, neon, avx2, avx512 or amx")?,
        None => Isa::detect(),
    };
    let hidden = std::env::args().nth(2).map_or(Ok(384), |s| s.parse())?;
    let precision = match std::env::args().nth(3).as_deref() {
        None | Some("f32") => Precision::F32,
        Some("bf16x3") => Precision::Bf16x3,
        Some("bf16") => Precision::Bf16,
        Some(_) => return Err("f32, bf16x3 or bf16".into()),
    };
    println!("{} on one thread, width {hidden}, products in {precision:?}", isa.name());
    let rows = 256;
    println!("linear: inputs outputs activation");
    for (inputs, outputs, act) in [
        (hidden, 3 * hidden, Activation::None),
        (hidden, hidden, Activation::None),
        (hidden, 4 * hidden, Activation::None),
        (hidden, 4 * hidden, Activation::Gelu),
        (4 * hidden, hidden, Activation::None),
    ] {
        let weight = vec![0.01; inputs * outputs];
        let linear = Linear::new(isa, precision, inputs, outputs, &weight, &vec![0.0; outputs])?;
        let input = vec![0.3; rows * inputs];
        let mut output = vec![0.0; rows * outputs];
        let mut scratch = vec![0.0; linear.scratch_len(rows)];
        let epilogue = Epilogue { residual: None, act };
        let time = median(|| linear.run(rows, &input, epilogue, &mut scratch, &mut output));
        let gflop = 2e-9 * (rows * inputs * outputs) as f64;
        println!(
            "  {inputs:5} {outputs:5} {act:?}: {:8.3} ms {:6.1} GFLOP/s",
            time * 1e3,
            gflop / time
        );
    }
    println!("attention of a whole sequence: tokens");
    for tokens in [12, 24, 48, 128, 256, 512] {
        let attention = Attention::new(isa, precision, hidden / 32, 32)?;
        let rows = vec![0.1; tokens * 3 * hidden];
        let sequence = Sequence {
            queries: &rows,
            keys: &rows[hidden..],
            values: &rows[2 * hidden..],
            step: 3 * hidden,
            tokens,
            keep: None,
        };
        let mut scratch = vec![0.0; attention.scratch_len(tokens)];
        let mut output = vec![0.0; tokens * hidden];
        let time = median(|| attention.run(&sequence, 0..tokens, &mut scratch, &mut output));
        let gflop = 4e-9 * (tokens * tokens * hidden) as f64;
        println!("  {tokens:5}: {:8.3} ms {:6.1} GFLOP/s", time * 1e3, gflop / time);
    }
    println!("passes over {rows} rows");
    let parameters = vec![1.0; hidden];
    let norm = LayerNorm { weight: &parameters, bias: &parameters, eps: 1e-12 };
    let mut values: Vec<f32> = (0..rows * hidden).map(|i| (i % 7) as f32).collect();
    let time = median(|| norm.apply(isa, &mut values));
    println!("  layer norm: {:6.3} ns a value", time * 1e9 / values.len() as f64);
    for act in Activation::ALL {
        let mut values: Vec<f32> = (0..16 * 1024).map(|i| (i % 9) as f32 - 4.0).collect();
        let time = median(|| act.apply(isa, &mut values));
        println!("  {act:?}: {:6.3} ns a value", time * 1e9 / values.len() as f64);
    }
    Ok(())
}
