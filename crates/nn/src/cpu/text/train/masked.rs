//! The head of masked-language modelling: which word stood where a token was hidden.
//!
//! `logits = t(x)·Wᵀ + b` with the table of words W, which the encoder shares (Press & Wolf 2017,
//! arXiv:1608.05859), and t(x) = norm(gelu(x·A + a)) where the checkpoint has it (Devlin et al. 2018,
//! arXiv:1810.04805), else x itself.

use offshoot_kernels::{Activation, Epilogue, Isa, Linear, LinearGrad, Order, Precision};
use rayon::prelude::*;

use super::lower::Lowering;
use super::tensors::Tensor;
use super::{Matrix, Norm, padded};
use crate::cpu::Learned;
use crate::cpu::text::execute::apply;
use crate::{NnError, Params, Result, Role};

/// Rows that a worker takes at a time.
const ROWS: usize = 32;

/// Keys of the head's arrays, whatever family it is of.
pub const MASKED_HEAD: [&str; 5] =
    ["mlm.dense.weight", "mlm.dense.bias", "mlm.norm.weight", "mlm.norm.bias", "mlm.bias"];

/// A head that predicts hidden tokens, while it learns.
pub struct MaskedHead {
    isa: Isa,
    features: usize,
    words: usize,
    tensors: Vec<Tensor>,
    transform: Option<Transform>,
    /// Place of `mlm.bias`.
    bias: usize,
    /// `x·Wᵀ + b`.
    decoder: Linear,
    /// `dy·W`.
    reverse: Linear,
    /// `dyᵀ·x`.
    table: LinearGrad,
}

struct Transform {
    dense: Matrix,
    norm: Norm,
}

/// Where the gradients of [`MaskedHead::loss`] go.
pub struct MaskedGradients<'a> {
    /// Of the rows, `[n, features]`.
    pub rows: &'a mut [f32],
    /// Of the table, `[words, features]`.
    pub table: &'a mut [f32],
}

impl MaskedHead {
    /// A head for a table of `words` rows of `features`; `params` holds the arrays of [`MASKED_HEAD`], the
    /// bias alone, or none, where the bias begins at zero. `eps` is of the norm.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for arrays of other sizes, or a part of the transform without the rest.
    pub fn new(
        params: &Params,
        [words, features]: [usize; 2],
        eps: f32,
        isa: Option<Isa>,
        precision: Precision,
    ) -> Result<Self> {
        let isa = isa.unwrap_or_else(Isa::detect);
        let mut own = params.clone();
        own.entry(MASKED_HEAD[4].into())
            .or_insert_with(|| crate::Array { shape: vec![words], data: vec![0.0; words].into() });
        let learns = |_: &str| true;
        let mut lowering =
            Lowering { isa, precision, params: &own, learns: &learns, tensors: Vec::new() };
        let transform = match params.contains_key(MASKED_HEAD[0]) {
            false => None,
            true => {
                let dense = lowering.matrix(&["mlm.dense".to_string()], features, features)?;
                let norm = crate::blocks::LayerNorm { key: "mlm.norm".into(), eps };
                Some(Transform { dense, norm: lowering.norm(&norm, features)? })
            }
        };
        let bias = lowering.joined(&["mlm".to_string()], "bias", Role::Bias, &[words])?;
        let decoder = Linear::planned(isa, precision, features, words)?;
        let reverse = Linear::planned(isa, precision, words, features)?;
        let table = LinearGrad::new(isa, precision, words, features)?;
        let tensors = lowering.tensors;
        Ok(Self { isa, features, words, tensors, transform, bias, decoder, reverse, table })
    }

