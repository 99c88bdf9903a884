//! Milliseconds of frozen features for one batch, as a line of JSON; `benches/peers/run.py` runs it.
//!
//! `cargo run --release -p offshoot-nn --example feature_speed -- mobilenet_v2 32 2 7 f32`
//! (recipe, batch, threads, repeats, f32 or bf16x3 or bf16; random weights: speed does not depend on them).

mod measured;

use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{backbones, init};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("mobilenet_v2", String::as_str);
    let number = |i, default| measured::number(&args, i, default);
    let (batch, threads, repeats) = (number(1, 32)?, number(2, 2)?, number(3, 7)?);
    let recipe = backbones::find(name)?;
    let options =
        PlanOptions { precision: measured::precision(&args, 4)?, ..PlanOptions::default() };
    let plan = Plan::new(&recipe, &init::random_weights(&recipe, 0), &options)?;
    let input = vec![0.3; batch * plan.input_shape().len()];
    let mut features = vec![0.0; batch * plan.feature_dim()];
    let size = recipe.picture()?.size;
    let macs = recipe.macs(size, size)? * batch as u64;
    eprintln!("{name}, {}, batch {batch}, {threads} threads", plan.isa().name());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| {
        measured::measure(repeats, macs, |_| plan.features(&input, batch, &mut features))
    })?;
    Ok(())
}
