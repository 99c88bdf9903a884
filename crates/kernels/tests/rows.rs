//! Kernels on rows of tokens equal their definitions on every level, on shapes that fit no tile.

mod support;

use offshoot_kernels::{
    Activation, Attention, Epilogue, Isa, LayerNorm, Linear, LinearGrad, Precision, Sequence,
    embed, scatter,
};
use proptest::prelude::*;
use support::{below, cases, close, levels, real};

/// The error function by its power series (Abramowitz and Stegun 7.1.5).
fn erf(x: f64) -> f64 {
    if x.abs() > 4.5 {
        // Closer to 1 than single precision tells, and the series loses digits.
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn activated(act: Activation, x: f64) -> f64 {
    match act {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

#[test]
fn activations_and_their_slopes() {
    let every = if cfg!(miri) { 20 } else { 1 };
    let x: Vec<f32> = (0..1003).step_by(every).map(|i| (i as f32 - 501.5) / 100.0).collect();
    for isa in Isa::available() {
        for act in Activation::ALL {
            let mut y = x.clone();
            act.apply(isa, &mut y);
            let mut beside = vec![f32::NAN; x.len()];
            act.apply_to(isa, &x, &mut beside);
            assert!(beside == y, "{act:?} on {}", isa.name());
            let mut slope = vec![1.0; x.len()];
            act.backward(isa, &x, &mut slope);
            for ((&x, y), slope) in x.iter().zip(y).zip(slope) {
                let x = f64::from(x);
                let exact = activated(act, x);
                let name = isa.name();
                assert!((f64::from(y) - exact).abs() < 1e-6, "{act:?} on {name} at {x}: {y}");
                let h = 1e-5;
                let exact = (activated(act, x + h) - activated(act, x - h)) / (2.0 * h);
                let error = (f64::from(slope) - exact).abs();
                assert!(error < 1e-5, "slope of {act:?} on {name} at {x}: {slope}");
            }
        }
    }
}

/// Attention of one head by its definition, in double precision; zeros where no key is kept.
fn attention(sequence: &Sequence<'_>, head: usize, d: usize, query: usize) -> Vec<f64> {
    let row = |rows: &[f32], t: usize| -> Vec<f64> {
        let from = t * sequence.step + head * d;
        rows[from..from + d].iter().map(|&x| f64::from(x)).collect()
    };
    let q = row(sequence.queries, query);
    let kept = (0..sequence.tokens).filter(|&t| sequence.keep.is_none_or(|keep| keep[t]));
    let weights: Vec<(usize, f64)> = kept
        .map(|t| {
            let score: f64 = q.iter().zip(row(sequence.keys, t)).map(|(q, k)| q * k).sum();
            (t, (score / (d as f64).sqrt()).exp())
        })
        .collect();
    let sum: f64 = weights.iter().map(|(_, w)| w).sum();
    let mut out = vec![0.0; d];
    for (t, weight) in weights {
        for (o, v) in out.iter_mut().zip(row(sequence.values, t)) {
            *o += weight / sum * v;
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn linear_layers(
        rows in 1..below(90),
        inputs in 1..below(80),
        outputs in 1..below(150),
        with_residual: bool,
        act in prop::sample::select(&Activation::ALL[..]),
    ) {
        let (weight, bias) = (real(inputs * outputs, 1), real(outputs, 2));
        let (input, residual) = (real(rows * inputs, 3), real(rows * outputs, 4));
        let mut expected = Vec::new();
        for row in 0..rows {
            for o in 0..outputs {
                let terms = (0..inputs).map(|k| {
                    f64::from(input[row * inputs + k]) * f64::from(weight[o * inputs + k])
                });
                let mut sum = terms.sum::<f64>() + f64::from(bias[o]);
                if with_residual {
                    sum += f64::from(residual[row * outputs + o]);
                }
                expected.push(activated(act, sum));
            }
        }
        let epilogue = Epilogue { residual: with_residual.then_some(&residual), act };
        for isa in Isa::available() {
            let linear =
                Linear::new(isa, Precision::F32, inputs, outputs, &weight, &bias).unwrap();
            let mut scratch = vec![f32::NAN; linear.scratch_len(rows)];
            let mut output = vec![f32::NAN; rows * outputs];
            linear.run(rows, &input, epilogue, &mut scratch, &mut output);
            close(&output, &expected, 1e-5)?;
            // The last row alone gives the same bits.
            let mut alone = vec![f32::NAN; outputs];
            let residual = with_residual.then_some(&residual[(rows - 1) * outputs..]);
            let epilogue = Epilogue { residual, act };
            linear.run(1, &input[(rows - 1) * inputs..], epilogue, &mut scratch, &mut alone);
            prop_assert!(alone[..] == output[(rows - 1) * outputs..], "{:?}", isa);
        }
    }

    #[test]
    fn attention_over_ragged_and_masked_sequences(
        tokens in 1..below(150),
        heads in 1usize..4,
        head_dim in 1..below(40),
        masked in 0usize..4,
        first in 0usize..150,
    ) {
        let width = heads * head_dim;
        let step = 3 * width + 1;
        let rows: Vec<f32> =
            real(tokens * step + 2 * width, 5).iter().map(|x| x * 2.0).collect();
        let keep: Vec<bool> = (0..tokens).map(|t| masked < 3 && (t * 7 + masked) % 3 != 0).collect();
        let sequence = Sequence {
            queries: &rows,
            keys: &rows[width..],
            values: &rows[2 * width..],
            step,
            tokens,
            keep: (masked > 0).then_some(&keep),
        };
        let first = first % tokens;
        let mut expected = Vec::new();
        for query in first..tokens {
            for head in 0..heads {
                expected.extend(attention(&sequence, head, head_dim, query));
            }
        }
        for (isa, precision) in levels() {
            // Scores of up to a hundred are sums of rounded products, and weights their exponentials.
            let bound = match precision {
                Precision::F32 => 2e-5,
                Precision::Bf16x3 => 1e-4,
                Precision::Bf16 => 4e-2,
            };
            let kernel = Attention::new(isa, precision, heads, head_dim).unwrap();
            let mut scratch = vec![f32::NAN; kernel.scratch_len(tokens)];
            let mut output = vec![f32::NAN; (tokens - first) * width];
            kernel.run(&sequence, first..tokens, &mut scratch, &mut output);
            close(&output, &expected, bound)?;
            let mut alone = vec![f32::NAN; width];
            kernel.run(&sequence, tokens - 1..tokens, &mut scratch, &mut alone);
            prop_assert!(alone[..] == output[(tokens - 1 - first) * width..], "{:?}", isa);
        }
    }

    #[test]
    fn layer_norms(rows in 1usize..5, features in 1..below(70), shift in -100i32..100) {
        let input: Vec<f32> =
            real(rows * features, 6).iter().map(|x| x * 3.0 + shift as f32).collect();
        let (weight, bias) = (real(features, 7), real(features, 8));
        let norm = LayerNorm { weight: &weight, bias: &bias, eps: 1e-5 };
        let n = features as f64;
        let mut expected = Vec::new();
        for row in input.chunks(features) {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            for (k, &x) in row.iter().enumerate() {
                let unit = (f64::from(x) - mean) / (variance + 1e-5).sqrt();
                expected.push(unit * f64::from(weight[k]) + f64::from(bias[k]));
            }
        }
        // Where the features are nearly equal, the mean's rounding decides.
        let tolerance = if features < 3 { 5e-2 } else { 3e-4 };
        let half: Vec<f32> = input.iter().map(|x| x / 2.0).collect();
        for isa in Isa::available() {
            let mut rows = input.clone();
            norm.apply(isa, &mut rows);
            close(&rows, &expected, tolerance)?;
            let mut beside = vec![f32::NAN; input.len()];
            norm.apply_to(isa, &input, &mut beside);
            prop_assert!(beside == rows, "{:?}", isa);
            let mut sum = half.clone();
            norm.apply_to_sum(isa, &half, &mut sum);
            prop_assert!(sum == rows, "{:?}", isa);
        }
    }
}

/// `f` at `x` moved by `±h` along one value, as a slope.
fn slope(f: impl Fn(&[f32]) -> f64, x: &[f32], k: usize, h: f32) -> f64 {
    let moved = |by: f32| {
        let mut x = x.to_vec();
        x[k] += by;
        f(&x)
    };
    (moved(h) - moved(-h)) / (2.0 * f64::from(h))
}

#[test]
fn the_gradient_of_a_layer_norm_is_the_slope() {
    let (rows, features) = if cfg!(miri) { (2, 9) } else { (3, 21) };
    let (weight, bias) = (real(features, 1), real(features, 2));
    let (input, direction) = (real(rows * features, 3), real(rows * features, 4));
    for isa in Isa::available() {
        let along = |input: &[f32], weight: &[f32], bias: &[f32]| -> f64 {
            let mut rows = input.to_vec();
            LayerNorm { weight, bias, eps: 1e-5 }.apply(isa, &mut rows);
            rows.iter().zip(&direction).map(|(y, g)| f64::from(*y) * f64::from(*g)).sum()
        };
        let mut d_input = direction.clone();
        let (mut d_weight, mut d_bias) = (vec![0.0; features], vec![0.0; features]);
        let norm = LayerNorm { weight: &weight, bias: &bias, eps: 1e-5 };
        norm.backward(isa, &input, &mut d_input, &mut d_weight, &mut d_bias);
        for k in 0..features {
            let exact = slope(|x| along(&input, x, &bias), &weight, k, 1e-2);
            assert!((f64::from(d_weight[k]) - exact).abs() < 1e-4, "{}", isa.name());
            let exact = slope(|x| along(&input, &weight, x), &bias, k, 1e-2);
            assert!((f64::from(d_bias[k]) - exact).abs() < 1e-4, "{}", isa.name());
        }
        for (k, &d) in d_input.iter().enumerate() {
            let exact = slope(|x| along(x, &weight, &bias), &input, k, 1e-3);
            assert!((f64::from(d) - exact).abs() < 2e-3, "{} {k}: {d} {exact}", isa.name());
        }
    }
}

#[test]
fn embeddings_are_gathered_and_their_gradients_scattered() {
    let words = real(5 * 3, 1);
    let places = real(4 * 3, 2);
    let ids = [4, 0, 4];
    let mut output = vec![0.0; 9];
    embed(3, &[(&words, &ids), (&places, &[0, 1, 2])], &mut output);
    let expected: Vec<f32> =
        (0..9).map(|i| words[ids[i / 3] as usize * 3 + i % 3] + places[i]).collect();
    assert_eq!(output, expected);

    let gradient = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0];
    let mut table = vec![0.0; 5 * 3];
    scatter(3, &ids, &gradient, &mut table);
    assert_eq!(table[..3], [4.0, 5.0, 6.0]);
    assert_eq!(table[12..], [11.0, 22.0, 33.0]);
    assert!(table[3..12].iter().all(|&x| x == 0.0));
}

#[test]
fn wrong_sizes_and_levels_are_refused() {
    let linear = |weights: usize, biases: usize| {
        Linear::new(Isa::Portable, Precision::F32, 3, 2, &real(weights, 0), &real(biases, 0))
    };
    assert!(linear(6, 2).is_ok());
    assert!(linear(5, 2).is_err_and(|e| e.to_string().contains("2×3 matrix with 5 weights")));
    assert!(linear(6, 1).is_err());
    let bf16 = Linear::new(Isa::Portable, Precision::Bf16, 1, 1, &[1.0], &[1.0]);
    assert!(bf16.is_err_and(|e| e.to_string().contains("not available")));
    assert!(Attention::new(Isa::Portable, Precision::F32, 0, 4).is_err());
}

#[test]
fn the_gradient_of_a_linear_layer_is_its_definition() {
    let shapes = [(1usize, 3, 5), (70, 33, 50), (130, 64, 96)];
    for (rows, inputs, outputs) in shapes.into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
        let padded = rows.div_ceil(LinearGrad::BLOCK) * LinearGrad::BLOCK;
        let (x, mut dy) = (real(padded * inputs, 1), real(padded * outputs, 2));
        dy[rows * outputs..].fill(0.0);
        let (weight, add) = (real(inputs * outputs, 3), real(rows * inputs, 4));
        for isa in Isa::available() {
            let mut grad = LinearGrad::new(isa, Precision::F32, inputs, outputs).unwrap();
            grad.pack(&weight).unwrap();
            let mut dx = vec![f32::NAN; rows * inputs];
            let mut scratch = vec![f32::NAN; grad.input_scratch_len(rows)];
            grad.input(rows, &dy, Some(&add), &mut scratch, &mut dx);
            let mut dw = vec![f32::NAN; inputs * outputs];
            let mut scratch = vec![f32::NAN; grad.weight_scratch_len(rows)];
            grad.weight(rows, &x, &dy, &mut scratch, &mut dw);
            let mut db = vec![1.0; outputs];
            grad.bias(&dy[..rows * outputs], &mut db);
            let near = |actual: f32, exact: f64| {
                assert!((f64::from(actual) - exact).abs() < 2e-5 * exact.abs().max(1.0), "{isa:?}");
            };
            let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
            for i in 0..inputs {
                for r in 0..rows {
                    let terms =
                        (0..outputs).map(|o| product(dy[r * outputs + o], weight[i * outputs + o]));
                    near(dx[r * inputs + i], terms.sum::<f64>() + f64::from(add[r * inputs + i]));
                }
                for o in 0..outputs {
                    let terms = (0..rows).map(|r| product(x[r * inputs + i], dy[r * outputs + o]));
                    near(dw[i * outputs + o], terms.sum());
                }
            }
            for (o, &sum) in db.iter().enumerate() {
                near(sum, 1.0 + (0..rows).map(|r| f64::from(dy[r * outputs + o])).sum::<f64>());
            }
        }
    }
}

#[test]
fn the_gradient_of_attention_is_the_slope() {
    let (heads, d) = (2, 5);
    let (width, step) = (heads * d, 3 * heads * d);
    let longest = if cfg!(miri) { 3 } else { 19 };
    for (tokens, masked) in [(1, false), (longest.min(7), false), (longest, true)] {
        let keep: Vec<bool> = (0..tokens).map(|t| t % 3 != 1).collect();
        let rows: Vec<f32> = real(tokens * step, 1).iter().map(|x| x * 1.5).collect();
        let direction = real(tokens * width, 2);
        let sequence = |rows: &'_ [f32]| -> f64 {
            let sequence = Sequence {
                queries: rows,
                keys: &rows[width..],
                values: &rows[2 * width..],
                step,
                tokens,
                keep: masked.then_some(&keep),
            };
            (0..tokens)
                .flat_map(|t| (0..heads).flat_map(move |h| (0..d).map(move |k| (t, h, k))))
                .map(|(t, h, k)| {
                    let y = attention(&sequence, h, d, t)[k];
                    y * f64::from(direction[t * width + h * d + k])
                })
                .sum()
        };
        for isa in Isa::available() {
            let kernel = Attention::new(isa, Precision::F32, heads, d).unwrap();
            let mut scratch = vec![f32::NAN; kernel.backward_scratch_len(tokens)];
            let mut output = vec![f32::NAN; tokens * step];
            let whole = Sequence {
                queries: &rows,
                keys: &rows[width..],
                values: &rows[2 * width..],
                step,
                tokens,
                keep: masked.then_some(&keep),
            };
            kernel.backward(&whole, &direction, &mut scratch, &mut output, step);
            for (k, &actual) in output.iter().enumerate() {
                let exact = slope(sequence, &rows, k, 1e-2);
                let error = (f64::from(actual) - exact).abs();
                assert!(error < 2e-4, "{} {tokens} {k}: {actual} {exact}", isa.name());
            }
        }
    }
    // Where no key counts, neither does any gradient.
    let kernel = Attention::new(Isa::detect(), Precision::F32, 1, 4).unwrap();
    let rows = real(24, 3);
    let sequence = Sequence {
        queries: &rows,
        keys: &rows[4..],
        values: &rows[8..],
        step: 12,
        tokens: 2,
        keep: Some(&[false, false]),
    };
    let mut output = vec![f32::NAN; 24];
    let mut scratch = vec![f32::NAN; kernel.backward_scratch_len(2)];
    kernel.backward(&sequence, &[1.0; 8], &mut scratch, &mut output, 12);
    assert!(output.iter().all(|&x| x == 0.0));
}
