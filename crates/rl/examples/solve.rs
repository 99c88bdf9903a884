//! Trains a learner with its published settings in a world, seed after seed, and judges each policy on 100
//! episodes that it has not seen:
//!
//! ```text
//! cargo run --release -p offshoot-rl --example solve -- cart-pole ppo 10
//! ```

use std::time::Instant;

use offshoot_rl::learn::{self, Start, Task, evaluate};
use offshoot_rl::world::{self, Constants, parse_settings};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "cart-pole".into());
    let learner = learn::find(&arguments.next().unwrap_or_else(|| "ppo".into()))?;
    let seeds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let steps: Option<u64> =
        arguments.next().map(|text| text.parse()).transpose()?.filter(|n| *n > 0);
    let settings = parse_settings(&arguments.collect::<Vec<_>>())?;
    let kind = *world::find(&name)?;
    let constants = Constants::of(&kind, &settings)?;
    let one = |seed: u64| -> offshoot_rl::Result<(f64, f64, u64)> {
        let task =
            Task { kind, constants: constants.clone(), seed, steps, start: Start::default() };
        let began = Instant::now();
        let mut learner = (learner.begin)(&task)?;
        while !learner.is_done() {
            learner.update()?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let judged = evaluate(learner.policy(), &kind, &constants, 100, (seed, 0))?;
        Ok((judged.mean(), seconds, learner.steps()))
    };
    let began = Instant::now();
    let all: Vec<_> = (0..seeds).into_par_iter().map(one).collect::<Result<_, _>>()?;
    for (seed, (mean, seconds, steps)) in all.iter().enumerate() {
        println!("seed {seed}: mean return {mean:.1} after {steps} steps, {seconds:.1} s");
    }
    let threshold = kind.make(&settings)?.spec().threshold;
    if let Some(threshold) = threshold {
        let solved = all.iter().filter(|(mean, ..)| *mean >= threshold).count();
        println!("{solved} of {seeds} seeds reach {threshold}");
    }
    println!("{:.1} s in all", began.elapsed().as_secs_f64());
    Ok(())
}
