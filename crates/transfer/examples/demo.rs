//! The whole story on embedded weights and data, as `offshoot demo` tells it.
//!
//! ```text
//! cargo run --release -p offshoot-transfer --example demo
//! ```

use offshoot_transfer::{CachePlan, DemoPlan, Event, Flow, demo};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = CachePlan { enabled: false, ..CachePlan::default() };
    let plan = DemoPlan { seed: 0, name: None, runs_dir: "runs".into(), cache };
    let report = demo(&plan, &mut |event: &Event<'_>| {
        match event {
            Event::Finished { phase, seconds } => eprintln!("{} {seconds:.2} s", phase.verb()),
            Event::Warning(text) => eprintln!("warning: {text}"),
            _ => {}
        }
        Flow::Continue
    })?;
    let show = |name: &str, f: &offshoot_transfer::Figures| {
        let [low, high] = f.accuracy_ci;
        println!(
            "{name:<45} accuracy {:.3} ({low:.3} to {high:.3}), log-loss {:.3}, ECE {:.3}",
            f.accuracy, f.log_loss, f.ece
        );
    };
    show("transferred features", &report.figures);
    for (vendor, figures) in &report.domains {
        show(&format!("the same head on {vendor}'s drawings"), figures);
    }
    for baseline in &report.baselines {
        show(&baseline.summary, &baseline.figures);
    }
    println!("{:.1} s; everything is in {}", report.seconds, report.run.display());
    Ok(())
}
