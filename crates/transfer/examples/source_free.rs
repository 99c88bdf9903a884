//! Adapts a finished run to samples of another kind, without its training data and without labels.
//!
//! ```text
//! cargo run --release -p offshoot-transfer --example source_free -- RUN DATA [METHOD] [shuffled|given] [BATCH] [SEED] \
//!     [PASSES] [RATE] [PRIOR]
//! ```
//!
//! `PRIOR` is how many samples the source's statistics of norms count for. Prints a line of JSON: the run's accuracy before, of the answers while samples came by, and after each state, where
//! `DATA` has labels, which nothing but the judging sees. `benches/adapt/corruptions.py` runs it.

use offshoot_transfer::source_free::{Order, Settings, StreamPlan, stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, data, rest @ ..] = arguments.as_slice() else {
        return Err("expected a run and data".into());
    };
    let word = |i: usize, usual: &str| rest.get(i).map_or(usual.to_string(), Clone::clone);
    let order = if word(1, "shuffled") == "given" { Order::Given } else { Order::Shuffled };
    let settings = Settings {
        order,
        batch: word(2, "128").parse()?,
        seed: word(3, "0").parse()?,
        passes: rest.get(4).map(|passes| passes.parse()).transpose()?,
        lr: rest.get(5).map(|rate| rate.parse()).transpose()?,
        prior: rest.get(6).map(|prior| prior.parse()).transpose()?,
    };
    let plan = StreamPlan {
        run: run.into(),
        data: data.into(),
        columns: Default::default(),
        method: word(0, "tent"),
        settings,
    };
    println!("{}", serde_json::to_string(&stream(&plan, &mut ())?)?);
    Ok(())
}
