//! Stopping a run that is provably worse than the probe.
//!
//! Whoever looks at validation after every epoch and stops at the first p below 5 % stops far more than
//! 5 % of the runs that are no worse. Look k therefore has the level α/(k(k + 1)); these sum to α however
//! many looks there are, so that by the union bound a run whose weights are at every look as good as the
//! probe is stopped with a probability of at most α, and dependence between looks does not matter.

use offshoot_stats::metrics::sign_test;
use serde::{Deserialize, Serialize};

/// Chance that a run which is as good as the probe is stopped.
const ALPHA: f64 = 0.05;
/// Looks begin when this share of the epochs is done: heads that begin at random are far behind at first,
/// and catch up.
const FROM: f64 = 0.5;
/// A run goes on while so many times its recent progress and two standard errors would bring it up to the probe.
const HOPE: f64 = 2.0;

/// The rule in words.
pub const RULE: &str = "from half of the epochs on, after each: stopped when the exact sign test against the \
     probe on validation is below 0.05/(k(k+1)) at look k, and twice the recent progress with two \
     standard errors would not close the gap";

/// What was seen so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Looks {
    /// How many looks there were.
    pub looks: u32,
    /// Share of right answers on validation after each epoch.
    pub seen: Vec<f64>,
    /// Epochs after which the run was stopped.
    pub stopped_after: Option<u64>,
}

impl Looks {
    /// Takes in an epoch, of `planned` in all, whose weights gave the answers `now`; `best` are those of the
    /// weights that are kept, `None` where that is the probe. Says why to stop, where that is proved.
    pub fn look(
        &mut self,
        planned: usize,
        probe: &[bool],
        now: &[bool],
        best: Option<&[bool]>,
    ) -> Option<String> {
        let share = |right: &[bool]| {
            right.iter().filter(|&&r| r).count() as f64 / right.len().max(1) as f64
        };
        self.seen.push(share(now));
        let done = self.seen.len();
        let comparable = !probe.is_empty() && now.len() == probe.len();
        if !comparable || (done as f64) < FROM * planned as f64 || done >= planned {
            return None;
        }
        self.looks += 1;
        let (probe_share, now_share) = (share(probe), share(now));
        let lost = probe.iter().zip(now).filter(|&(&p, &n)| p && !n).count();
        let won = probe.iter().zip(now).filter(|&(&p, &n)| !p && n).count();
        let p = sign_test(lost, won);
        let level = ALPHA / f64::from(self.looks * (self.looks + 1));
        let since = done.div_ceil(2);
        let pace = (now_share - self.seen[done.saturating_sub(since + 1)]) / since as f64;
        // Two shares of so many samples differ by that much without any progress.
        let error = (2.0 * now_share * (1.0 - now_share) / now.len() as f64).sqrt() / since as f64;
        let hoped = now_share + HOPE * (pace.max(0.0) + 2.0 * error) * (planned - done) as f64;
        // A run that has found weights as good as the probe is none that is worse.
        let hopeless = hoped < probe_share && best.is_none_or(|best| share(best) < probe_share);
        if p > level || !hopeless {
            return None;
        }
        self.stopped_after = Some(done as u64);
        Some(format!(
            "the guard stopped it: {:.1} % right on validation, the probe {:.1} % (p = {p:.1e} at look {}, \
             below {level:.1e}), and its progress would not close the gap",
            100.0 * now_share,
            100.0 * probe_share,
            self.looks
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn draw(world: u64, purpose: &str, epoch: u64, share: f64, n: usize) -> Vec<bool> {
        let mut rng = offshoot_random::generator(world, purpose, epoch, 0);
        (0..n).map(|_| rng.random::<f64>() < share).collect()
    }

    /// Epochs until a run is stopped whose weights have the accuracy `course(epoch)`.
    fn stopped(world: u64, n: usize, course: impl Fn(usize) -> f64) -> Option<usize> {
        let probe = draw(world, "probe", 0, 0.7, n);
        let mut looks = Looks::default();
        let mut best = vec![false; n];
        (0..20).find(|&epoch| {
            let now = draw(world, "epoch", epoch as u64, course(epoch), n);
            let count = |right: &[bool]| right.iter().filter(|&&r| r).count();
            if count(&now) > count(&best) {
                best.clone_from(&now);
            }
            looks.look(20, &probe, &now, Some(&best)).is_some()
        })
    }

    #[test]
    fn runs_as_good_as_the_probe_are_stopped_at_most_as_often_as_is_said() {
        let count = (0..400).filter(|&w| stopped(w, 100, |_| 0.7).is_some()).count();
        println!("{count} of 400 runs as good as the probe were stopped");
        assert!(count <= 20, "{count}");
        // Who looks ten times at 5 % each does so far more often.
        let naive = (0..400)
            .filter(|&w| {
                let probe = draw(w, "probe", 0, 0.7, 100);
                (10..20).any(|epoch| {
                    let now = draw(w, "epoch", epoch, 0.7, 100);
                    let lost = probe.iter().zip(&now).filter(|&(&p, &n)| p && !n).count();
                    let won = probe.iter().zip(&now).filter(|&(&p, &n)| !p && n).count();
                    sign_test(lost, won) < ALPHA
                })
            })
            .count();
        println!("{naive} of 400 by ten looks at 5 % each");
        assert!(naive > 40, "{naive}");
    }

    #[test]
    fn a_hopeless_run_is_stopped_and_one_that_climbs_is_not() {
        // The first looks cannot tell a pause from the end.
        let hopeless: Vec<_> = (0..50).map(|w| stopped(w, 200, |_| 0.35)).collect();
        assert!(hopeless.iter().all(|at| at.is_some_and(|at| at <= 16)), "{hopeless:?}");
        assert!(
            hopeless.iter().filter(|at| at.is_some_and(|at| at <= 12)).count() >= 40,
            "{hopeless:?}"
        );
        let climbing = |epoch: usize| 0.2 + 0.55 * (epoch + 1) as f64 / 20.0;
        let climbed: Vec<_> = (0..400).filter_map(|w| stopped(w, 200, climbing)).collect();
        println!("{} of 400 runs that climb were stopped: {climbed:?}", climbed.len());
        assert!(climbed.len() <= 8, "{climbed:?}");
    }

    #[test]
    fn nothing_to_compare_stops_nothing() {
        let mut looks = Looks::default();
        assert!((0..20).all(|_| looks.look(20, &[], &[false; 9], None).is_none()));
        assert_eq!(looks.looks, 0);
    }
}
