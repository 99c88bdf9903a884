//! Is the network learning its training samples by heart?

use super::{History, Record};

/// Epochs after the lowest validation loss before anything is said.
const PATIENCE: usize = 3;
/// How much the validation loss must have risen, relative to its lowest value.
const RISE: f64 = 0.1;

/// A sentence, where the validation loss has risen for some epochs while the training loss went on
/// falling.
///
/// All of these must hold: the mean validation loss of the last three epochs is a tenth above the lowest;
/// the lowest is at least three epochs past; and the training loss is now below what it was then by more
/// than a tenth. Curves that only scatter meet them rarely: of 200 flat ones with 5 % noise none does.
pub fn warning(history: &History) -> Option<String> {
    let epochs: Vec<(f64, f64)> = history
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Epoch { train_loss, val_loss: Some(val_loss), .. } => {
                Some((*train_loss, *val_loss))
            }
            _ => None,
        })
        .collect();
    let (best, &(train_then, lowest)) =
        epochs.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
    if epochs.len() < best + 1 + PATIENCE {
        return None;
    }
    let last = &epochs[epochs.len() - PATIENCE..];
    let mean = |of: fn(&(f64, f64)) -> f64| last.iter().map(of).sum::<f64>() / PATIENCE as f64;
    let (train, val) = (mean(|e| e.0), mean(|e| e.1));
    let opened = val > lowest * (1.0 + RISE) && train < train_then * (1.0 - RISE);
    opened.then(|| {
        format!(
            "over-fitting: since epoch {} the validation loss has risen from {lowest:.3} to {val:.3} \
             while the training loss fell from {train_then:.3} to {train:.3}; fewer epochs \
             (--patience), --augment, --regularize, --dropout or a lower --lr may help",
            best + 1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(curve: impl Fn(usize) -> (f64, f64), epochs: usize) -> History {
        let record = |epoch: usize| {
            let (train_loss, val_loss) = curve(epoch);
            Record::Epoch {
                phase: "p".into(),
                epoch: epoch as u32 + 1,
                step: epoch as u64,
                seconds: 0.0,
                train_loss,
                train_metric: None,
                val_loss: Some(val_loss),
                val_metric: None,
                metric: "accuracy".into(),
                best: false,
            }
        };
        History { records: (0..epochs).map(record).collect() }
    }

    fn noise(curve: usize, epoch: usize) -> f64 {
        use rand::RngExt;
        let mut draws = offshoot_random::generator(curve as u64, "flat curve", epoch as u64, 0);
        // About normal, with deviation 1.
        (0..12).map(|_| draws.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn an_opening_gap_is_named_and_its_epoch() {
        let curve = |e: usize| {
            let t = e as f64;
            (2.0 * (-0.3 * t).exp(), 1.0 + 0.02 * (t - 5.0).powi(2))
        };
        let warning = warning(&history(curve, 15));
        assert!(warning.is_some_and(|w| w.starts_with("over-fitting: since epoch 6 ")));
        assert_eq!(super::warning(&history(curve, 8)), None);
    }

    #[test]
    fn curves_that_fall_or_scatter_are_left_alone() {
        assert_eq!(warning(&history(|e| (1.0 / (e + 1) as f64, 1.2 / (e + 1) as f64), 30)), None);
        assert_eq!(warning(&History::default()), None);
        let alarms = (0..200)
            .filter(|&c| {
                let curve = |e| (1.0 + 0.05 * noise(c, e), 1.0 + 0.05 * noise(c + 1000, e));
                warning(&history(curve, 20)).is_some()
            })
            .count();
        println!("{alarms} false alarms on 200 flat curves");
        assert!(alarms <= 2, "{alarms}");
    }
}
