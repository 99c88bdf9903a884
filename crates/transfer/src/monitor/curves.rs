//! A history as the report shows it.

use super::{History, Record};
use crate::documents::Tuning;
use crate::report::data::{EpochPoint, TrainingCurves};
use crate::report::words;

/// Curves of a tuned network.
pub fn curves(history: &History, tuning: &Tuning) -> TrainingCurves {
    let share = 100.0 * tuning.learning as f64 / tuning.values.max(1) as f64;
    let mut curves = TrainingCurves {
        summary: format!(
            "{} values learnt in the last phase ({:.0} % of the network's {}), in {} epochs of {} \
             updates in all, which took {}. {}.",
            words::count(tuning.learning),
            share.min(100.0),
            words::count(tuning.values),
            tuning.epochs,
            words::count(tuning.updates as usize),
            words::seconds(tuning.seconds),
            capital(&tuning.ended),
        ),
        kept_probe: tuning.kept_probe,
        ..TrainingCurves::default()
    };
    let mut epochs = 0.0;
    // What is trained once more has no validation that a curve could show.
    let first = |record: &&Record| !matches!(record, Record::Refit { .. });
    for record in history.records.iter().take_while(first) {
        match record {
            Record::Phase { name, .. } => curves.phases.push((name.clone(), epochs)),
            Record::Epoch {
                epoch,
                train_loss,
                train_metric,
                val_loss,
                val_metric,
                metric,
                best,
                ..
            } => {
                epochs = f64::from(*epoch);
                curves.metric.clone_from(metric);
                curves.epochs.push(EpochPoint {
                    epoch: epochs,
                    train_loss: *train_loss,
                    train_metric: *train_metric,
                    val_loss: *val_loss,
                    val_metric: *val_metric,
                    best: *best,
                });
            }
            Record::LrFinder { points, steepest, valley } => {
                curves.finder.clone_from(points);
                let named = [("steepest", steepest), ("valley", valley)];
                let known = named.into_iter().filter_map(|(name, lr)| Some((name.into(), (*lr)?)));
                curves.suggestions = known.collect();
            }
            Record::Step { .. } | Record::Refit { .. } | Record::Stopped { .. } => {}
        }
    }
    curves
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
}
