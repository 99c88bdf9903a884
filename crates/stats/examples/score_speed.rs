//! Seconds that every score takes.
//!
//!     cargo run --release -p offshoot-stats --example score_speed -- 20000 1280 10

use std::time::Instant;

use offshoot_stats::scores::{self, Evidence};
use offshoot_stats::{Matrix, Probabilities};

fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let mut size = |usual| sizes.next().unwrap_or(usual);
    let (n, d, classes) = (size(400), size(64), size(10));
    let noise = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 8) % 65_537) as f32 / 65_537.0 - 0.5;
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    // Features about a common mean, as those of a network; a tenth of them know the class a little.
    let value = |i: usize, k: usize| {
        let told =
            if k.is_multiple_of(10) && (k / 10) % classes == i % classes { 0.3 } else { 0.0 };
        0.5 + noise(i * d + k) + told
    };
    let data = (0..n * d).map(|at| value(at / d, at % d)).collect();
    let answers = (0..n * 100).map(|at| f64::from(noise(at))).collect();
    let (Some(x), Some(source)) = (Matrix::new(n, d, data), Probabilities::softmax(100, answers))
    else {
        return;
    };
    println!(
        "{n} samples, {d} features, {classes} classes, {} threads",
        rayon::current_num_threads()
    );
    let started = Instant::now();
    let evidence = match Evidence::new(x.rows(), &labels, classes, Some(&source)) {
        Ok(evidence) => evidence,
        Err(error) => return eprintln!("{error}"),
    };
    // What is shared is part of the first score that needs it.
    for score in scores::all() {
        let begun = Instant::now();
        match score.of(&evidence) {
            Ok(value) => {
                println!("{:10} {value:12.4} {:8.2} s", score.name, begun.elapsed().as_secs_f64());
            }
            Err(error) => eprintln!("{}: {error}", score.name),
        }
    }
    println!("{:23} {:8.2} s", "all", started.elapsed().as_secs_f64());
}
