//! Milliseconds of training steps, as a line of JSON; `benches/peers/run.py` runs it.
//!
//! `cargo run --release -p offshoot-nn --example step_speed -- resnet18 16 2 7 f32`
//! (recipe, batch, threads, repeats, f32 or bf16x3 or bf16). A step is forward, cross-entropy over
//! 10 classes, backward of every parameter, and AdamW.

mod measured;

use std::time::Instant;

use offshoot_kernels::{AdamW, CrossEntropy};
use offshoot_nn::blocks::{Act, Linear};
use offshoot_nn::cpu::train::{Optimiser, Rule, TrainOptions, Trainer};
use offshoot_nn::{Block, NnError, Stage, backbones, init};

/// Classes of the head.
const CLASSES: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("resnet18", String::as_str);
    let number = |i, default| measured::number(&args, i, default);
    let (batch, threads, repeats) = (number(1, 16)?, number(2, 2)?, number(3, 7)?);
    let precision = measured::precision(&args, 4)?;
    let mut recipe = backbones::find(name)?;
    let size = recipe.picture()?.size;
    // Backward multiplies about twice as much as forward: once for inputs, once for weights.
    let macs = 3 * recipe.macs(size, size)? * batch as u64;
    let head =
        Linear { key: "head".into(), inputs: recipe.feature_dim, outputs: CLASSES, act: Act::None };
    recipe.stages.push(Stage { name: "head", blocks: vec![Block::Linear(head)] });
    recipe.head = None;
    let params = init::random_weights(&recipe, 0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| {
        let options = TrainOptions { precision, ..TrainOptions::default() };
        let mut trainer = Trainer::new(&recipe, &params, &options)?;
        let mut optimiser = Optimiser::new(Rule::AdamW(AdamW::new(1e-3, 0.01)), &trainer);
        let input: Vec<f32> = (0..batch * trainer.input_shape().len())
            .map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0)
            .collect();
        let labels: Vec<u32> = (0..batch).map(|i| (i % CLASSES) as u32).collect();
        let mut gradient = vec![0.0; batch * CLASSES];
        let mut shares = [0; 3];
        measured::measure(repeats, macs, |_| {
            let start = Instant::now();
            let logits = trainer.forward(&input, batch)?;
            CrossEntropy::PLAIN.loss(logits, &labels, &mut gradient);
            let forward = start.elapsed();
            trainer.backward(&gradient)?;
            let backward = start.elapsed();
            optimiser.step(&mut trainer, |p| [1.0, if p.decays { 1.0 } else { 0.0 }]);
            let all = start.elapsed();
            shares = [forward, backward - forward, all - backward].map(|t| t.as_millis());
            Ok::<(), NnError>(())
        })?;
        let [forward, backward, update] = shares;
        eprintln!(
            "{name}, batch {batch}, {threads} threads, last step: forward {forward} ms, \
             backward {backward} ms, update {update} ms; buffers {} MB",
            trainer.buffer_bytes() >> 20
        );
        Ok::<(), NnError>(())
    })?;
    Ok(())
}
