//! Which method? A tenth of the training, on seeds of its own, says.

use offshoot_transfer::run::RunFolder;
use offshoot_transfer::{Observer, TransferError};

use super::document::Trial;
use super::methods::Method;
use super::plan::TransferPlan;
use super::{Checked, curves};
use crate::train::Result;
use crate::train::course::{Course, all};

/// Seeds of a trial.
const SEEDS: u64 = 3;
/// Far from the seeds of any training, which begin at the user's.
const FIRST_SEED: u64 = 1 << 32;
/// Part of the steps.
const PART: u64 = 10;

/// Tries every method that can begin; the best one, and all of them with their mean return, best first.
pub(super) fn trials(
    folder: &RunFolder,
    plan: &TransferPlan,
    checked: &Checked,
    source: usize,
    observer: &mut dyn Observer,
) -> Result<(&'static Method, Vec<Trial>)> {
    let whole = checked.course(plan, plan.seed, None, "".as_ref())?;
    let steps = (checked.learner.begin)(&whole.task)?.budget() / PART;
    let short = TransferPlan { steps: Some(steps), ..plan.clone() };
    let mut tried = Vec::new();
    let methods = checked.possible(plan, source);
    let mut courses: Vec<Course> = Vec::new();
    for method in &methods {
        for seed in (0..SEEDS).map(|s| FIRST_SEED + plan.seed + s) {
            let place = folder.file(&format!("trials/{}/{seed}", method.name));
            courses.push(checked.course(&short, seed, Some((method, source)), &place)?);
        }
    }
    let learnt = all(&courses, observer)?;
    for (method, learnt) in methods.iter().zip(learnt.chunks(SEEDS as usize)) {
        let curves = curves(learnt)?;
        let all = curves.returns().iter().flatten();
        let mean = all.clone().sum::<f64>() / all.count() as f64;
        tried.push((*method, mean));
    }
    // Of equals, the first of the registry.
    tried.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some((best, _)) = tried.first() else {
        return Err(TransferError::Internal("no method was tried".into()));
    };
    let told = |(method, total_reward): &(&Method, f64)| Trial {
        method: method.name.into(),
        total_reward: *total_reward,
    };
    Ok((*best, tried.iter().map(told).collect()))
}
