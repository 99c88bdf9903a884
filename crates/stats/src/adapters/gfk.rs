//! The geodesic flow kernel.

use faer::Mat;

use super::subspace::Subspace;
use super::{Adapted, Adapter, Family, Options, Problem, Setting, View};
use crate::product::product;
use crate::{Result, StatsError};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "gfk",
    summary: "compares features along all subspaces between the source's and the target's",
    paper: "Gong et al. 2012, Geodesic flow kernel for unsupervised domain adaptation, CVPR",
    family: Family::Align,
    settings: &[COMPONENTS],
    fit,
};

const COMPONENTS: Setting = Setting {
    name: "components",
    summary: "principal directions that are kept, at most half of the features; unless given, as for `sa`",
    default: None,
    range: (1.0, 10_000.0),
    choices: &[5.0, 20.0, 60.0],
};

/// `xᵀ G y` is the product of `x` and `y` seen in the subspace `Φ(t)`, summed over the geodesic from
/// `Φ(0) = P_s` to `Φ(1) = P_t` (equation 5 of the paper, which leaves out the factor ½ of the integral). With
/// principal angles `θ` between the subspaces, `G = Σ (p q) Λ(θ) (p q)ᵀ` over pairs of a direction `p` in the
/// source's subspace and `q`, orthogonal to it, towards the target's. A head on `Λ^{1/2} (p q)ᵀ x` has this
/// kernel; no root of a `d × d` matrix is needed. Each side is scaled by its own means and variances.
fn fit(problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
    let (source, target) = (Subspace::of(problem.source())?, Subspace::of(problem.target())?);
    let most = source.values.len().min(target.values.len()).min(problem.source().d().div_ceil(2));
    let k = options.of(&COMPONENTS).map_or(source.enough().max(target.enough()), |k| k as usize);
    let k = k.min(most);
    let map = flow(&source, &target, k)?;
    let adapted =
        problem.seen(View::Affine(source.on_raw(&map)), View::Affine(target.on_raw(&map)))?;
    Ok(adapted.fact("components", k as f64))
}

/// `G^{1/2}` as a map to two numbers for each principal angle, `[2k, d]`.
fn flow(source: &Subspace, target: &Subspace, k: usize) -> Result<Mat<f64>> {
    let d = source.directions.nrows();
    let svd = source.products(target, k).svd().map_err(|_| {
        StatsError::Unusable("the angles between the subspaces did not converge".into())
    })?;
    let p = product(source.directions.subcols(0, k), svd.U());
    let ends = product(target.directions.subcols(0, k), svd.V());
    let mut map = Mat::zeros(2 * k, d);
    for j in 0..k {
        let cos = svd.S()[j].clamp(0.0, 1.0);
        // What of the target's direction lies outside of the source's subspace.
        let mut q: Vec<f64> = (0..d).map(|i| ends[(i, j)] - cos * p[(i, j)]).collect();
        let sin = q.iter().map(|x| x * x).sum::<f64>().sqrt();
        let theta = sin.atan2(cos);
        q.iter_mut().for_each(|x| *x /= sin.max(1e-300));
        let [a, b, c] = lambda(theta);
        // The root of a symmetric 2 × 2 matrix M: (M + √det·I)/√(tr M + 2√det).
        let root = (a * c - b * b).max(0.0).sqrt();
        let scale = (a + c + 2.0 * root).sqrt().recip();
        let [a, b, c] = [(a + root) * scale, b * scale, (c + root) * scale];
        for i in 0..d {
            map[(2 * j, i)] = a * p[(i, j)] + b * q[i];
            map[(2 * j + 1, i)] = b * p[(i, j)] + c * q[i];
        }
    }
    Ok(map)
}

/// `∫₀¹ 2 (cos tθ, sin tθ)(cos tθ, sin tθ)ᵀ dt`: the diagonal's ends and what is between. The paper's `q` points
/// the other way, hence its minus.
fn lambda(theta: f64) -> [f64; 3] {
    let double = 2.0 * theta;
    if double < 1e-4 {
        return [2.0 - double * double / 6.0, double / 2.0, double * double / 6.0];
    }
    let ratio = double.sin() / double;
    [1.0 + ratio, (1.0 - double.cos()) / double, 1.0 - ratio]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    #[test]
    fn the_kernel_is_the_integral_over_the_geodesic() {
        let draw = |n: usize, salt: usize| -> Vec<f32> {
            (0..n * 6)
                .map(|i| (((i * 37 + salt * 11) * (i + salt + 3)) % 101) as f32 / 17.0)
                .collect()
        };
        let (a, b) = (draw(30, 1), draw(25, 4));
        let source = Subspace::of(Rows::new(30, 6, &a).unwrap()).unwrap();
        let target = Subspace::of(Rows::new(25, 6, &b).unwrap()).unwrap();
        let map = flow(&source, &target, 2).unwrap();
        let kernel = map.transpose() * &map;
        // Φ(t) by its own formula: P_s U cos(tθ) + Q sin(tθ).
        let svd = source.products(&target, 2).svd().unwrap();
        let p = source.directions.subcols(0, 2) * svd.U();
        let ends = target.directions.subcols(0, 2) * svd.V();
        let steps = 2000;
        let mut sum = Mat::<f64>::zeros(6, 6);
        for step in 0..steps {
            let t = (f64::from(step) + 0.5) / f64::from(steps);
            let phi = Mat::from_fn(6, 2, |i, j| {
                let theta = svd.S()[j].acos();
                let q = (ends[(i, j)] - theta.cos() * p[(i, j)]) / theta.sin();
                (t * theta).cos() * p[(i, j)] + (t * theta).sin() * q
            });
            sum += &phi * phi.transpose();
        }
        for (i, j) in (0..6).flat_map(|i| (0..6).map(move |j| (i, j))) {
            let expected = 2.0 * sum[(i, j)] / f64::from(steps);
            assert!((kernel[(i, j)] - expected).abs() < 1e-6, "{i}, {j}");
        }
    }
}
