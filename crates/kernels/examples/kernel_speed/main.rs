//! Speed of every kernel, forward and backward, on one thread, for the shapes of the recipes.
//!
//! `cargo run --release -p offshoot-kernels --example kernel_speed [isa] [precision]`
//!
//! A line for each kernel and shape: milliseconds, and work a second. Work is multiply-adds as two
//! operations each, or bytes that must be read and written. `benches/kernels/guard.py` compares the
//! lines with those that were recorded.

mod images;
mod lines;
mod rows;

use std::time::Instant;

use offshoot_kernels::{Isa, KernelError, Precision};

/// What the kernels are made for.
#[derive(Clone, Copy)]
struct Level {
    isa: Isa,
    precision: Precision,
}

/// Work of a kernel.
#[derive(Clone, Copy)]
enum Work {
    /// Floating-point operations.
    Flop(f64),
    /// Bytes that the memory must give or take.
    Bytes(f64),
}

impl Work {
    fn of_values(values: usize) -> Self {
        Self::Bytes(4.0 * values as f64)
    }
}

/// Seconds that one measurement takes at least.
const LONG: f64 = 1e-3;

/// Times `run` and prints its line: the median of several measurements, each of enough calls to be
/// long beside the clock.
fn figure(kernel: &str, shape: &str, work: Work, mut run: impl FnMut()) {
    let mut seconds = |calls: usize| {
        let start = Instant::now();
        (0..calls).for_each(|_| run());
        start.elapsed().as_secs_f64() / calls as f64
    };
    let _warm = seconds(1);
    let calls = ((LONG / seconds(1)) as usize).clamp(1, 10_000);
    let mut times: Vec<f64> = (0..9).map(|_| seconds(calls)).collect();
    times.sort_by(f64::total_cmp);
    let seconds = times[times.len() / 2];
    let (work, unit) = match work {
        Work::Flop(flop) => (flop, "GFLOP/s"),
        Work::Bytes(bytes) => (bytes, "GB/s"),
    };
    println!(
        "{kernel:22} {shape:28} {:9.3} ms {:8.1} {unit}",
        seconds * 1e3,
        work / seconds * 1e-9
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = match std::env::args().nth(1) {
        Some(name) => {
            Isa::from_name(&name).ok_or("portable, neon, avx2, avx512, avx512-bf16 or amx")?
        }
        None => Isa::detect(),
    };
    let precision = match std::env::args().nth(2).as_deref() {
        None | Some("f32") => Precision::F32,
        Some("bf16x3") => Precision::Bf16x3,
        Some("bf16") => Precision::Bf16,
        Some(_) => return Err("f32, bf16x3 or bf16".into()),
    };
    println!("{} in {precision:?}, one thread", isa.name());
    let level = Level { isa, precision };
    rayon::ThreadPoolBuilder::new().num_threads(1).build()?.install(|| {
        images::all(level)?;
        lines::all(level)?;
        rows::all(level)?;
        Ok::<(), KernelError>(())
    })?;
    Ok(())
}
