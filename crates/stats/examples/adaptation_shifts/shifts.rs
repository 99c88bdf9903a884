//! Simulated pairs of domains: the four kinds of shift of SKADA-Bench, and clouds of several classes.

use offshoot_random::{Generator, generator};
use offshoot_stats::Matrix;
use rand::RngExt;

/// What cannot be: a row of another width.
type Broken = &'static str;

/// Labelled rows of both sides; the target's labels only judge.
pub struct Pair {
    pub name: String,
    pub source: (Matrix, Vec<u32>),
    /// Of source rows.
    pub domains: Vec<u32>,
    pub target: (Matrix, Vec<u32>),
    pub classes: usize,
}

/// How the target of clouds differs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    Mean,
    Scale,
    Rotation,
    Noise,
    Inversion,
    MissingClass,
    Proportions,
    MeanAndProportions,
    ExchangedLabels,
}

const PLANTED: [(Planted, &str); 10] = [
    (Planted::Nothing, "clouds, nothing"),
    (Planted::Mean, "clouds, mean"),
    (Planted::Scale, "clouds, scale"),
    (Planted::Rotation, "clouds, rotation"),
    (Planted::Noise, "clouds, noise"),
    (Planted::Inversion, "clouds, inversion"),
    (Planted::MissingClass, "clouds, a class is missing"),
    (Planted::Proportions, "clouds, proportions"),
    (Planted::MeanAndProportions, "clouds, mean and proportions"),
    (Planted::ExchangedLabels, "clouds, exchanged labels"),
];

/// All simulated pairs of one seed, with `scale` times as many rows as the paper has.
pub fn all(seed: u64, scale: f64) -> Result<Vec<Pair>, Broken> {
    let n = |full: usize| ((full as f64 * scale) as usize).max(40);
    let mut pairs = vec![
        covariate(seed, n(800))?,
        target(seed, n(800))?,
        concept(seed, n(800))?,
        subspace(seed, n(2400))?,
    ];
    for (planted, name) in PLANTED {
        pairs.push(clouds(seed, n(600), planted, name)?);
    }
    Ok(pairs)
}

fn normal(draws: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
}

/// Two classes in the plane: an ellipse, and four blobs around it (Lalou et al. 2024, arXiv:2407.11676). Row `i` is of
/// the first class in the first half.
fn ellipse_and_blobs(draws: &mut Generator, second: bool) -> [f64; 2] {
    if !second {
        let (angle, radius) =
            (std::f64::consts::TAU * draws.random::<f64>(), draws.random::<f64>().sqrt());
        let (x, y) = (radius * angle.cos(), radius * angle.sin());
        return [2.0 * x - 0.5 * y + 2.0, -0.5 * x + 2.0 * y + 2.0];
    }
    // Centre and the matrix that a standard normal row is multiplied with.
    const BLOBS: [([f64; 2], [f64; 3]); 4] = [
        ([-1.5, 3.0], [0.15, 0.0, 0.3]),
        ([-0.5, 1.0], [0.2, -0.1, 0.2]),
        ([1.0, -0.4], [0.17, -0.05, 0.17]),
        ([3.0, -1.0], [0.3, 0.0, 0.15]),
    ];
    let (centre, [a, b, c]) = BLOBS[draws.random_range(0..4)];
    let (x, y) = (normal(draws), normal(draws));
    [centre[0] + a * x + b * y, centre[1] + b * x + c * y]
}

/// `n` rows with the given share of the first class, moved by `change`, then with noise.
fn plane(
    draws: &mut Generator,
    n: usize,
    first: f64,
    noise: f64,
    row: impl Fn(&mut Generator, bool) -> [f64; 2],
) -> Result<(Matrix, Vec<u32>), Broken> {
    let (mut data, mut labels) = (Vec::with_capacity(2 * n), Vec::with_capacity(n));
    for i in 0..n {
        let second = i as f64 >= first * n as f64;
        let x = row(draws, second);
        data.extend(x.map(|x| (x + noise * normal(draws)) as f32));
        labels.push(u32::from(second));
    }
    Ok((Matrix::new(n, 2, data).ok_or("expected two values a row")?, labels))
}

fn pair(name: &str, source: (Matrix, Vec<u32>), target: (Matrix, Vec<u32>)) -> Pair {
    let domains = vec![0; source.1.len()];
    Pair { name: name.into(), source, domains, target, classes: 2 }
}

/// Target rows are drawn around (−0.4, 3) with the weight `exp(−2 ‖x − c‖²)`.
fn covariate(seed: u64, n: usize) -> Result<Pair, Broken> {
    let mut draws = generator(seed, "skada covariate", 0, 0);
    let source = plane(&mut draws, n, 0.5, 0.6, ellipse_and_blobs)?;
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    while labels.len() < n {
        let second = draws.random::<f64>() < 0.5;
        let [x, y] = ellipse_and_blobs(&mut draws, second);
        let square = (x + 0.4) * (x + 0.4) + (y - 3.0) * (y - 3.0);
        if draws.random::<f64>() < (-2.0 * square).exp() {
            let noisy = [x, y].map(|x| (x + 0.6 * normal(&mut draws)) as f32);
            data.extend(noisy);
            labels.push(u32::from(second));
        }
    }
    let target = (Matrix::new(n, 2, data).ok_or("two values a row")?, labels);
    Ok(pair("skada, covariate", source, target))
}

