//! Kernels on rows, forward and backward, equal their definitions on random shapes, in buffers of
//! exact size.

mod support;

use offshoot_kernels::{
    Activation, AdamW, Attention, CrossEntropy, Epilogue, Isa, LayerNorm, Linear, LinearGrad,
    Precision, Sequence, Sgd, embed, scatter,
};
use proptest::prelude::*;
use support::{below, cases, close, levels, real, values};

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// How far attention may stray: scores are sums of products in its precision.
fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 2e-5,
        Precision::Bf16x3 => 1e-4,
        Precision::Bf16 => 4e-2,
    }
}

/// Output and gradients of one sequence by the definition: `[tokens, width]` each.
struct Attended {
    output: Vec<f64>,
    gradients: [Vec<f64>; 3],
}

/// `q`, `k`, `v` and `g`, the output's gradient, are `[tokens, heads·d]`.
fn attend(rows: [&[f64]; 3], g: &[f64], keep: &[bool], heads: usize, d: usize) -> Attended {
    let (width, tokens) = (heads * d, keep.len());
    let [q, k, v] = rows;
    let scale = 1.0 / (d as f64).sqrt();
    let mut result = Attended {
        output: vec![0.0; q.len()],
        gradients: [vec![0.0; q.len()], vec![0.0; q.len()], vec![0.0; q.len()]],
    };
    let kept: Vec<usize> = (0..tokens).filter(|&t| keep[t]).collect();
    for head in 0..heads {
        let at = |t: usize| t * width + head * d..t * width + (head + 1) * d;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let add = |to: &mut [f64], factor: f64, from: &[f64]| {
            to.iter_mut().zip(from).for_each(|(to, x)| *to += factor * x);
        };
        for i in 0..tokens {
            let raw: Vec<f64> =
                kept.iter().map(|&j| (dot(&q[at(i)], &k[at(j)]) * scale).exp()).collect();
            let sum: f64 = raw.iter().sum();
            let p: Vec<f64> = raw.iter().map(|x| x / sum).collect();
            let dp: Vec<f64> = kept.iter().map(|&j| dot(&g[at(i)], &v[at(j)])).collect();
            let mean = dot(&p, &dp);
            let [dq, dk, dv] = &mut result.gradients;
            for ((&j, p), dp) in kept.iter().zip(p).zip(dp) {
                let slope = p * (dp - mean) * scale;
                add(&mut result.output[at(i)], p, &v[at(j)]);
                add(&mut dq[at(i)], slope, &k[at(j)]);
                add(&mut dk[at(j)], slope, &q[at(i)]);
                add(&mut dv[at(j)], p, &g[at(i)]);
            }
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(60)) })]

    #[test]
    fn attention_and_its_gradients(
        tokens in 1..below(70),
        heads in 1usize..4,
        head_dim in 1..below(40),
        masked in 0usize..4,
        gap in 0usize..3,
    ) {
        let (d, width) = (head_dim, heads * head_dim);
        let keep: Vec<bool> = (0..tokens).map(|t| masked < 3 && (t * 7 + masked) % 3 != 0).collect();
        let keep = if masked == 0 { vec![true; tokens] } else { keep };
        let rows = [1, 2, 3].map(|salt| {
            real(tokens * width, salt).iter().map(|x| x * 2.0).collect::<Vec<_>>()
        });
        let gradient = real(tokens * width, 4);
        let expected =
            attend([&wide(&rows[0]), &wide(&rows[1]), &wide(&rows[2])], &wide(&gradient), &keep, heads, d);
        // Rows with a gap between them; the last ends with its last value.
        let step = width + gap;
        let spread = rows.map(|rows| {
            let mut spread = vec![f32::NAN; (tokens - 1) * step + width];
            for (to, from) in spread.chunks_mut(step).zip(rows.chunks(width)) {
                to[..width].copy_from_slice(from);
            }
            spread
        });
        let [queries, keys, values] = &spread;
        let keep = (masked > 0).then_some(&keep[..]);
        let sequence = Sequence { queries, keys, values, step, tokens, keep };
        for (isa, precision) in levels() {
            let kernel = Attention::new(isa, precision, heads, d).unwrap();
            let mut scratch = vec![f32::NAN; kernel.scratch_len(tokens)];
            let mut output = vec![f32::NAN; tokens * width];
            kernel.run(&sequence, 0..tokens, &mut scratch, &mut output);
            close(&output, &expected.output, bound(precision))?;
            let mut scratch = vec![f32::NAN; kernel.backward_scratch_len(tokens)];
            let to_step = 3 * width + gap;
            let mut output = vec![f32::NAN; tokens * to_step];
            kernel.backward(&sequence, &gradient, &mut scratch, &mut output, to_step);
            for (which, expected) in expected.gradients.iter().enumerate() {
                let actual: Vec<f32> = output
                    .chunks_exact(to_step)
                    .flat_map(|row| &row[which * width..(which + 1) * width])
                    .copied()
                    .collect();
                close(&actual, expected, bound(precision).max(5e-5))?;
            }
        }
    }

    /// Small whole numbers, exact in every precision.
    #[test]
    fn linear_layers_and_their_gradients(
        rows in 1..below(150),
        inputs in 1..below(80),
        outputs in 1..below(150),
        with_add: bool,
        clamped: bool,
    ) {
        let padded = rows.next_multiple_of(LinearGrad::BLOCK);
        let act = if clamped { Activation::Relu6 } else { Activation::None };
        let (weight, bias) = (values(inputs * outputs, 1), values(outputs, 2));
        let (x, residual) = (values(rows * inputs, 3), values(rows * outputs, 4));
        let (dy, add) = (values(rows * outputs, 5), values(rows * inputs, 6));
        let mut y = residual.clone();
        let (mut dx, mut dw) = (add.clone(), vec![0.0; inputs * outputs]);
        if !with_add {
            y.fill(0.0);
            dx.fill(0.0);
        }
        let mut db = vec![1.0; outputs];
        for r in 0..rows {
            for o in 0..outputs {
                let g = dy[r * outputs + o];
                db[o] += g;
                let mut sum = bias[o];
                for i in 0..inputs {
                    let (x, w) = (x[r * inputs + i], weight[i * outputs + o]);
                    sum += x * w;
                    dx[r * inputs + i] += g * w;
                    dw[i * outputs + o] += g * x;
                }
                let y = &mut y[r * outputs + o];
                *y = if clamped { (*y + sum).clamp(0.0, 6.0) } else { *y + sum };
            }
        }
        // The gradient of the weights takes whole blocks of rows.
        let whole = |rows: &[f32], width: usize| {
            let mut whole = rows.to_vec();
            whole.resize(padded * width, 0.0);
            whole
        };
        let (whole_x, whole_dy) = (whole(&x, inputs), whole(&dy, outputs));
        for (isa, precision) in levels() {
            let mut linear = Linear::planned(isa, precision, inputs, outputs).unwrap();
            linear.pack(offshoot_kernels::Order::Hwio, &weight, &bias).unwrap();
            let mut scratch = vec![f32::NAN; linear.scratch_len(rows)];
            let mut actual = vec![f32::NAN; rows * outputs];
            let epilogue = Epilogue { residual: with_add.then_some(&residual), act };
            linear.run(rows, &x, epilogue, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &y, "output, {:?} {:?}", isa, precision);

            let mut grad = LinearGrad::new(isa, precision, inputs, outputs).unwrap();
            grad.pack(&weight).unwrap();
            let mut scratch = vec![f32::NAN; grad.input_scratch_len(rows)];
            let mut actual = vec![f32::NAN; rows * inputs];
            grad.input(rows, &dy, with_add.then_some(&add), &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &dx, "input, {:?} {:?}", isa, precision);
            let mut scratch = vec![f32::NAN; grad.weight_scratch_len(rows)];
            let mut actual = vec![f32::NAN; inputs * outputs];
            grad.weight(rows, &whole_x, &whole_dy, &mut scratch, &mut actual);
            prop_assert_eq!(&actual, &dw, "weight, {:?} {:?}", isa, precision);
            let mut actual = vec![1.0; outputs];
            grad.bias(&dy, &mut actual);
            prop_assert_eq!(&actual, &db, "bias, {:?} {:?}", isa, precision);
        }
    }

    #[test]
    fn gradients_of_layer_norm(rows in 1usize..5, features in 2..below(90)) {
        let (x, g) = (real(rows * features, 1), real(rows * features, 2));
        let (weight, bias) = (real(features, 3), real(features, 4));
        let n = features as f64;
        let (mut dx, mut steepest) = (Vec::new(), 1.0f64);
        let (mut dw, mut db) = (vec![1.0; features], vec![-1.0; features]);
        for (x, g) in x.chunks(features).zip(g.chunks(features)) {
            let (x, g) = (wide(x), wide(g));
            let mean = x.iter().sum::<f64>() / n;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let inverse = 1.0 / (variance + 1e-5).sqrt();
            steepest = steepest.max(inverse);
            let unit: Vec<f64> = x.iter().map(|x| (x - mean) * inverse).collect();
            let scaled: Vec<f64> = g.iter().zip(&weight).map(|(g, &w)| g * f64::from(w)).collect();
            let plain = scaled.iter().sum::<f64>() / n;
            let slanted = scaled.iter().zip(&unit).map(|(s, u)| s * u).sum::<f64>() / n;
            for k in 0..features {
                dx.push(inverse * (scaled[k] - plain - unit[k] * slanted));
                dw[k] += g[k] * unit[k];
                db[k] += g[k];
            }
        }
        let norm = LayerNorm { weight: &weight, bias: &bias, eps: 1e-5 };
        for isa in Isa::available() {
            let mut d_input = g.clone();
            let (mut d_weight, mut d_bias) = (vec![1.0; features], vec![-1.0; features]);
            norm.backward(isa, &x, &mut d_input, &mut d_weight, &mut d_bias);
            // Where the features are nearly equal, rounding errors grow with 1/σ.
            close(&d_input, &dx, 2e-6 * steepest * steepest)?;
            close(&d_weight, &dw, 2e-6 * steepest)?;
            close(&d_bias, &db, 1e-6)?;
        }
    }

    #[test]
    fn a_value_is_activated_alike_wherever_it_stands(n in 0usize..70, shift in 0usize..17) {
        let x: Vec<f32> = real(n + shift, 1).iter().map(|x| x * 8.0).collect();
        let gradient = real(n + shift, 2);
        for isa in Isa::available() {
            for act in Activation::ALL {
                let mut whole = vec![f32::NAN; n + shift];
                act.apply_to(isa, &x, &mut whole);
                let mut slope = gradient.clone();
                act.backward(isa, &x, &mut slope);
                let part = x[shift..].to_vec();
                let mut y = vec![f32::NAN; n];
                act.apply_to(isa, &part, &mut y);
                prop_assert_eq!(&y[..], &whole[shift..], "{:?} on {:?}", act, isa);
                let mut y = part.clone();
                act.apply(isa, &mut y);
                prop_assert_eq!(&y[..], &whole[shift..], "{:?} in place on {:?}", act, isa);
                let mut dx = gradient[shift..].to_vec();
                act.backward(isa, &part, &mut dx);
                prop_assert_eq!(&dx[..], &slope[shift..], "slope of {:?} on {:?}", act, isa);
            }
        }
    }

    #[test]
    fn rows_of_tables(features in 1usize..40, ids in prop::collection::vec(0u32..7, 0..20)) {
        let (words, kinds) = (values(7 * features, 1), values(2 * features, 2));
        let kind: Vec<u32> = ids.iter().map(|id| id % 2).collect();
        let mut output = vec![f32::NAN; ids.len() * features];
        embed(features, &[(&words, &ids), (&kinds, &kind)], &mut output);
        let mut table = values(7 * features, 3);
        let mut expected = table.clone();
        for (r, row) in output.chunks_exact(features).enumerate() {
            for (k, &y) in row.iter().enumerate() {
                let [word, kind] = [ids[r] as usize * features + k, kind[r] as usize * features + k];
                prop_assert_eq!(y, words[word] + kinds[kind]);
                expected[word] += y;
            }
        }
        scatter(features, &ids, &output, &mut table);
        prop_assert_eq!(table, expected);
    }

    #[test]
    fn cross_entropy(
        labels in prop::collection::vec(0u32..6, 1..6),
        more in 0usize..6,
        smoothing in 0.0f32..0.5,
        weighted: bool,
    ) {
        let classes = 6 + more;
        let logits: Vec<f32> = real(labels.len() * classes, 1).iter().map(|x| x * 5.0).collect();
        let weights: Vec<f32> = real(classes, 2).iter().map(|x| x + 1.5).collect();
        let weight = |class: usize| if weighted { f64::from(weights[class]) } else { 1.0 };
        let (e, n) = (f64::from(smoothing), classes as f64);
        let definition = |logits: &[f64]| {
            let (mut loss, mut total) = (0.0, 0.0);
            for (row, &label) in logits.chunks(classes).zip(&labels) {
                let log_sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
                let surprise = |class: usize| weight(class) * (log_sum - row[class]);
                let all = (0..classes).map(surprise).sum::<f64>();
                loss += (1.0 - e) * surprise(label as usize) + e / n * all;
                total += weight(label as usize);
            }
            loss / total
        };
        let loss = CrossEntropy {
            label_smoothing: smoothing,
            class_weights: weighted.then(|| weights.clone()),
        };
        let mut gradient = vec![f32::NAN; logits.len()];
        let actual = loss.loss(&logits, &labels, &mut gradient);
        let exact = wide(&logits);
        prop_assert!((actual - definition(&exact)).abs() < 1e-6 * actual.abs().max(1.0));
        for (at, &g) in gradient.iter().enumerate() {
            let moved = |step: f64| {
                let mut logits = exact.clone();
                logits[at] += step;
                definition(&logits)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            prop_assert!((f64::from(g) - slope).abs() < 1e-6, "{} {}", g, slope);
        }
    }

    #[test]
    fn optimisers_follow_their_equations(
        n in 0usize..70,
        steps in 1u64..4,
        decay in 0.0f32..0.2,
        nesterov: bool,
    ) {
        let (start, g) = (real(n, 1), real(n, 2));
        let adam = AdamW::new(1e-2, decay);
        let (mut p, mut m, mut v) = (start.clone(), vec![0.0; n], vec![0.0; n]);
        let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay: decay, scale: 1.0 };
        let (mut q, mut velocity) = (start.clone(), vec![0.0; n]);
        for step in 1..=steps {
            adam.step(step, &mut p, &g, &mut m, &mut v);
            sgd.step(&mut q, &g, &mut velocity);
        }
        let (wd, [b1, b2]) = (f64::from(decay), adam.betas.map(f64::from));
        let (mut expected_p, mut expected_q) = (Vec::new(), Vec::new());
        for (&start, &g) in start.iter().zip(&g) {
            let g = f64::from(g);
            let (mut p, mut m, mut v) = (f64::from(start), 0.0, 0.0);
            let (mut q, mut speed) = (f64::from(start), 0.0);
            for step in 1..=steps as i32 {
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let unbiased = [m / (1.0 - b1.powi(step)), v / (1.0 - b2.powi(step))];
                p -= f64::from(adam.lr) * (unbiased[0] / (unbiased[1].sqrt() + 1e-8) + wd * p);
                let pull = g + wd * q;
                speed = 0.9 * speed + pull;
                q -= 0.1 * if nesterov { pull + 0.9 * speed } else { speed };
            }
            expected_p.push(p);
            expected_q.push(q);
        }
        close(&p, &expected_p, 2e-5)?;
        close(&q, &expected_q, 2e-6)?;
    }
}

