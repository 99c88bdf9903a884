//! Milliseconds of sentence vectors for one batch, as a line of JSON; `benches/peers/run.py` runs it.
//!
//! `cargo run --release -p offshoot-nn --example text_speed -- minilm_l6 32 128 2 9 f32`
//! (recipe, sequences, tokens of each or `mixed` or a list with commas, threads, repeats, f32 or bf16x3 or bf16; random
//! weights: speed does not depend on them). `mixed` draws lengths as sentences have them; their
//! distribution is printed.

mod measured;

use offshoot_nn::cpu::{PlanOptions, TextPlan};
use offshoot_nn::{TextBatch, backbones, init};
use rand::RngExt;

/// A log-normal length around 22 word pieces, cut to 4..=128: short texts such as reviews' and
/// questions' sentences (median 22, mean about 28, one in twenty above 70).
fn mixed(i: usize) -> usize {
    let mut rng = offshoot_random::generator(0, "sentence length", 0, i as u64);
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    ((22f64.ln() + 0.7 * normal).exp().round() as usize).clamp(4, 128)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("minilm_l6", String::as_str);
    let number = |i, default| measured::number(&args, i, default);
    let (sequences, threads, repeats) = (number(1, 32)?, number(3, 2)?, number(4, 9)?);
    let tokens = args.get(2).map_or("128", String::as_str);
    let mut lengths = Vec::new();
    let listed: Vec<&str> = tokens.split(',').collect();
    for i in 0..sequences {
        lengths.push(match tokens {
            "mixed" => mixed(i),
            _ => listed[i % listed.len()].parse()?,
        });
    }
    let recipe = backbones::find(name)?;
    let options =
        PlanOptions { precision: measured::precision(&args, 5)?, ..PlanOptions::default() };
    let plan = TextPlan::new(&recipe, &init::random_weights(&recipe, 0), &options)?;
    let mut batch = TextBatch::new();
    let vocabulary = plan.input().vocabulary;
    for (i, &n) in lengths.iter().enumerate() {
        let ids: Vec<u32> =
            (0..n).map(|t| ((i * 7919 + t * 104_729) % vocabulary) as u32).collect();
        batch.push(&ids);
    }
    let mut features = vec![0.0; plan.output_rows(&batch) * plan.feature_dim()];
    let macs = lengths.iter().map(|&n| recipe.text_macs(n)).sum();
    lengths.sort_unstable();
    let at = |share: usize| lengths.get((lengths.len() * share / 100).min(sequences - 1));
    eprintln!(
        "{name}, {}, {sequences} sequences, {} tokens (quartiles {:?} {:?} {:?}, longest {:?}), \
         {threads} threads",
        plan.isa().name(),
        batch.tokens(),
        at(25),
        at(50),
        at(75),
        lengths.last()
    );
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| measured::measure(repeats, macs, |_| plan.features(&batch, &mut features)))?;
    Ok(())
}
