//! Milliseconds of one training step of a text encoder, as a line of JSON; `benches/peers/run.py` runs it.
//!
//! `cargo run --release -p offshoot-nn --example text_step_speed -- minilm_l6 16 128 2 7 f32`
//! (recipe, sequences, tokens of each, threads, repeats, f32 or bf16x3 or bf16; random weights). A step is
//! packing, forward, backward from a given gradient, and AdamW on every parameter.

mod measured;

use std::time::Instant;

use offshoot_kernels::AdamW;
use offshoot_nn::cpu::{TextTrainer, TrainOptions};
use offshoot_nn::{NnError, TextBatch, backbones, init};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("minilm_l6", String::as_str);
    let number = |i, default| measured::number(&args, i, default);
    let (sequences, tokens) = (number(1, 16)?, number(2, 128)?);
    let (threads, repeats) = (number(3, 2)?, number(4, 7)?);
    let precision = measured::precision(&args, 5)?;
    let recipe = backbones::find(name)?;
    let options = TrainOptions { precision, ..TrainOptions::default() };
    let mut trainer = TextTrainer::new(&recipe, &init::random_weights(&recipe, 0), &options)?;
    let mut batch = TextBatch::new();
    let vocabulary = recipe.text()?.vocabulary;
    for i in 0..sequences {
        let ids: Vec<u32> =
            (0..tokens).map(|t| ((i * 7919 + t * 104_729) % vocabulary) as u32).collect();
        batch.push(&ids);
    }
    let adam = AdamW::new(1e-6, 0.01);
    let mut moments: Vec<[Vec<f32>; 2]> =
        trainer.learned().map(|t| [vec![0.0; t.value.len()], vec![0.0; t.value.len()]]).collect();
    let gradient = vec![0.01; sequences * trainer.feature_dim()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    // Backward multiplies about twice as much as forward: once for inputs, once for weights.
    let macs = 3 * sequences as u64 * recipe.text_macs(tokens);
    let mut shares = [0.0; 3];
    pool.install(|| {
        measured::measure(repeats, macs, |call| {
            let start = Instant::now();
            trainer.forward(&batch)?;
            let forward = start.elapsed();
            trainer.backward(&batch, &gradient)?;
            let backward = start.elapsed();
            for (tensor, [m, v]) in trainer.learned().zip(&mut moments) {
                adam.step(call as u64 + 1, tensor.value, tensor.gradient, m, v);
            }
            let all = start.elapsed();
            shares = [forward, backward - forward, all - backward].map(|t| t.as_secs_f64() * 1e3);
            Ok::<(), NnError>(())
        })
    })?;
    let [forward, backward, update] = shares;
    eprintln!(
        "{name}, {sequences}×{tokens}, {threads} threads, last step: forward {forward:.1} ms, \
         backward {backward:.1} ms, AdamW {update:.1} ms"
    );
    Ok(())
}
