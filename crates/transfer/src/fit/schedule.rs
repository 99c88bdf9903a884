//! How the learning rate goes over a phase.

use std::f64::consts::PI;

/// The words that a user types.
pub const NAMES: [&str; 4] = ["cosine", "one-cycle", "constant", "bit"];

/// A schedule over `steps` updates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule<'a> {
    /// One of [`NAMES`].
    pub name: &'a str,
    /// Share of the steps over which the rate rises.
    pub warmup: f64,
    /// Updates of the phase.
    pub steps: usize,
}

impl Schedule<'_> {
    /// Share of the highest rate at update `step`, counted from 0.
    ///
    /// `cosine` rises linearly, then falls along half a cosine to 0 (Loshchilov & Hutter 2017,
    /// arXiv:1608.03983); `one-cycle` rises from 1/25 along half a cosine over at least a quarter of
    /// the steps and falls to 10⁻⁵ (Smith 2018, arXiv:1803.09820, as fastai has it); `constant` only
    /// rises; `bit` falls to a tenth at 30, 60 and 90 % (Kolesnikov et al. 2020, arXiv:1912.11370).
    pub fn factor(&self, step: usize) -> f64 {
        let steps = self.steps.max(1) as f64;
        let warm = (self.warmup * steps).round();
        let at = step as f64;
        let cosine = |from: f64, to: f64, t: f64| to + (from - to) * (1.0 + (PI * t).cos()) / 2.0;
        match self.name {
            "one-cycle" => {
                let rise = (self.warmup.max(0.25) * steps).max(1.0);
                if at < rise {
                    cosine(1.0 / 25.0, 1.0, at / rise)
                } else {
                    cosine(1.0, 1e-5, (at - rise) / (steps - rise).max(1.0))
                }
            }
            _ if at < warm => (at + 1.0) / warm,
            "constant" => 1.0,
            "bit" => {
                let passed = [0.3, 0.6, 0.9].iter().filter(|&&share| at >= share * steps).count();
                0.1f64.powi(passed as i32)
            }
            _ => cosine(1.0, 0.0, (at - warm) / (steps - warm).max(1.0)),
        }
    }

    /// Momentum of SGD or first decay rate of Adam at update `step`: one-cycle lets it fall from 0.95
    /// to 0.85 while the rate rises, and rise while it falls.
    pub fn momentum(&self, step: usize, usual: f64) -> f64 {
        if self.name != "one-cycle" {
            return usual;
        }
        let (low, high) = (0.85, 0.95);
        let share = ((self.factor(step) - 1.0 / 25.0) / (1.0 - 1.0 / 25.0)).clamp(0.0, 1.0);
        high + (low - high) * share
    }
}

/// Updates of BiT's rule from the number of samples: 500 below 20,000, 10,000 below 500,000, else
/// 20,000.
pub fn bit_steps(samples: usize) -> usize {
    match samples {
        n if n < 20_000 => 500,
        n if n < 500_000 => 10_000,
        _ => 20_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(name: &str, steps: usize) -> Vec<f64> {
        let schedule = Schedule { name, warmup: 0.1, steps };
        (0..steps).map(|step| schedule.factor(step)).collect()
    }

    #[test]
    fn every_schedule_stays_within_its_bounds_and_reaches_its_height() {
        for name in NAMES {
            for steps in [1, 2, 3, 10, 100] {
                let factors = factors(name, steps);
                assert!(factors.iter().all(|f| (0.0..=1.0).contains(f)), "{name} {factors:?}");
                let highest = factors.iter().fold(0.0, |a: f64, &b| a.max(b));
                assert!(steps < 10 || highest > 0.98, "{name}: {highest}");
            }
        }
    }

    #[test]
    fn shapes() {
        let cosine = factors("cosine", 100);
        assert!((cosine[0] - 0.1).abs() < 1e-12 && (cosine[9] - 1.0).abs() < 1e-12);
        assert!((cosine[55] - 0.5).abs() < 1e-12 && cosine[99] < 1e-3);
        let cycle = factors("one-cycle", 100);
        assert!((cycle[0] - 0.04).abs() < 1e-12 && (cycle[25] - 1.0).abs() < 1e-12);
        let bit = factors("bit", 100);
        let expected = [(29, 1.0), (30, 0.1), (60, 0.01), (95, 0.001)];
        assert!(expected.iter().all(|&(at, f)| (bit[at] - f).abs() < 1e-12));
        let schedule = Schedule { name: "one-cycle", warmup: 0.1, steps: 100 };
        assert!((schedule.momentum(25, 0.9) - 0.85).abs() < 1e-12);
        assert!((Schedule { name: "cosine", ..schedule }.momentum(25, 0.9) - 0.9).abs() < 1e-12);
    }
}
