//! Once more on train and validation: with few labels, those of validation are worth more in training than they
//! cost.

use super::inputs::Supply;
use super::setting::Setting;
use super::{Checkpoint, REFIT_BELOW, Tuned, averaging, course};
use crate::Result;
use crate::monitor::Record;
use crate::watch::Watch;

/// What a course leaves for one that goes the same way on more samples.
#[derive(Debug, Clone)]
pub struct Way {
    /// Epochs of each phase.
    pub planned: Vec<usize>,
    /// Epochs before the best weights.
    pub epochs: u64,
    /// Updates of the whole course.
    pub updates: u64,
    /// What the sweep found.
    pub found_lr: Option<f64>,
    /// What divergence left of the learning rate.
    pub lr_scale: f64,
}

/// Trains once more from the beginning, on train and validation, for as many epochs as were best: with few
/// labels, those of validation are worth more in training than they cost.
pub fn refit(
    mut setting: Setting<'_>,
    chosen: Tuned,
    way: Way,
    supply: &Supply<'_>,
    watch: &mut Watch<'_>,
) -> Result<Tuned> {
    watch.note(&format!("once more on train and validation, {} epochs", way.epochs))?;
    setting.train.append(&mut setting.val);
    setting.train.sort_unstable();
    let samples = &setting.job.prepared.dataset.samples;
    setting.labels = setting.train.iter().filter_map(|&i| samples[i].label).collect();
    setting.probe = setting.job.refitted;
    setting.place = Checkpoint::inside(&setting.place, "refit");
    let epochs = way.epochs;
    let mut history = chosen.history.clone();
    let (samples, first_step) = (setting.train.len(), way.updates);
    history.records.push(Record::Refit { samples, epochs, first_step });
    let told: Result<Vec<String>> = history.records.iter().map(crate::monitor::line).collect();
    setting.told.extend(told?);
    setting.way = Some(way);
    setting.guarded = None;
    let (tuned, _) = course::run(&setting, supply, watch)?;
    history.records.extend(tuned.history.records);
    let chosen = Tuned { history, ..chosen };
    if tuned.epochs < epochs {
        watch.warn("the time did not suffice to train once more on train and validation")?;
        return Ok(chosen);
    }
    Ok(Tuned {
        params: tuned.params,
        head: tuned.head,
        low_rank: tuned.low_rank,
        updates: chosen.updates + tuned.updates,
        ended: format!("{}; trained as long once more on train and validation", chosen.ended),
        refitted: true,
        before: Some((chosen.params, chosen.head)),
        temperature: chosen.temperature,
        right: chosen.right,
        looks: chosen.looks,
        helped: chosen.helped,
        learning: chosen.learning,
        values: chosen.values,
        epochs: chosen.epochs,
        best_update: chosen.best_update,
        history: chosen.history,
    })
}

impl Setting<'_> {
    /// Whether tuned weights should be trained once more on train and validation: few samples, and weights
    /// that validation did not mix.
    pub fn wants_refit(&self) -> bool {
        let mixed = matches!(self.average, averaging::Kind::Soup | averaging::Kind::WiseFt);
        self.job.plan.refit
            && !self.val.is_empty()
            && !mixed
            && self.job.sizes.train < REFIT_BELOW
            && self.way.is_none()
            && self.job.alignment.is_none()
    }

    /// The same, where an epoch was chosen and there is time for it.
    pub fn may_refit(
        &self,
        tuned: &Tuned,
        way: &Way,
        seconds: f64,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        if !self.wants_refit() || !tuned.helped || way.epochs == 0 {
            return Ok(false);
        }
        let Some(deadline) = self.deadline else { return Ok(true) };
        let more = 1.0 + self.val.len() as f64 / self.train.len() as f64;
        let share = way.epochs as f64 / tuned.epochs.max(1) as f64;
        let enough = watch.spent() + 1.1 * seconds * share * more < deadline;
        if !enough {
            watch.note("the time does not allow to train once more on train and validation")?;
        }
        Ok(enough)
    }
}
