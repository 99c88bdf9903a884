//! Seconds of one logistic fit, as JSON; `benches/heads/logistic.py` runs it beside scikit-learn.
//!
//! `cargo run --release -p offshoot-stats --example logistic_speed -- X.f32 Y.u32 d classes λ threads`
//! (row-major little-endian files). With `cv` for λ it is chosen by cross-validation, on scaled features.

use std::time::Instant;

use offshoot_stats::heads::{self, FitOptions};
use offshoot_stats::{Rows, metrics};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [x, y, d, classes, lambda, threads] = &args[..] else {
        return Err("expected X Y d classes lambda threads".into());
    };
    let x: Vec<f32> = std::fs::read(x)?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let y: Vec<u32> = std::fs::read(y)?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    let rows = Rows::new(y.len(), d.parse()?, &x).ok_or("sizes do not fit")?;
    let chosen = lambda == "cv";
    let lambda = if chosen { None } else { Some(lambda.parse()?) };
    let options = FitOptions { lambda, standardise: chosen, ..FitOptions::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    let head = heads::find("logistic").ok_or("no logistic head")?;
    let start = Instant::now();
    let fitted = pool.install(|| head.fit(rows, &y, classes.parse().unwrap_or(0), &options))?;
    let seconds = start.elapsed().as_secs_f64();
    let loss = metrics::all().iter().find(|m| m.name == "log_loss").ok_or("no log_loss")?;
    let loss = loss.of(&fitted.head.predict(rows)?, &y)?;
    println!(
        "{{\"seconds\": {seconds:.4}, \"log_loss\": {loss:.12}, \"iterations\": {}, \"converged\": {}, \
         \"lambda\": {}}}",
        fitted.iterations,
        fitted.converged,
        fitted.lambda.unwrap_or(f64::NAN)
    );
    Ok(())
}
