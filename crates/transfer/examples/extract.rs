//! Extracts features into a file and says what that took.
//!
//! ```text
//! cargo run --release -p offshoot-transfer --example extract -- DATA OUT.npz [MODEL]
//! ```

use offshoot_transfer::{CachePlan, ExtractPlan, extract, source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "demo:google".into());
    let out = arguments.next().unwrap_or_else(|| "features.npz".into());
    let model = arguments.next().unwrap_or_else(|| source::DEFAULT.into());
    let plan = ExtractPlan {
        size: None,
        precision: offshoot_transfer::Precision::Auto,
        data: data.into(),
        columns: Default::default(),
        model,
        layer: None,
        pooling: None,
        shard: None,
        out: Some(out.into()),
        batch: 32,
        seed: 0,
        cache: CachePlan::default(),
    };
    let report = extract(&plan, &mut ())?;
    println!(
        "{} rows of {} values: {} computed, {} from the cache, {:.2} s",
        report.rows, report.dim, report.computed, report.cached, report.seconds
    );
    Ok(())
}
