//! How much two partitions of the same rows tell of each other.

use std::collections::BTreeMap;

/// Adjusted mutual information (Vinh, Epps & Bailey 2010): `(MI − E MI)/(½(H_a + H_b) − E MI)`, 1 for equal
/// partitions and about 0 for unrelated ones, whatever the number of parts. 0 where one of them has one part only.
pub(super) fn adjusted_mutual_information(a: &[u32], b: &[u32]) -> f64 {
    let n = a.len() as f64;
    let mut both: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    a.iter().zip(b).for_each(|(&a, &b)| *both.entry((a, b)).or_default() += 1.0);
    let (of_a, of_b) = (sizes(a), sizes(b));
    if of_a.len() < 2 || of_b.len() < 2 {
        return 0.0;
    }
    let mutual: f64 =
        both.iter().map(|((i, j), count)| count / n * (n * count / (of_a[i] * of_b[j])).ln()).sum();
    let expected = expected(&of_a, &of_b, a.len());
    let entropy =
        |of: &BTreeMap<u32, f64>| -of.values().map(|size| size / n * (size / n).ln()).sum::<f64>();
    let mean = 0.5 * (entropy(&of_a) + entropy(&of_b));
    // Where chance alone explains as much as there is, nothing is left to agree on.
    if mean - expected > 1e-12 { (mutual - expected) / (mean - expected) } else { 0.0 }
}

fn sizes(of: &[u32]) -> BTreeMap<u32, f64> {
    let mut sizes = BTreeMap::new();
    of.iter().for_each(|&part| *sizes.entry(part).or_default() += 1.0);
    sizes
}

/// Mean over all partitions with the same sizes: overlaps have a hypergeometric distribution.
fn expected(of_a: &BTreeMap<u32, f64>, of_b: &BTreeMap<u32, f64>, n: usize) -> f64 {
    // ln k! for k ≤ n.
    let mut logs = vec![0.0; n + 1];
    for k in 1..=n {
        logs[k] = logs[k - 1] + (k as f64).ln();
    }
    let total = n as f64;
    let mut sum = 0.0;
    for &a in of_a.values() {
        for &b in of_b.values() {
            let (i, j) = (a as usize, b as usize);
            let fixed = logs[i] + logs[j] + logs[n - i] + logs[n - j] - logs[n];
            for k in (i + j).saturating_sub(n).max(1)..=i.min(j) {
                let log = fixed - logs[k] - logs[i - k] - logs[j - k] - logs[n - i - j + k];
                let k = k as f64;
                sum += k / total * (total * k / (a * b)).ln() * log.exp();
            }
        }
    }
    sum
}
