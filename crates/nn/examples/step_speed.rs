//! Milliseconds of training steps, as a JSON list; `benches/peers/` runs it.
//!
//! `cargo run --release -p offshoot-nn --example step_speed -- resnet18 16 2 7 f32`
//! (recipe, batch, threads, repeats, f32 or bf16x3 or bf16). A step is forward, cross-entropy over
//! 10 classes, backward of every parameter, and AdamW.

use std::time::Instant;

use offshoot_kernels::{AdamW, CrossEntropy};
use offshoot_nn::blocks::{Act, Linear};
use offshoot_nn::cpu::train::{Optimiser, Rule, TrainOptions, Trainer};
use offshoot_nn::{Block, Precision, Stage, backbones, init};

/// Classes of the head.
const CLASSES: usize = 10;

/// Minor page faults and peak resident bytes of this process; zero where the system has no `/proc`.
fn memory() -> (u64, u64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let faults = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(7));
    let status = read("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next());
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok()).unwrap_or(0u64);
    (number(faults), number(peak) * 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("resnet18", String::as_str);
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |s| s.parse());
    let (batch, threads, repeats) = (number(1, 16)?, number(2, 2)?, number(3, 7)?);
    let precision = match args.get(4).map_or("f32", String::as_str) {
        "f32" => Precision::F32,
        "bf16x3" => Precision::Bf16x3,
        "bf16" => Precision::Bf16,
        other => return Err(format!("expected f32, bf16x3 or bf16, got {other}").into()),
    };
    let mut recipe = backbones::find(name)?;
    let head =
        Linear { key: "head".into(), inputs: recipe.feature_dim, outputs: CLASSES, act: Act::None };
    recipe.stages.push(Stage { name: "head", blocks: vec![Block::Linear(head)] });
    recipe.head = None;
    let params = init::random_weights(&recipe, 0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (mut times, mut faults) = (Vec::new(), 0);
    pool.install(|| {
        let options = TrainOptions { precision, ..TrainOptions::default() };
        let mut trainer = Trainer::new(&recipe, &params, &options)?;
        let mut optimiser = Optimiser::new(Rule::AdamW(AdamW::new(1e-3, 0.01)), &trainer);
        let input: Vec<f32> = (0..batch * trainer.input_shape().len())
            .map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0)
            .collect();
        let labels: Vec<u32> = (0..batch).map(|i| (i % CLASSES) as u32).collect();
        let mut gradient = vec![0.0; batch * CLASSES];
        // Two warm-up steps size the buffers.
        for repeat in 0..repeats + 2 {
            if repeat == 2 {
                faults = memory().0;
            }
            let start = Instant::now();
            let logits = trainer.forward(&input, batch)?;
            CrossEntropy::PLAIN.loss(logits, &labels, &mut gradient);
            let forward = start.elapsed();
            trainer.backward(&gradient)?;
            let backward = start.elapsed();
            optimiser.step(&mut trainer, |p| [1.0, if p.decays { 1.0 } else { 0.0 }]);
            let all = start.elapsed();
            if repeat >= 2 {
                times.push(format!("{:.3}", all.as_secs_f64() * 1e3));
            }
            if repeat == repeats + 1 {
                let [backward, update] =
                    [backward - forward, all - backward].map(|t| t.as_millis());
                let forward = forward.as_millis();
                eprintln!("forward {forward} ms, backward {backward} ms, update {update} ms");
                eprintln!("buffers {} MB", trainer.buffer_bytes() >> 20);
            }
        }
        Ok::<(), offshoot_nn::NnError>(())
    })?;
    let (now, peak) = memory();
    let per_step = (now - faults) / repeats.max(1) as u64;
    eprintln!(
        "{name}, batch {batch}, {threads} threads: {per_step} page faults a step, peak {} MB",
        peak >> 20
    );
    println!("[{}]", times.join(", "));
    Ok(())
}