/// More keys, or more values of a head, than matrix tiles sum in one pass.
#[test]
fn attention_over_long_sequences_and_wide_heads() {
    let shapes = if cfg!(miri) { [(40, 3), (3, 40)] } else { [(2100, 3), (3, 2100)] };
    for (tokens, d) in shapes {
        let mut rows = [1, 2, 3].map(|salt| real(tokens * d, salt));
        // Enough for a few keys to matter more than the others.
        rows[0].iter_mut().for_each(|x| *x *= 4.0);
        let [queries, keys, values] = &rows;
        let exact = [&wide(queries)[..], &wide(keys), &wide(values)];
        let expected = attend(exact, &vec![0.0; tokens * d], &vec![true; tokens], 1, d).output;
        let first = tokens - 3;
        let sequence = Sequence { queries, keys, values, step: d, tokens, keep: None };
        for (isa, precision) in levels() {
            let kernel = Attention::new(isa, precision, 1, d).unwrap();
            let mut scratch = vec![f32::NAN; kernel.scratch_len(tokens)];
            let mut output = vec![f32::NAN; 3 * d];
            kernel.run(&sequence, first..tokens, &mut scratch, &mut output);
            let close = close(&output, &expected[first * d..], bound(precision));
            assert!(close.is_ok(), "{isa:?} {precision:?}, {tokens} tokens of {d}: {close:?}");
        }
    }
}
