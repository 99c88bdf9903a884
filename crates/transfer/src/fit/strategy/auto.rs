//! Auto: a stated rule from the number of labels and the time.
//!
//! Fewer than 4 training samples a class: the probe, since nothing can be chosen on so few. Otherwise LP-FT,
//! which begins with the probe and falls back to it where validation prefers that. Where the time does not suffice
//! for three epochs of it, the last stages are tuned, whose inputs are computed once; where not even for that, the
//! probe is kept.
//!
//! Of text encoders with fewer than 1,000 training samples the layers learn and the tables of words stay, for half
//! of the usual epochs: few texts would move the few words that they hold and leave the others where they were, and
//! half of such a network's values are words. On eight labels a class of four data sets this cost nothing
//! (`benches/README.md`), and an epoch takes a quarter less.
//!
//! Pairs (`setfit`) are not learnt from unless they are asked for: with eight labels a class they were before LP-FT
//! on sentences of sentiment and of four news groups, by a point or two, and seven points behind on Reuters R8, whose
//! classes are kin (`benches/README.md`). Eight or thirty-two validation samples do not tell one case from the other.
//!
//! How far the source is does not enter. Digit networks on digits, clothes and emoji, and an ImageNet network on the
//! same, at 10 and 50 labels a class: of the methods that begin with the source, LP-FT or full tuning was the best
//! near and far, and the distance between the norms' statistics before and after (0.00 to 0.09) told none of it
//! (`benches/README.md`). Whether the source should be left altogether is the guard's question.

use super::{Facts, Phase, Schedule, Strategy, find, no};
use crate::Result;
use crate::fit::REFIT_BELOW;

const PROBE_BELOW: usize = 4;

/// The rule of this file.
pub(super) const STRATEGY: Strategy = Strategy {
    name: "auto",
    summary: "probe below 4 training samples a class, else lp-ft; where time is short, last-k or the probe",
    paper: "Kumar et al. 2022, arXiv:2202.10054",
    wants_sensitivity: no,
    plan,
};

fn plan(facts: &Facts<'_>) -> Result<Schedule> {
    let each = facts.samples / facts.classes.max(1);
    let planned = |name: &str, why: &str| -> Result<Schedule> {
        let reason = Some(format!("{each} training samples a class{why}: {name}"));
        Ok(Schedule { reason, ..(find(name)?.plan)(facts)? })
    };
    if each < PROBE_BELOW {
        return planned("probe", "");
    }
    let short = " and too little time";
    let cheaper = vec![planned("last-k", short)?, planned("probe", short)?];
    let whole = Schedule { cheaper, ..planned("lp-ft", "")? };
    match facts.is_text && facts.samples < REFIT_BELOW && facts.groups.len() > 1 {
        true => Ok(without_words(whole, facts)),
        false => Ok(whole),
    }
}

/// The same of the layers above the tables of words, for half of the epochs where the user names none.
fn without_words(schedule: Schedule, facts: &Facts<'_>) -> Schedule {
    let of = |phase: Phase| Phase {
        name: "all layers".into(),
        learns: facts.groups.keys(|group| group > 0),
        epochs: match facts.settings.epochs {
            Some(_) => phase.epochs,
            None => phase.epochs.div_ceil(2),
        },
        ..phase
    };
    let reason = schedule.reason.map(|reason| format!("{reason}, the words frozen"));
    Schedule { phases: schedule.phases.into_iter().map(of).collect(), reason, ..schedule }
}
