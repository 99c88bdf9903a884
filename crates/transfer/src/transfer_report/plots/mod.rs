//! The drawings of a transfer report.

mod course;
mod curves;
mod matrix;

pub use course::draw as course;
pub use curves::draw as curves;
pub use matrix::draw as matrix;

use super::plan::{PIXELS, SCRATCH};

/// Colours of what transfers, in order; grey is what needs no source.
const COLOURS: [&str; 6] = ["c0", "c2", "c3", "c4", "c1", "c6"];

/// The colour of a method, the same in every drawing of a report: `place` is its place among those that
/// transfer.
pub fn colour(method: &str, place: usize) -> &'static str {
    match method {
        SCRATCH | PIXELS => "cx",
        _ => COLOURS[place % COLOURS.len()],
    }
}

/// Characters of a name beside the end of its line.
const LONGEST_NAME: usize = 15;

/// Width that these names take beside the ends of their lines.
fn room<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    14.0 + 7.2 * longest.min(LONGEST_NAME) as f64
}

/// Moves labels apart: `wanted` heights in any order become heights of at least `room` between them, within
/// `low..=high` where that is possible.
pub fn apart(wanted: &[f64], room: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = wanted.to_vec();
    let mut least = low;
    for &i in &order {
        placed[i] = placed[i].max(least);
        least = placed[i] + room;
    }
    let mut most = high;
    for &i in order.iter().rev() {
        placed[i] = placed[i].min(most);
        most = placed[i] - room;
    }
    placed
}

/// `1, 2, 5, 10, …` within these bounds.
fn round_numbers(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let all = powers.flat_map(|p| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(p)));
    all.filter(|v| *v >= low && *v <= high).collect()
}

/// Bounds of an axis of shares, in tenths, that hold all values.
fn bounds(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(1.0, f64::min);
    let high = values.fold(0.0, f64::max);
    let (low, high) = ((10.0 * low - 0.05).floor() / 10.0, (10.0 * high + 0.05).ceil() / 10.0);
    let (low, high) = (low.clamp(0.0, 0.9), high.clamp(0.1, 1.0));
    (low, high.max(low + 0.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap_and_stay_inside() {
        let placed = apart(&[50.0, 51.0, 52.0, 10.0, 99.0], 14.0, (0.0, 100.0));
        let mut sorted = placed.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 14.0 - 1e-9), "{sorted:?}");
        assert!(sorted.iter().all(|y| (0.0..=100.0).contains(y)));
        // The order is kept.
        assert!(placed[3] < placed[0] && placed[0] < placed[1] && placed[1] < placed[2]);
    }

    #[test]
    fn an_axis_holds_its_values() {
        assert_eq!(bounds([0.23, 0.87].into_iter()), (0.2, 0.9));
        assert_eq!(bounds([0.0, 1.0].into_iter()), (0.0, 1.0));
        let (low, high) = bounds([0.95, 0.96].into_iter());
        assert!(low <= 0.95 && high >= 0.96 && high > low);
    }

    #[test]
    fn round_numbers_are_those_between() {
        assert_eq!(round_numbers(3.0, 120.0), [5.0, 10.0, 20.0, 50.0, 100.0]);
    }
}
