//! Turns any checkpoint into safetensors, half precision with `--f16`:
//! `cargo run --release -p offshoot-weights --example convert -- model.pth model.safetensors --f16`

use std::path::Path;

use offshoot_weights::{Precision, WeightsError, read, write_safetensors};

fn main() -> Result<(), WeightsError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, options @ ..] = &arguments[..] else {
        println!("usage: convert FROM TO [--f16]");
        return Ok(());
    };
    let halve = options.iter().any(|option| option == "--f16");
    let precision = if halve { Precision::F16 } else { Precision::F32 };
    let checkpoint = read(Path::new(from))?;
    let sha256 = write_safetensors(
        Path::new(to),
        &checkpoint.params,
        &[("source_sha256".to_owned(), checkpoint.sha256)].into(),
        precision,
    )?;
    println!("{sha256}  {to}");
    Ok(())
}
