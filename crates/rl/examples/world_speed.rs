//! Steps per second of many worlds of a kind under random actions.
//!
//!     cargo run --release -p offshoot-rl --example world_speed -- cart-pole 64 2
//!
//! Arguments: the world, how many of it, seconds. Set RAYON_NUM_THREADS for fewer threads.

use std::time::Instant;

use offshoot_random::generator;
use offshoot_rl::world::{Actions, Batch, Constants, Worlds, find};
use rand::RngExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "cart-pole".into());
    let n: usize = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |s| s.parse())?;

    let kind = find(&name)?;
    let mut worlds = Worlds::new(kind, &Constants::of(kind, &[])?, n, 0)?;
    let mut draws = generator(0, "actions", 0, 0);
    // Drawn before, as on the other side: what is measured is the worlds.
    let sets = 128;
    let spec = worlds.spec().clone();
    let (mut places, mut values) = (Vec::new(), Vec::new());
    match &spec.actions {
        Actions::Discrete(names) => {
            places.extend((0..sets * n).map(|_| draws.random_range(0..names.len())));
        }
        Actions::Continuous(dimensions) => {
            let all = (0..sets * n).flat_map(|_| dimensions);
            values.extend(all.map(|d| draws.random_range(d.low..d.high)));
        }
    }
    let (began, mut steps, mut ended) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed().as_secs_f64() < seconds {
        for set in 0..sets {
            let width = n * spec.actions.len();
            let stepped = match &spec.actions {
                Actions::Discrete(_) => worlds.step(Batch::Discrete(&places[set * n..][..n]))?,
                Actions::Continuous(_) => {
                    worlds.step(Batch::Continuous(&values[set * width..][..width]))?
                }
            };
            ended += stepped.iter().filter(|s| s.finished.is_some()).count() as u64;
            steps += n as u64;
        }
    }
    let rate = steps as f64 / began.elapsed().as_secs_f64();
    println!("{name}: {n} worlds, {rate:.0} steps per second, {ended} episodes");
    Ok(())
}
