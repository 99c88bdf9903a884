//! Milliseconds of frozen features for one batch, as a JSON list; `benches/features/peers.py` runs it.
//!
//! `cargo run --release -p offshoot-nn --example feature_speed -- mobilenet_v2 32 2 7 f32`
//! (recipe, batch, threads, repeats, f32 or bf16x3 or bf16; random weights: speed does not depend on them).

use std::time::Instant;

use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Precision, backbones, init};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("mobilenet_v2", String::as_str);
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |s| s.parse());
    let (batch, threads, repeats) = (number(1, 32)?, number(2, 2)?, number(3, 7)?);
    let recipe = backbones::find(name)?;
    let precision = match args.get(4).map_or("f32", String::as_str) {
        "f32" => Precision::F32,
        "bf16x3" => Precision::Bf16x3,
        "bf16" => Precision::Bf16,
        other => return Err(format!("expected f32, bf16x3 or bf16, got {other}").into()),
    };
    let options = PlanOptions { precision, ..PlanOptions::default() };
    let plan = Plan::new(&recipe, &init::random_weights(&recipe, 0), &options)?;
    let input = vec![0.3; batch * plan.input_shape().len()];
    let mut features = vec![0.0; batch * plan.feature_dim()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut times = Vec::new();
    pool.install(|| {
        // Two warm-up batches size the buffers.
        for repeat in 0..repeats + 2 {
            let start = Instant::now();
            plan.features(&input, batch, &mut features)?;
            if repeat >= 2 {
                times.push(format!("{:.3}", start.elapsed().as_secs_f64() * 1e3));
            }
        }
        Ok::<(), offshoot_nn::NnError>(())
    })?;
    let size = recipe.picture()?.size;
    let macs = recipe.macs(size, size)?;
    let gflop = 2e-9 * macs as f64 * batch as f64;
    eprintln!("{name}, {}, batch {batch}, {threads} threads, {gflop:.1} GFLOP", plan.isa().name());
    println!("[{}]", times.join(", "));
    Ok(())
}
