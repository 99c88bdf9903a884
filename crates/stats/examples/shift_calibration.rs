//! How often each test and the verdict fire on pairs without a mismatch, and with known ones.
//!
//! `cargo run --release -p offshoot-stats --example shift_calibration -- 200`

use offshoot_random::generator;
use offshoot_stats::distances::{self, Options as Tests};
use offshoot_stats::shift::{Options, Set, compare};
use offshoot_stats::{Matrix, Result, StatsError};
use rand::RngExt;

const D: usize = 16;
const CLASSES: usize = 4;

/// How the target differs from the source.
#[derive(Debug, Clone, Copy)]
enum Planted {
    Nothing,
    Mean(f32),
    Scale(f32),
    Rotation(f32),
    Noise(f32),
    Inversion,
    MissingClass,
    Proportions,
    FlippedLabels,
}

const ALL: [Planted; 9] = [
    Planted::Nothing,
    Planted::Mean(0.3),
    Planted::Scale(1.15),
    Planted::Rotation(0.5),
    Planted::Noise(0.5),
    Planted::Inversion,
    Planted::MissingClass,
    Planted::Proportions,
    Planted::FlippedLabels,
];

/// Four normal clouds whose features have other scales; `n` samples.
fn draw(n: usize, seed: u64, side: u64, planted: Planted) -> Result<(Matrix, Vec<Option<u32>>)> {
    let mut draws = generator(seed, "calibration", side, 0);
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut class = draws.random_range(0..CLASSES);
        match planted {
            Planted::MissingClass => class = class.min(CLASSES - 2),
            Planted::Proportions if draws.random::<f64>() < 0.4 => class = 0,
            _ => {}
        }
        let mut normal = || {
            let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()) as f32
        };
        let mut row: Vec<f32> = (0..D)
            .map(|k| {
                let centre = if k % CLASSES == class { 1.5 } else { 0.0 };
                (centre + normal()) * (1.0 + k as f32 / D as f32)
            })
            .collect();
        match planted {
            Planted::Mean(by) => row[0] += by,
            Planted::Scale(by) => row.iter_mut().for_each(|x| *x *= by),
            Planted::Rotation(angle) => {
                let (sin, cos) = angle.sin_cos();
                for k in 0..D / 2 {
                    let (x, y) = (row[k], row[D - 1 - k]);
                    (row[k], row[D - 1 - k]) = (cos * x - sin * y, sin * x + cos * y);
                }
            }
            Planted::Noise(by) => row.iter_mut().for_each(|x| *x += by * normal()),
            Planted::Inversion => row.iter_mut().for_each(|x| *x = 1.0 - *x),
            Planted::FlippedLabels => class = [1, 0, 2, 3][class],
            _ => {}
        }
        rows.extend(row);
        labels.push(Some(class as u32));
    }
    let rows = Matrix::new(n, D, rows);
    Ok((rows.ok_or_else(|| StatsError::Unusable("rows".into()))?, labels))
}

fn main() -> Result<()> {
    let pairs: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(200);
    println!("{pairs} pairs of 150 samples, {D} features; share that fires at 5 %");
    for planted in ALL {
        let mut fired: Vec<(String, usize)> = Vec::new();
        let mut count = |name: String, fires: bool| {
            match fired.iter_mut().find(|f| f.0 == name) {
                Some(f) => f.1 += usize::from(fires),
                None => fired.push((name, usize::from(fires))),
            };
        };
        for seed in 0..pairs {
            let (source, source_labels) = draw(150, seed, 0, Planted::Nothing)?;
            let (target, target_labels) = draw(150, seed, 1, planted)?;
            let tests = Tests { permutations: 199, resamples: 0, seed };
            let options = Options { distances: tests, ..Options::default() };
            for labelled in [false, true] {
                let found = compare(
                    Set { rows: source.rows(), labels: &source_labels },
                    Set {
                        rows: target.rows(),
                        labels: if labelled { &target_labels } else { &[] },
                    },
                    CLASSES,
                    &options,
                )?;
                if !labelled {
                    for (distance, measure) in distances::all().iter().zip(&found.measures) {
                        if let Some(p) = measure.p_value {
                            count(distance.name.into(), p <= 0.05);
                        }
                    }
                    count("all".into(), found.inputs_p <= 0.05);
                }
                let what = if labelled { "labelled" } else { "unlabelled" };
                count(format!("{what}: any"), !found.verdict.kinds.is_empty());
                for kind in ["covariate", "label", "concept"] {
                    count(format!("{what}: {kind}"), found.verdict.names().contains(&kind));
                }
            }
        }
        let shares = fired
            .iter()
            .map(|(name, n)| format!("{name} {:.1}", 100.0 * *n as f64 / pairs.max(1) as f64));
        println!("{planted:?}: {}", shares.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
