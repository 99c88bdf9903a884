//! Seconds and accuracy of every method of adaptation; `benches/adapt/shallow.py` runs it beside other libraries.
//!
//! `cargo run --release -p offshoot-stats --example adapter_speed -- 500 32` draws a shifted pair of 500 rows a side;
//! `-- SOURCE.f32 LABELS.u32 TARGET.f32 TRUTH.u32 d classes λ [METHOD...]` reads one (row-major little-endian).

use std::time::Instant;

use offshoot_random::generator;
use offshoot_stats::Rows;
use offshoot_stats::adapters::{self, Options, Problem};
use rand::RngExt;

struct Pair {
    d: usize,
    classes: usize,
    lambda: f64,
    rows: [Vec<f32>; 2],
    labels: [Vec<u32>; 2],
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (pair, names) = match &args[..] {
        [n, d] => (drawn(n.parse()?, d.parse()?), Vec::new()),
        [source, labels, target, truth, d, classes, lambda, names @ ..] => {
            let rows = [floats(source)?, floats(target)?];
            let labels = [whole(labels)?, whole(truth)?];
            let (d, classes, lambda) = (d.parse()?, classes.parse()?, lambda.parse()?);
            (Pair { d, classes, lambda, rows, labels }, names.to_vec())
        }
        _ => {
            return Err(
                "expected n d, or SOURCE LABELS TARGET TRUTH d classes lambda [METHOD...]".into()
            );
        }
    };
    let side =
        |i: usize| Rows::new(pair.labels[i].len(), pair.d, &pair.rows[i]).ok_or("sizes do not fit");
    let (source, target) = (side(0)?, side(1)?);
    for adapter in adapters::all() {
        if !names.is_empty() && !names.iter().any(|name| name == adapter.name) {
            continue;
        }
        // A problem of its own, so that what methods share is counted for each.
        let problem = Problem::new(source, &pair.labels[0], pair.classes, target, 0)?;
        let problem = problem.with_lambda(pair.lambda);
        let begun = Instant::now();
        let adapted = match adapter.fit(&problem, &Options::default()) {
            Ok(adapted) => adapted,
            Err(why) => {
                println!("{:<14} refused: {why}", adapter.name);
                continue;
            }
        };
        let answers = adapted.of_target().predict(target)?;
        let seconds = begun.elapsed().as_secs_f64();
        let hits = pair.labels[1].iter().enumerate().filter(|(i, y)| answers.predicted(*i) == **y);
        let accuracy = hits.count() as f64 / answers.n() as f64;
        println!(
            "{:<14} {seconds:>8.3} s  accuracy {accuracy:.4}  {:?}",
            adapter.name, adapted.facts
        );
    }
    Ok(())
}

fn floats(path: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn whole(path: &str) -> std::io::Result<Vec<u32>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
}

/// Ten clouds that are moved and stretched in the target.
fn drawn(n: usize, d: usize) -> Pair {
    let classes = 10;
    let mut centres = generator(0, "centres", 0, 0);
    let centres: Vec<f32> = (0..classes * d).map(|_| centres.random::<f32>()).collect();
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    let side = |purpose: &str, stretch: f32, shift: f32| -> Vec<f32> {
        let mut draws = generator(0, purpose, 0, 0);
        let mut row = |label: u32| -> Vec<f32> {
            let centre = &centres[label as usize * d..][..d];
            centre.iter().map(|c| stretch * (c + draws.random::<f32>()) + shift).collect()
        };
        labels.iter().flat_map(|&y| row(y)).collect()
    };
    let rows = [side("source", 1.0, 0.0), side("target", 1.3, 0.2)];
    Pair { d, classes, lambda: 0.01, rows, labels: [labels.clone(), labels] }
}
