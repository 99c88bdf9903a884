//! Checks a data set and prints what is wrong.
//!
//!     cargo run --release -p offshoot-data --example check_data -- DATA

use std::path::PathBuf;
use std::time::Instant;

use offshoot_data::{CheckOptions, ReadOptions, check, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.ok_or("usage: check_data DATA")?;
    let start = Instant::now();
    let dataset = open(&path, &ReadOptions::default())?;
    let report = check(&dataset, &CheckOptions::default(), &|_, _| {});
    for problem in &report.problems {
        println!("{:?}\t{}\t{}\t{}", problem.severity, problem.kind, problem.path, problem.detail);
    }
    eprintln!("{}", serde_json::to_string_pretty(&report.summary)?);
    eprintln!(
        "{} problems, {:.1} % unreadable, {:.2} s",
        report.problems.len(),
        100.0 * report.bad_fraction(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
