//! Kernels of one row with many, from products.

/// Share of the squared lengths below which squared distances are rounding, where products are `f64`.
pub(crate) const ROUNDING: f64 = 1e-13;

/// Three kernels of a row and the rows of a block.
pub struct Kernels<'a> {
    /// `x·y`.
    pub products: &'a [f64],
    /// `‖y‖²`.
    pub squares: &'a [f64],
    /// `‖x‖²`.
    pub square_of_left: f64,
    /// `1/2σ²`.
    pub gamma: f64,
    /// Squared distances below this share of the squared lengths are rounding: [`ROUNDING`], more where products are
    /// less exact.
    pub rounding: f64,
    /// `exp(−γ‖x − y‖²)`, `‖x − y‖` and `(x·y)²`.
    pub out: [&'a mut [f64]; 3],
}

impl pulp::WithSimd for Kernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let [rbf, distance, square] = self.out;
        let pairs = self.products.iter().zip(self.squares);
        let out = rbf.iter_mut().zip(distance).zip(square);
        for ((&product, &other), ((rbf, distance), square)) in pairs.zip(out) {
            let lengths = self.square_of_left + other;
            let apart = lengths - 2.0 * product;
            let apart = if apart > self.rounding * lengths { apart } else { 0.0 };
            *rbf = exp_of_negative(-self.gamma * apart);
            *distance = apart.sqrt();
            *square = product * product;
        }
    }
}

/// `eˣ` for `x ≤ 0`, to 2 units in the last place; below −700 it is that of −700. Plain arithmetic, so that
/// a loop of it becomes vectors.
#[inline(always)]
pub(crate) fn exp_of_negative(x: f64) -> f64 {
    let x = if x > -700.0 { x } else { -700.0 };
    // Adding this leaves the nearest whole number in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    // Taylor's series on |r| ≤ ln 2/2; the first term left out is below 5e-17.
    let mut sum = 1.0 / 479_001_600.0;
    for factorial in [
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = sum * r + 1.0 / factorial;
    }
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_the_exponential() {
        for i in 0..70_000 {
            let x = -f64::from(i) / 100.0;
            let off = (exp_of_negative(x) - x.exp()).abs() / x.exp();
            assert!(off < 5e-16, "{x}: {off}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert!(exp_of_negative(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn equal_rows_are_no_distance_apart() {
        let mut out = [[9.0], [9.0], [9.0]];
        let [a, b, c] = &mut out;
        let (products, squares) = ([3.0 - 1e-15], [3.0]);
        let gamma = 0.5;
        pulp::Arch::new().dispatch(Kernels {
            products: &products,
            squares: &squares,
            square_of_left: 3.0,
            gamma,
            rounding: ROUNDING,
            out: [a, b, c],
        });
        assert_eq!([out[0], out[1]], [[1.0], [0.0]]);
    }
}
