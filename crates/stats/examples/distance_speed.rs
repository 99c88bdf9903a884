//! Times every distance and its test, and all of them on one pair.
//!
//! `cargo run --release -p offshoot-stats --example distance_speed -- 10000 1280`

use std::time::Instant;

use offshoot_random::generator;
use offshoot_stats::Rows;
use offshoot_stats::distances::{self, Options, Pair, combined};
use rand::RngExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sizes = std::env::args().skip(1).map(|a| a.parse::<usize>());
    let n = sizes.next().transpose()?.unwrap_or(500);
    let d = sizes.next().transpose()?.unwrap_or(64);
    let draw = |purpose: &str, shift: f32| -> Vec<f32> {
        let mut draws = generator(0, purpose, 0, 0);
        (0..n * d).map(|_| draws.random::<f32>() + shift).collect()
    };
    let (source, target) = (draw("source", 0.0), draw("target", 0.002));
    let rows = |data| Rows::new(n, d, data).ok_or("rows");
    let begun = Instant::now();
    let pair = Pair::new(rows(&source)?, rows(&target)?, Options::default())?;
    let mut measures = Vec::new();
    for distance in distances::all() {
        let own = Instant::now();
        let measure = distance.of(&pair)?;
        let p = measure.p_value.map_or("-".into(), |p| format!("{p:.3}"));
        let seconds = own.elapsed().as_secs_f64();
        println!("{:<20} {:>12.6} p {p:<6} {seconds:>7.2} s", distance.name, measure.value);
        measures.push(measure);
    }
    let p = combined(&measures).unwrap_or(1.0);
    let seconds = begun.elapsed().as_secs_f64();
    println!("2 × {n} × {d}: combined p {p:.3}, {seconds:.2} s");
    Ok(())
}
