//! Milliseconds of one training step of a text encoder, as a JSON list.
//!
//! `cargo run --release -p offshoot-nn --example text_step_speed -- minilm_l6 16 128 2 7 f32`
//! (recipe, sequences, tokens of each, threads, repeats, f32 or bf16x3 or bf16; random weights). A step is
//! packing, forward, backward from a given gradient, and AdamW on every parameter.

use std::time::Instant;

use offshoot_kernels::AdamW;
use offshoot_nn::cpu::{TextTrainer, TrainOptions};
use offshoot_nn::{Precision, TextBatch, backbones, init};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("minilm_l6", String::as_str);
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |s| s.parse());
    let (sequences, tokens) = (number(1, 16)?, number(2, 128)?);
    let (threads, repeats) = (number(3, 2)?, number(4, 7)?);
    let precision = match args.get(5).map_or("f32", String::as_str) {
        "f32" => Precision::F32,
        "bf16x3" => Precision::Bf16x3,
        "bf16" => Precision::Bf16,
        other => return Err(format!("expected f32, bf16x3 or bf16, got {other}").into()),
    };
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
    let (mut times, mut shares) = (Vec::new(), [0.0; 3]);
    pool.install(|| {
        // Two warm-up steps size the buffers.
        for repeat in 0..repeats + 2 {
            let start = Instant::now();
            trainer.forward(&batch)?;
            let forward = start.elapsed();
            trainer.backward(&batch, &gradient)?;
            let backward = start.elapsed();
            for (tensor, [m, v]) in trainer.learned().zip(&mut moments) {
                adam.step(repeat as u64 + 1, tensor.value, tensor.gradient, m, v);
            }
            let all = start.elapsed();
            if repeat >= 2 {
                times.push(all.as_secs_f64() * 1e3);
                let parts = [forward, backward - forward, all - backward];
                for (sum, part) in shares.iter_mut().zip(parts) {
                    *sum += part.as_secs_f64() * 1e3 / repeats as f64;
                }
            }
        }
        Ok::<(), offshoot_nn::NnError>(())
    })?;
    let listed: Vec<String> = times.iter().map(|ms| format!("{ms:.3}")).collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let [forward, backward, update] = shares;
    eprintln!(
        "{name}, {sequences}×{tokens}, {threads} threads: median {median:.1} ms (means: forward \
         {forward:.1}, backward {backward:.1}, AdamW {update:.1})"
    );
    println!("[{}]", listed.join(", "));
    Ok(())
}
