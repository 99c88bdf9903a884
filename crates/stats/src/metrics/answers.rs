//! What a classifier said of samples, looked up once for all resamples of them.

use crate::Probabilities;
use crate::calibrate::Bin;

/// The most probable class of each sample, and how sure that was.
pub(crate) struct Answers<'a> {
    pub(super) n_classes: usize,
    pub(super) labels: &'a [u32],
    /// `[n]`.
    pub(super) predicted: Vec<u32>,
    /// Place of each sample among the `sure`.
    places: Vec<u32>,
    /// Probability of the class that was said, and whether it is right; the least sure first, equals in the
    /// order of samples.
    sure: Vec<(f64, bool)>,
}

impl<'a> Answers<'a> {
    /// Rows and labels are as many.
    pub(crate) fn new(probabilities: &Probabilities, labels: &'a [u32]) -> Self {
        let predicted: Vec<u32> = (0..labels.len()).map(|i| probabilities.predicted(i)).collect();
        let confidence = |i: usize| probabilities.row(i)[predicted[i] as usize];
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by(|&i, &j| confidence(i).total_cmp(&confidence(j)));
        let mut places = vec![0; labels.len()];
        order.iter().enumerate().for_each(|(place, &i)| places[i] = place as u32);
        let sure = order.iter().map(|&i| (confidence(i), predicted[i] == labels[i])).collect();
        Self { n_classes: probabilities.n_classes(), labels, predicted, places, sure }
    }

    /// Bins of equal mass of these samples, repetitions allowed: the least sure answers first.
    pub(crate) fn reliability(&self, samples: &[usize], bins: usize) -> Vec<Bin> {
        // How often each sample occurs, in the order of confidence, stands for a sorted list.
        let mut times = vec![0_u32; self.sure.len()];
        samples.iter().for_each(|&i| times[self.places[i] as usize] += 1);
        let n = samples.len();
        let mut out = Vec::with_capacity(bins);
        let (mut place, mut left) = (0, times.first().copied().unwrap_or(0));
        for bin in 0..bins {
            let count = (bin + 1) * n / bins - bin * n / bins;
            let (mut wanted, mut confidence, mut right) = (count, 0.0, 0);
            while wanted > 0 {
                while left == 0 {
                    place += 1;
                    left = times[place];
                }
                let (sure, is_right) = self.sure[place];
                let taken = wanted.min(left as usize);
                (0..taken).for_each(|_| confidence += sure);
                right += if is_right { taken } else { 0 };
                wanted -= taken;
                left -= taken as u32;
            }
            if count > 0 {
                let (confidence, accuracy) =
                    (confidence / count as f64, right as f64 / count as f64);
                out.push(Bin { count, confidence, accuracy });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::reliability;

    #[test]
    fn bins_of_a_resample_are_those_of_its_rows() {
        let n = 103;
        let sure = |i: usize| 0.5 + ((i * 37) % n) as f64 / (2 * n) as f64;
        let data = (0..n).flat_map(|i| [sure(i), 1.0 - sure(i)]).collect();
        let p = Probabilities::new(2, data).unwrap();
        let labels: Vec<u32> = (0..n).map(|i| u32::from(i % 3 == 0)).collect();
        let samples: Vec<usize> = (0..n).map(|i| (i * i) % n).collect();
        let gathered: Vec<u32> = samples.iter().map(|&i| labels[i]).collect();
        for bins in [1, 15, 200] {
            let own = Answers::new(&p, &labels).reliability(&samples, bins);
            assert_eq!(own, reliability(&p.gather(&samples), &gathered, bins), "{bins} bins");
            assert_eq!(own.iter().map(|bin| bin.count).sum::<usize>(), n);
        }
    }
}
