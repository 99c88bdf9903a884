//! Prediction sets and an alarm for what is shipped, from held-out samples of the source as the adaptation shows them.
//!
//! They hold for the target as far as the adaptation brought both sides together, and are offered with that warning.

use offshoot_data::Split;
use offshoot_stats::adapters::{Adapted, Family, View};
use offshoot_stats::heads::Head;

use super::candidate::{Candidate, Made, Matrices};
use super::sides::Sides;
use crate::Result;
use crate::trust::calibrate::{Evidence, Labelled};
use crate::trust::{HeldOut, Trust};

/// What a user has to know before relying on them.
pub const WARNING: &str = "prediction sets and the alarm rest on held-out samples of the source as the adaptation shows \
                           them; they hold for the target as far as it brought both sides together";

/// For the candidate as it leaves the run: `refitted` on training and validation samples, where it was. `None` where
/// source rows are not shown as target rows are, so that nothing held out is like them.
pub fn calibrate(
    candidate: &Candidate,
    refitted: Option<&Adapted>,
    shipped: &Head,
    sides: &Sides,
    matrices: &Matrices,
) -> Result<Option<Trust>> {
    let Matrices { train, val, .. } = matrices;
    let like = |rows, from: &Labelled| Labelled { rows, labels: from.labels.clone() };
    let (fitted, unseen) = match &candidate.made {
        Made::Network(tuned) => {
            let of = |split| tuned.of_source.gather(&sides.prepared.of(split));
            (like(of(Split::Train)?, train), like(of(Split::Val)?, val))
        }
        Made::Shallow { adapter, adapted } => {
            // Carried labels belong to target rows, and other views take target rows elsewhere.
            if adapter.family == Family::Transport || adapted.target != View::Raw {
                return Ok(None);
            }
            let shown = |of: &Labelled, domains| adapted.shown(of.rows.rows(), domains);
            (
                like(shown(train, matrices.train_domains())?, train),
                like(shown(val, matrices.val_domains())?, val),
            )
        }
    };
    let held_out = match refitted {
        Some(_) => HeldOut::ValidationBefore,
        None => HeldOut::Validation,
    };
    let evidence = Evidence::of_split(held_out, &candidate.of_target, &fitted, &unseen)?;
    match refitted {
        None => evidence.trust(shipped, &fitted).map(Some),
        Some(adapted) => {
            let both = matrices.both()?;
            let rows = adapted.shown(both.rows.rows(), matrices.both_domains().as_deref())?;
            evidence.trust(shipped, &like(rows, &both)).map(Some)
        }
    }
}
