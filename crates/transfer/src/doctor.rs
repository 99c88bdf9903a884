//! `doctor`: facts about this machine that decide speed and what fits.

use std::time::Instant;

use offshoot_nn::Isa;

use crate::cache::{self, Cache};
use crate::documents::{DoctorReport, SCHEMA};
use crate::inputs::Ready;
use crate::plan::CachePlan;
use crate::store::Store;
use crate::{Result, machine, source};

/// Pictures of the timed batch.
const TIMED: usize = 16;

/// Collects them, and times the embedded network on one batch.
pub fn doctor(plan: &CachePlan) -> Result<DoctorReport> {
    let start = Instant::now();
    let source = source::open(source::DEFAULT, 0)?;
    let input = Ready::Values(vec![0.1; source.pictures()?.len()]);
    let mut features = vec![0.0; TIMED * source.engine.dim()];
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let timer = Instant::now();
        source.engine.run(&[&input; TIMED], &mut features)?;
        best = best.min(timer.elapsed().as_secs_f64());
    }
    let (opened, warning) = Cache::open(&CachePlan { enabled: true, ..plan.clone() })?;
    let store = Store::of_user()?;
    let used = Isa::detect().name();
    let others = Isa::available().map(Isa::name).filter(|name| *name != used);
    Ok(DoctorReport {
        schema: SCHEMA,
        command: "doctor".into(),
        run: None,
        version: env!("CARGO_PKG_VERSION").into(),
        platform: machine::platform(),
        cpu: std::iter::once(used).chain(others).map(String::from).collect(),
        threads: rayon::current_num_threads(),
        memory_bytes: machine::memory_bytes(),
        memory_available_bytes: machine::memory_available_bytes(),
        cache: cache::folder(plan),
        cache_bytes: if warning.is_none() { opened.bytes() } else { 0 },
        cache_max_bytes: plan.max_bytes,
        cache_writable: warning.is_none(),
        store: store.dir().into(),
        store_models: store.list()?.entries.len(),
        seconds_per_image: best / TIMED as f64,
        seconds: start.elapsed().as_secs_f64(),
    })
}