/// Nine of ten target rows are of the first class.
fn target(seed: u64, n: usize) -> Result<Pair, Broken> {
    let mut draws = generator(seed, "skada target", 0, 0);
    let source = plane(&mut draws, n, 0.5, 0.8, ellipse_and_blobs)?;
    let target = plane(&mut draws, n, 0.9, 0.8, ellipse_and_blobs)?;
    Ok(pair("skada, target", source, target))
}

/// `x → 0.7 x + 1`.
fn concept(seed: u64, n: usize) -> Result<Pair, Broken> {
    let mut draws = generator(seed, "skada concept", 0, 0);
    let source = plane(&mut draws, n, 0.5, 0.8, ellipse_and_blobs)?;
    let moved =
        |draws: &mut Generator, second| ellipse_and_blobs(draws, second).map(|x| 0.7 * x + 1.0);
    let target = plane(&mut draws, n, 0.5, 0.8, moved)?;
    Ok(pair("skada, concept", source, target))
}

/// Three blobs, and `x → −x`: along one direction the classes stay apart.
fn subspace(seed: u64, n: usize) -> Result<Pair, Broken> {
    let mut draws = generator(seed, "skada subspace", 0, 0);
    let blobs = |draws: &mut Generator, second: bool| {
        let (centre, scale) = match (second, second && draws.random::<f64>() < 0.5) {
            (false, _) => ([-1.0, 1.0], 0.5),
            (true, true) => ([1.5, 0.5], 0.1),
            (true, false) => ([-0.5, -1.5], 0.2),
        };
        centre.map(|c: f64| c + scale * normal(draws))
    };
    let source = plane(&mut draws, n, 0.5, 0.4, blobs)?;
    let target = plane(&mut draws, n, 0.5, 0.4, |draws, second| blobs(draws, second).map(|x| -x))?;
    Ok(pair("skada, subspace", source, target))
}

const D: usize = 20;
const CLASSES: usize = 5;

/// Five normal classes in twenty features with a covariance of their own. Centres and the covariance's root go by the
/// seed, so that both sides share them.
fn clouds(seed: u64, n: usize, planted: Planted, name: &str) -> Result<Pair, Broken> {
    let mut draws = generator(seed, "clouds", 0, 0);
    let centres: Vec<f64> = (0..CLASSES * D).map(|_| 0.55 * normal(&mut draws)).collect();
    let root: Vec<f64> = (0..D * D).map(|_| normal(&mut draws) / (D as f64).sqrt()).collect();
    let moved: Vec<f64> = (0..D).map(|_| 1.5 * normal(&mut draws)).collect();
    let side = |draws: &mut Generator, planted: Planted| -> Result<(Matrix, Vec<u32>), Broken> {
        let (mut data, mut labels) = (Vec::with_capacity(n * D), Vec::with_capacity(n));
        for _ in 0..n {
            let mut class = draws.random_range(0..CLASSES);
            let uneven = matches!(planted, Planted::Proportions | Planted::MeanAndProportions);
            match planted {
                Planted::MissingClass => class = draws.random_range(0..CLASSES - 1),
                _ if uneven && draws.random::<f64>() < 0.6 => class = draws.random_range(0..2),
                _ => {}
            }
            let own: Vec<f64> = (0..D).map(|_| normal(draws)).collect();
            let mut x: Vec<f64> = (0..D)
                .map(|k| {
                    let mixed: f64 = root[k * D..][..D].iter().zip(&own).map(|(a, z)| a * z).sum();
                    centres[class * D + k] + mixed + 0.5 * normal(draws)
                })
                .collect();
            change(planted, &mut x, &moved, draws);
            data.extend(x.into_iter().map(|x| x as f32));
            labels.push(match (planted, class) {
                (Planted::ExchangedLabels, 0) => 1,
                (Planted::ExchangedLabels, 1) => 0,
                _ => class as u32,
            });
        }
        Ok((Matrix::new(n, D, data).ok_or("expected D values a row")?, labels))
    };
    let source = side(&mut draws, Planted::Nothing)?;
    let target = side(&mut draws, planted)?;
    let domains = vec![0; source.1.len()];
    Ok(Pair { name: name.into(), source, domains, target, classes: CLASSES })
}

fn change(planted: Planted, x: &mut [f64], moved: &[f64], draws: &mut Generator) {
    match planted {
        Planted::Mean | Planted::MeanAndProportions => {
            x.iter_mut().zip(moved).for_each(|(x, m)| *x += m)
        }
        Planted::Scale => x.iter_mut().enumerate().for_each(|(k, x)| *x *= [0.4, 2.0][k % 2]),
        Planted::Rotation => {
            let (sin, cos) = 0.7f64.sin_cos();
            for pair in x.chunks_exact_mut(2) {
                (pair[0], pair[1]) = (cos * pair[0] - sin * pair[1], sin * pair[0] + cos * pair[1]);
            }
        }
        Planted::Noise => x.iter_mut().for_each(|x| *x += 1.5 * normal(draws)),
        Planted::Inversion => x.iter_mut().for_each(|x| *x = -*x),
        _ => {}
    }
}
