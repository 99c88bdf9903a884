//! Coverage and size of prediction sets on feature rows, over many draws: every score, calibrated on a tenth
//! of the labelled samples or by folds on all of them; `benches/trust/sets.py` runs it.
//!
//! `cargo run --release -p offshoot-stats --example prediction_sets -- X.f32 Y.u32 d classes labelled judged draws`
//! (row-major little-endian files)

use std::collections::BTreeMap;

use offshoot_random::permutation;
use offshoot_stats::conformal::{self, Sets};
use offshoot_stats::cv::stratified_folds;
use offshoot_stats::heads::{self, FitOptions, Head};
use offshoot_stats::{Matrix, Probabilities, Rows};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ALPHA: f64 = 0.1;
/// Each class gets its own threshold from so many calibration samples on.
const EACH_CLASS: usize = 50;

struct Part {
    rows: Matrix,
    labels: Vec<u32>,
}

impl Part {
    fn of(rows: Rows<'_>, labels: &[u32], places: &[usize]) -> Self {
        let labels = places.iter().map(|&i| labels[i]).collect();
        Self { rows: Matrix::gather(rows, places), labels }
    }

    fn fit(&self, classes: usize, lambda: Option<f64>) -> Outcome<(Head, Option<f64>)> {
        let head = heads::find("logistic").ok_or("no logistic head")?;
        let options = FitOptions { lambda, ..FitOptions::default() };
        let fitted = head.fit(self.rows.rows(), &self.labels, classes, &options)?;
        Ok((fitted.head, fitted.lambda))
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [x, y, d, classes, labelled, judged, draws] = &args[..] else {
        return Err("expected X Y d classes labelled judged draws".into());
    };
    let words = |path: &str| -> Outcome<Vec<[u8; 4]>> {
        Ok(std::fs::read(path)?.as_chunks::<4>().0.to_vec())
    };
    let x: Vec<f32> = words(x)?.into_iter().map(f32::from_le_bytes).collect();
    let y: Vec<u32> = words(y)?.into_iter().map(u32::from_le_bytes).collect();
    let (n, classes): (usize, usize) = (y.len(), classes.parse()?);
    let (labelled, judged): (usize, usize) = (labelled.parse()?, judged.parse()?);
    let rows = Rows::new(n, d.parse()?, &x).ok_or("sizes do not fit")?;
    // (score, calibration) → coverage, size, share of all-class sets, worst class, a draw each.
    let mut told: BTreeMap<(String, &str), Vec<[f64; 4]>> = BTreeMap::new();
    for draw in 0..draws.parse::<u64>()? {
        let order = permutation(n, 0, "draw of a bench", draw);
        let all = Part::of(rows, &y, &order[..labelled.min(n)]);
        let test = Part::of(rows, &y, &order[labelled.min(n)..(labelled + judged).min(n)]);
        let (train, val) = order[..labelled.min(n)].split_at(labelled.min(n) * 9 / 10);
        let (train, val) = (Part::of(rows, &y, train), Part::of(rows, &y, val));
        let (before, lambda) = train.fit(classes, None)?;
        let (shipped, _) = all.fit(classes, lambda)?;

        let by_val = before.predict(val.rows.rows())?;
        let folds = if labelled < 200 { 10 } else { 5 };
        let fold_of = stratified_folds(&all.labels, folds, draw);
        let (mut by_folds, mut fold_labels) = (Vec::new(), Vec::new());
        for fold in 0..folds {
            let (out, rest): (Vec<usize>, Vec<usize>) =
                (0..all.labels.len()).partition(|&i| fold_of[i] == fold);
            let [out, rest] = [out, rest].map(|p| Part::of(all.rows.rows(), &all.labels, &p));
            let (head, _) = rest.fit(classes, lambda)?;
            by_folds.extend(head.predict(out.rows.rows())?.rows().flatten().copied());
            fold_labels.extend(out.labels);
        }
        let by_folds = Probabilities::new(classes, by_folds).ok_or("no classes")?;

        let enough = |labels: &[u32]| {
            (0..classes as u32).all(|c| labels.iter().filter(|&&y| y == c).count() >= EACH_CLASS)
        };
        // What is shipped, and the head that validation samples had no part in.
        let (said, said_before) =
            (shipped.predict(test.rows.rows())?, before.predict(test.rows.rows())?);
        for score in conformal::all() {
            let mut add =
                |name, p: &Probabilities, labels: &[u32], by_class, said: &Probabilities| {
                    let coverage = Sets::calibrate(score, p, labels, by_class)?.measure(
                        said,
                        &test.labels,
                        ALPHA,
                    )?;
                    let worst = coverage.worst_class(10).map_or(f64::NAN, |c| {
                        coverage.by_class[c].1 as f64 / coverage.by_class[c].0 as f64
                    });
                    let everything = coverage.sizes[classes] as f64 / coverage.n as f64;
                    let line = [coverage.share().share, coverage.mean_size().0, everything, worst];
                    told.entry((score.name.to_string(), name)).or_default().push(line);
                    Outcome::Ok(())
                };
            add("validation, its own head", &by_val, &val.labels, false, &said_before)?;
            add("validation, then refitted", &by_val, &val.labels, false, &said)?;
            add("folds", &by_folds, &fold_labels, false, &said)?;
            if enough(&fold_labels) {
                add("folds, class by class", &by_folds, &fold_labels, true, &said)?;
            }
        }
    }
    println!("score\tcalibrated on\tcoverage\t± s.e.\tmean size\tall classes\tworst class");
    for ((score, name), lines) in &told {
        let n = lines.len() as f64;
        let mean = |k: usize| lines.iter().map(|line| line[k]).sum::<f64>() / n;
        let spread = lines.iter().map(|line| (line[0] - mean(0)).powi(2)).sum::<f64>();
        let error = (spread / (n * (n - 1.0).max(1.0))).sqrt();
        println!(
            "{score}\t{name}\t{:.4}\t{error:.4}\t{:.3}\t{:.3}\t{:.3}",
            mean(0),
            mean(1),
            mean(2),
            mean(3)
        );
    }
    Ok(())
}
