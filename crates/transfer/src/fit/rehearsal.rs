//! What tuning will take, from a rehearsal on a few samples.

use super::setting::Setting;
use super::{Job, Tuned, budget, course, finder, strategy};
use crate::Result;
use crate::watch::Watch;

/// What tuning takes, as a rehearsal on a few samples says.
pub struct Rehearsal {
    /// Names, epochs and seconds an epoch of the phases.
    pub phases: Vec<(String, usize, f64)>,
    /// Seconds in all.
    pub seconds: f64,
    /// Whether the network will be trained once more on train and validation.
    pub refit: bool,
    /// Bytes that all the data takes in memory beyond what these few samples took.
    pub more_bytes: u64,
    /// Weights to go on with, as tuning leaves them.
    pub tuned: Tuned,
}

/// Times the first and the last phase, and goes through the last once: a job on a few of the samples, whose
/// sizes are those of all the data. The schedule is the one that suits the plan's time; nothing else keeps to it.
/// `None` where the probe is kept.
pub fn rehearse(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Option<Rehearsal>> {
    let supply = job.supply()?;
    let mut setting = Setting::plan(job, &supply, watch)?;
    setting.deadline = None;
    let phases = std::mem::take(&mut setting.schedule.phases);
    let (Some(first), Some(last)) = (phases.first(), phases.last()) else { return Ok(None) };
    let (slow, views, more_bytes) = course::measure(&setting, &supply, last, watch)?;
    let (fast, first_views) = match phases.len() {
        1 => (slow, views),
        _ => {
            let (pace, views, _) = course::measure(&setting, &supply, first, watch)?;
            (pace, views)
        }
    };
    let [fast, slow] =
        [(fast, first_views), (slow, views)].map(|(pace, v)| budget::Cost::new(&setting, pace, v));
    let mut seconds = slow.view / setting.job.sizes.train.max(1) as f64 * job.sizes.val as f64;
    if setting.settings.find_lr {
        seconds += finder::STEPS as f64 * slow.epoch * setting.batch as f64
            / setting.job.sizes.train.max(1) as f64;
    }
    // Phases between the two take what lies between.
    let between = |i: usize, fast: f64, slow: f64| {
        let share = i as f64 / (phases.len() - 1).max(1) as f64;
        fast + share * (slow - fast)
    };
    let mut told = Vec::new();
    for (i, phase) in phases.iter().enumerate() {
        let cost = budget::Cost {
            epoch: between(i, fast.epoch, slow.epoch),
            view: between(i, fast.view, slow.view),
            views: if i == 0 { fast.views } else { slow.views },
        };
        seconds += cost.of(phase.epochs);
        told.push((phase.name.clone(), phase.epochs, cost.epoch));
    }
    let refit = setting.wants_refit();
    let values = setting.groups.all_values() as u64;
    let mut more_bytes = more_bytes;
    if refit {
        seconds *= 2.0 + job.sizes.val as f64 / job.sizes.train.max(1) as f64;
        // The weights that were chosen wait beside those that learn once more.
        more_bytes += 4 * values;
    }
    setting.schedule.phases = vec![strategy::Phase { epochs: 1, ..last.clone() }];
    let (tuned, _) = course::run(&setting, &supply, watch)?;
    Ok(Some(Rehearsal { phases: told, seconds, refit, more_bytes, tuned }))
}
