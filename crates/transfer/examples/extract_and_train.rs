//! Trains a classifier on a folder of pictures, in twenty lines.
//!
//! ```text
//! cargo run --release -p offshoot-transfer --example extract_and_train -- DATA RUNS_DIR
//! ```
//!
//! `DATA` is an image folder, a manifest, IDX, npy or npz; without arguments, embedded emoji are
//! trained on and the run goes to `runs/`.

use offshoot_transfer::{Event, Flow, TrainPlan, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "demo:google".into());
    let runs_dir = arguments.next().unwrap_or_else(|| "runs".into());
    let plan = TrainPlan { data: data.into(), runs_dir: runs_dir.into(), ..TrainPlan::default() };
    let report = train(&plan, &mut |event: &Event<'_>| {
        match event {
            Event::Finished { phase, seconds } => eprintln!("{} {seconds:.2} s", phase.verb()),
            Event::Warning(text) => eprintln!("warning: {text}"),
            _ => {}
        }
        Flow::Continue
    })?;
    let [low, high] = report.figures.accuracy_ci;
    println!("accuracy {:.3} ({low:.3} to {high:.3})", report.figures.accuracy);
    println!("everything is in {}", report.run.display());
    Ok(())
}