    /// Mean −ln p of the `targets` that stood where the `rows` `[n, features]` are, with the table of words
    /// as it is now; gradients of what was given, and of the head itself ([`MaskedHead::learned`]).
    ///
    /// Sums have a fixed order: the same bits on any number of threads.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for arrays of other lengths or a target that is no word.
    pub fn loss(
        &mut self,
        table: &[f32],
        rows: &[f32],
        targets: &[u32],
        gradients: Option<MaskedGradients<'_>>,
    ) -> Result<f64> {
        let (n, f, v) = (targets.len(), self.features, self.words);
        crate::cpu::check_len("rows", rows.len(), n, f)?;
        crate::cpu::check_len("table", table.len(), v, f)?;
        if let Some(target) = targets.iter().find(|target| **target as usize >= v) {
            return Err(NnError::Unsupported(format!("token {target} of {v} words")));
        }
        if n == 0 {
            return Ok(0.0);
        }
        self.decoder.pack(Order::Oihw, table, &self.tensors[self.bias].value)?;
        let mut x = vec![0.0; padded(n) * f];
        x[..n * f].copy_from_slice(rows);
        let (mut inner, mut active) = (Vec::new(), Vec::new());
        let mut hidden = x.clone();
        if let Some(Transform { dense, norm }) = &mut self.transform {
            dense.pack(&self.tensors)?;
            inner = vec![0.0; padded(n) * f];
            product(&dense.forward, n, &x, &mut inner);
            active.clone_from(&inner);
            Activation::Gelu.apply(self.isa, &mut active[..n * f]);
            norm.kernel(&self.tensors).apply_to(self.isa, &active[..n * f], &mut hidden[..n * f]);
        }
        let mut logits = vec![0.0; padded(n) * v];
        product(&self.decoder, n, &hidden, &mut logits);
        let share = 1.0 / n as f32;
        let losses: Vec<f64> = logits[..n * v]
            .par_chunks_exact_mut(v)
            .zip(targets)
            .map(|(row, &target)| softmax_loss(row, target as usize, share))
            .collect();
        let loss = losses.iter().sum::<f64>() / n as f64;
        let Some(MaskedGradients { rows: to_rows, table: to_table }) = gradients else {
            return Ok(loss);
        };
        crate::cpu::check_len("gradient of rows", to_rows.len(), n, f)?;
        crate::cpu::check_len("gradient of the table", to_table.len(), v, f)?;
        // `logits` is now the gradient of the logits.
        let bias = &mut self.tensors[self.bias].gradient;
        bias.par_iter_mut().enumerate().for_each(|(word, sum)| {
            *sum = logits[..n * v].iter().skip(word).step_by(v).sum();
        });
        let mut scratch = vec![0.0; self.table.weight_scratch_len(n)];
        self.table.weight(n, &logits, &hidden, &mut scratch, to_table);
        self.reverse.pack(Order::Hwio, table, &vec![0.0; f])?;
        let mut back = vec![0.0; padded(n) * f];
        product(&self.reverse, n, &logits, &mut back);
        if let Some(Transform { dense, norm }) = &self.transform {
            let (mut of_weight, mut of_bias) = (vec![0.0; f], vec![0.0; f]);
            let kernel = norm.kernel(&self.tensors);
            kernel.backward(
                self.isa,
                &active[..n * f],
                &mut back[..n * f],
                &mut of_weight,
                &mut of_bias,
            );
            self.tensors[norm.weight].gradient = of_weight;
            self.tensors[norm.bias].gradient = of_bias;
            Activation::Gelu.backward(self.isa, &inner[..n * f], &mut back[..n * f]);
            let bias = &mut self.tensors[dense.bias].gradient;
            bias.fill(0.0);
            dense.grad.bias(&back[..n * f], bias);
            scratch.resize(dense.grad.weight_scratch_len(n), 0.0);
            let weight = &mut self.tensors[dense.weight].gradient;
            dense.grad.weight(n, &x, &back, &mut scratch, weight);
            scratch.resize(dense.grad.input_scratch_len(n), 0.0);
            dense.grad.input(n, &back[..n * f], None, &mut scratch, to_rows);
        } else {
            to_rows.copy_from_slice(&back[..n * f]);
        }
        Ok(loss)
    }

    /// Everything of the head that learns; values may be changed.
    pub fn learned(&mut self) -> impl Iterator<Item = Learned<'_>> {
        self.tensors.iter_mut().map(|tensor| Learned {
            keys: &tensor.keys,
            role: tensor.role,
            value: &mut tensor.value,
            gradient: &tensor.gradient,
        })
    }

    /// Its arrays, under the keys of [`MASKED_HEAD`].
    pub fn params(&self) -> Params {
        self.tensors.iter().flat_map(|tensor| tensor.arrays(&tensor.value)).collect()
    }

    /// Gradients of the last [`MaskedHead::loss`], likewise.
    pub fn gradients(&self) -> Params {
        self.tensors.iter().flat_map(|tensor| tensor.arrays(&tensor.gradient)).collect()
    }

    /// Takes over what [`MaskedHead::params`] gave.
    ///
    /// # Errors
    /// Where an array is missing or has another number of values.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        self.tensors.iter_mut().try_for_each(|tensor| tensor.load(params))
    }
}

/// `output = linear(input)` of `n` rows, in parallel.
fn product(linear: &Linear, n: usize, input: &[f32], output: &mut [f32]) {
    let (inputs, outputs) = (linear.inputs(), linear.outputs());
    let pairs = input[..n * inputs]
        .par_chunks(ROWS * inputs)
        .zip(output[..n * outputs].par_chunks_mut(ROWS * outputs));
    pairs.for_each(|(input, output)| {
        let mut scratch = Vec::new();
        apply(linear, input, Epilogue::NONE, &mut scratch, output);
    });
}

/// −ln p of the target; `row` becomes the gradient, times `share`.
fn softmax_loss(row: &mut [f32], target: usize, share: f32) -> f64 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let right = f64::from(row[target] - largest);
    let mut sum = 0.0f64;
    for x in row.iter_mut() {
        *x = (*x - largest).exp();
        sum += f64::from(*x);
    }
    let scale = share / sum as f32;
    row.iter_mut().for_each(|x| *x *= scale);
    row[target] -= share;
    sum.ln() - right
}
