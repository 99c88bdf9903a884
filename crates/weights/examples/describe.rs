//! Lists the tensors of a checkpoint: `cargo run --release -p offshoot-weights --example describe FILE`

use std::path::Path;

fn main() -> Result<(), offshoot_weights::WeightsError> {
    let Some(path) = std::env::args().nth(1) else {
        println!("usage: describe FILE");
        return Ok(());
    };
    let checkpoint = offshoot_weights::read(Path::new(&path))?;
    for (key, fact) in &checkpoint.facts {
        let order = if fact.contiguous { "" } else { "  strided" };
        println!("{key}  {} {:?}{order}", fact.dtype.name(), fact.shape);
    }
    let values: usize = checkpoint.params.values().map(|array| array.data.len()).sum();
    println!("{}: {} tensors, {values} values", checkpoint.format, checkpoint.facts.len());
    for note in &checkpoint.notes {
        println!("note: {note}");
    }
    println!("sha256 {}", checkpoint.sha256);
    Ok(())
}
