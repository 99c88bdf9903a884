//! What the four `*_speed` examples share: arguments, the timed loop and its one line of JSON.

use std::time::Instant;

use offshoot_nn::Precision;

/// Calls that size the buffers before any is timed.
pub const WARM_UP: usize = 2;

/// The positional argument `i`, or `default` where it is absent.
pub fn number(args: &[String], i: usize, default: usize) -> Result<usize, String> {
    let Some(text) = args.get(i) else { return Ok(default) };
    text.parse().map_err(|_| format!("expected a whole number, got `{text}`"))
}

/// The precision named by argument `i`; `f32` where it is absent.
pub fn precision(args: &[String], i: usize) -> Result<Precision, String> {
    match args.get(i).map_or("f32", String::as_str) {
        "f32" => Ok(Precision::F32),
        "bf16x3" => Ok(Precision::Bf16x3),
        "bf16" => Ok(Precision::Bf16),
        other => Err(format!("expected `f32`, `bf16x3` or `bf16`, got `{other}`")),
    }
}

/// Minor page faults and peak resident bytes of this process; zero where the system has no `/proc`.
fn memory() -> (u64, u64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let faults = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(7));
    let status = read("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next());
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok()).unwrap_or(0u64);
    (number(faults), number(peak) * 1024)
}

/// Runs `step` [`WARM_UP`] times, then `repeats` times by the clock; `step` gets the index of its
/// call. The last line printed is `{"ms": [...], "faults": n, "peak_bytes": n, "gflop": x}`: the time
/// of each call, page faults a call after warm-up, peak memory of the process, and the useful work of
/// one call from its multiply-adds `macs`.
pub fn measure<E>(
    repeats: usize,
    macs: u64,
    mut step: impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    for call in 0..WARM_UP {
        step(call)?;
    }
    let mut times = vec![0.0; repeats];
    let before = memory().0;
    for (repeat, ms) in times.iter_mut().enumerate() {
        let start = Instant::now();
        step(WARM_UP + repeat)?;
        *ms = start.elapsed().as_secs_f64() * 1e3;
    }
    let (after, peak) = memory();
    let faults = (after - before) / repeats.max(1) as u64;
    let listed: Vec<String> = times.iter().map(|ms| format!("{ms:.3}")).collect();
    println!(
        "{{\"ms\": [{}], \"faults\": {faults}, \"peak_bytes\": {peak}, \"gflop\": {:.3}}}",
        listed.join(", "),
        2e-9 * macs as f64
    );
    Ok(())
}
