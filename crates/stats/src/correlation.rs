//! How far two orders agree.

/// Kendall's τ_b of two lists of equal length (Kendall 1945): 1 where the orders agree, −1 where one is the
/// other's reverse; ties count for neither. `None` below two entries, for values that are not finite, and where
/// all of one list are tied.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Option<f64> {
    weighted(x, y, |_, _| 1.0)
}

/// Weighted τ (Vigna 2015, "A weighted correlation index for rankings with ties"): an exchange of entries counts
/// 1/(r+1) + 1/(s+1) for their ranks r and s from the top, so that the top matters most. The mean of ranking by
/// either list, as `scipy.stats.weightedtau` does. `None` as for [`kendall_tau`].
pub fn weighted_tau(x: &[f64], y: &[f64]) -> Option<f64> {
    let by = |first: &[f64], second: &[f64]| {
        let ranks = descending(first, second);
        let weight = |i: usize| 1.0 / (ranks[i] as f64 + 1.0);
        weighted(x, y, |i, j| weight(i) + weight(j))
    };
    Some((by(x, y)? + by(y, x)?) / 2.0)
}

/// Spearman's ρ: Pearson's correlation of ranks, tied ones averaged. `None` as for [`kendall_tau`].
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if !usable(x, y) {
        return None;
    }
    let (x, y) = (average_ranks(x), average_ranks(y));
    // Ranks have this mean whatever the ties.
    let mean = (x.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    let norm = (product(&x, &x) * product(&y, &y)).sqrt();
    (norm > 0.0).then(|| product(&x, &y) / norm)
}

/// Ranks from 1 for the smallest; tied values share the mean of theirs.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        first += tied.len();
    }
    ranks
}

fn usable(x: &[f64], y: &[f64]) -> bool {
    x.len() == y.len() && x.len() > 1 && x.iter().chain(y).all(|v| v.is_finite())
}

/// Rank from 0 of each entry, largest `first` on top, ties by `second`.
fn descending(first: &[f64], second: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by(|&a, &b| first[b].total_cmp(&first[a]).then(second[b].total_cmp(&second[a])));
    let mut ranks = vec![0; order.len()];
    order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank);
    ranks
}

fn weighted(x: &[f64], y: &[f64], weight: impl Fn(usize, usize) -> f64) -> Option<f64> {
    if !usable(x, y) {
        return None;
    }
    let (mut agree, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for i in 0..x.len() {
        for j in 0..i {
            let w = weight(i, j);
            let sign = |v: &[f64]| f64::from(i8::from(v[i] > v[j]) - i8::from(v[i] < v[j]));
            let (a, b) = (sign(x), sign(y));
            agree += w * a * b;
            of_x += w * a * a;
            of_y += w * b * b;
        }
    }
    (of_x > 0.0 && of_y > 0.0).then(|| agree / (of_x * of_y).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_orders_agree_and_reversed_ones_do_not() {
        let x = [3.0, 1.0, 2.0, 7.0];
        let back: Vec<f64> = x.iter().map(|v| -v).collect();
        for tau in [kendall_tau, weighted_tau, spearman] {
            assert!((tau(&x, &x).unwrap() - 1.0).abs() < 1e-12);
            assert!((tau(&x, &back).unwrap() + 1.0).abs() < 1e-12);
            assert_eq!(tau(&x, &[1.0; 4]), None);
            assert_eq!(tau(&x[..1], &x[..1]), None);
            assert_eq!(tau(&x, &[1.0, 2.0, f64::NAN, 3.0]), None);
        }
    }

    #[test]
    fn an_exchange_at_the_top_weighs_more() {
        let truth = [4.0, 3.0, 2.0, 1.0];
        let top = weighted_tau(&[3.0, 4.0, 2.0, 1.0], &truth).unwrap();
        let bottom = weighted_tau(&[4.0, 3.0, 1.0, 2.0], &truth).unwrap();
        assert!(top < bottom, "{top} {bottom}");
    }
}
