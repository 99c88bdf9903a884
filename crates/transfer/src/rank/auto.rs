//! `train --model auto`: the first of a ranking on the run's own training samples.

use super::{AUTO, RankPlan, rank_prepared};
use crate::extract::vector_length;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::report::words::counted;
use crate::source;
use crate::watch::Watch;
use crate::{Result, TransferError};

/// Share of a run's time that choosing its model may take.
const SHARE: f64 = 0.2;

/// The plan with a model in place of `auto`, and with a sentence about the choice; other plans as they are.
pub fn chosen(plan: &TrainPlan, prepared: &Prepared, watch: &mut Watch<'_>) -> Result<TrainPlan> {
    if plan.model != AUTO {
        return Ok(plan.clone());
    }
    if vector_length(&prepared.dataset.samples)?.is_some() {
        return Ok(TrainPlan { model: source::DEFAULT.into(), ..plan.clone() });
    }
    let asked = RankPlan {
        data: plan.data.clone(),
        columns: plan.columns.clone(),
        sizes: plan.size.into_iter().collect(),
        references: false,
        resamples: 0,
        time: plan.finetune.time.map(|time| SHARE * time),
        precision: plan.precision,
        batch: plan.batch,
        seed: plan.seed,
        cache: plan.cache.clone(),
        ..RankPlan::default()
    };
    let report = rank_prepared(&asked, prepared, watch)?;
    let first = report.ranking.first().ok_or_else(|| {
        TransferError::Internal("a ranking without error that holds nobody".into())
    })?;
    let by = report.ordered_by.join(", ");
    let choice = format!(
        "`{}`: first of {} by {by} on {}",
        first.model,
        counted(report.ranking.len(), "model", "models"),
        counted(report.samples, "training sample", "training samples"),
    );
    watch.chose(&format!("model {choice}"))?;
    Ok(TrainPlan { model: first.model.clone(), model_chosen: Some(choice), ..plan.clone() })
}
