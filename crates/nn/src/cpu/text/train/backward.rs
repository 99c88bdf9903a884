//! The backward pass.

use offshoot_kernels::scatter;
use rayon::prelude::*;

use super::forward::{fixed_chunks, split};
use super::tensors::Tensor;
use super::{Layer, Matrix, SavedLayer, TextTrainer, size};
use crate::TextBatch;
use crate::blocks::TokenPool;
use crate::cpu::execute::{give_back, reserve, take};
use crate::cpu::text::execute::{Chunk, Projections, positions, sequence};

/// Buffers of the backward pass, reused from layer to layer and step to step.
#[derive(Default)]
pub(super) struct Work {
    /// Gradient of a layer's output, then of `total`.
    rows: Vec<f32>,
    /// Gradient of `sum`.
    sum: Vec<f32>,
    /// Gradient of `inner`, and its activation once more.
    inner: Vec<f32>,
    wide: Vec<f32>,
    /// Gradient of what attention gives.
    mixed: Vec<f32>,
    /// Gradient of queries, keys and values.
    projections: Vec<f32>,
    /// Sums over the rows of each chunk.
    partials: Vec<f32>,
    /// Scratch for sums over all rows.
    scratch: Vec<f32>,
    /// What each layer whose output is averaged gets from the pool.
    pooled: Vec<f32>,
    /// Words of the last step: whose gradients are not zero.
    words: Vec<u32>,
    /// Whether those of other words are not zero either.
    all_words: bool,
}

impl Work {
    /// Of the next step, all words have a gradient to forget.
    pub(super) fn forget_all_words(&mut self) {
        self.all_words = true;
    }
}

/// Fills the gradients of `trainer.tensors` from that of the features.
pub(super) fn run(trainer: &mut TextTrainer, batch: &TextBatch, gradient: &[f32]) {
    let to_pooled = dense(trainer, batch.len(), gradient);
    prepare(trainer, batch);
    pool(trainer, batch, &to_pooled);
    layers(trainer, batch);
}

/// Likewise from that of the tokens' features after the last layer.
pub(super) fn from_tokens(trainer: &mut TextTrainer, batch: &TextBatch, gradient: &[f32]) {
    prepare(trainer, batch);
    trainer.work.rows[..gradient.len()].copy_from_slice(gradient);
    trainer.work.pooled.clear();
    layers(trainer, batch);
}

fn prepare(trainer: &mut TextTrainer, batch: &TextBatch) {
    let (n, f) = (batch.tokens(), trainer.features);
    let work = &mut trainer.work;
    for rows in [&mut work.rows, &mut work.sum, &mut work.mixed] {
        size(rows, n, f);
    }
    size(&mut work.projections, n, 3 * f);
}

/// Back from the gradient of the last layer's rows, in `work.rows`.
fn layers(trainer: &mut TextTrainer, batch: &TextBatch) {
    let (n, last) = (batch.tokens(), trainer.layers.len());
    let chunks = fixed_chunks(batch);
    for i in (0..last).rev() {
        if i + 1 < last && i + trainer.averaged >= last {
            // The output of this layer also went into the mean.
            let Work { rows, pooled, .. } = &mut trainer.work;
            rows.par_iter_mut().zip(pooled).for_each(|(x, mean)| *x += *mean);
        }
        feed_forward(trainer, &chunks, i);
        attention(trainer, batch, i);
        weights(trainer, n, i);
        inputs(trainer, &chunks, i);
    }
    tables(trainer, batch, &chunks);
}

/// Gradient of the pooled vectors from that of the features; gradients of the fully connected layers.
fn dense(trainer: &mut TextTrainer, n: usize, gradient: &[f32]) -> Vec<f32> {
    let TextTrainer { tensors, saved, work, dense, unit_length, outputs, isa, .. } = trainer;
    let mut gradient = gradient.to_vec();
    if *unit_length {
        let before = saved.vectors[dense.len()].chunks_exact(*outputs);
        let vectors = saved.output.chunks_exact(*outputs).zip(before);
        for (gradient, (output, before)) in gradient.chunks_exact_mut(*outputs).zip(vectors) {
            // y = x/‖x‖: dx = (dy − y·(y·dy))/‖x‖.
            let square: f32 = before.iter().map(|x| x * x).sum();
            let length = square.sqrt().max(1e-12);
            let dot: f32 = output.iter().zip(gradient.iter()).map(|(y, g)| y * g).sum();
            for (g, y) in gradient.iter_mut().zip(output) {
                *g = (*g - y * dot) / length;
            }
        }
    }
    for (i, layer) in dense.iter().enumerate().rev() {
        let (inputs, outputs) = (layer.matrix.forward.inputs(), layer.matrix.forward.outputs());
        layer.act.backward(*isa, &saved.inner[i][..n * outputs], &mut gradient);
        size(&mut gradient, n, outputs);
        let bias = &mut tensors[layer.matrix.bias];
        if bias.learns() {
            bias.gradient.fill(0.0);
            layer.matrix.grad.bias(&gradient[..n * outputs], &mut bias.gradient);
        }
        let weight = &mut tensors[layer.matrix.weight];
        if weight.learns() {
            reserve(&mut work.scratch, layer.matrix.grad.weight_scratch_len(n));
            let input = &saved.vectors[i];
            layer.matrix.grad.weight(n, input, &gradient, &mut work.scratch, &mut weight.gradient);
        }
        let mut before = vec![0.0; n * inputs];
        back(&layer.matrix, n, &gradient[..n * outputs], None, &mut work.scratch, &mut before);
        gradient = before;
    }
    gradient
}

/// `work.rows` from the gradient of the pooled vectors.
fn pool(trainer: &mut TextTrainer, batch: &TextBatch, gradient: &[f32]) {
    let f = trainer.features;
    let TextTrainer { saved, work, pool, layers, averaged, .. } = trainer;
    let states = match averaged {
        0 | 1 => &saved.layers[layers.len()].input,
        _ => &saved.averaged,
    };
    for (range, gradient) in batch.sequences().zip(gradient.chunks_exact(f)) {
        let own = range.start * f..range.end * f;
        let keep = &batch.keep()[range];
        share_out(*pool, keep, &states[own.clone()], gradient, &mut work.rows[own]);
    }
    work.pooled.clear();
    if *averaged > 1 {
        let share = 1.0 / *averaged as f32;
        work.rows.par_iter_mut().for_each(|x| *x *= share);
        work.pooled.extend_from_slice(&work.rows);
    }
}

/// `rows`: what each token of a sequence has in the `gradient` of its vector.
fn share_out(pool: TokenPool, keep: &[bool], states: &[f32], gradient: &[f32], rows: &mut [f32]) {
    let f = gradient.len();
    rows.fill(0.0);
    let scaled = |rows: &mut [f32], scale: f32| {
        for (row, _) in rows.chunks_exact_mut(f).zip(keep).filter(|(_, keep)| **keep) {
            row.iter_mut().zip(gradient).for_each(|(x, g)| *x = g * scale);
        }
    };
    let count = keep.iter().filter(|keep| **keep).count().max(1) as f32;
    match pool {
        TokenPool::Mean => scaled(rows, 1.0 / count),
        TokenPool::MeanSqrtLength => scaled(rows, 1.0 / count.sqrt()),
        TokenPool::First => {
            if let Some(first) = rows.chunks_exact_mut(f).next() {
                first.copy_from_slice(gradient);
            }
        }
        TokenPool::Last => {
            if let Some(at) = keep.iter().rposition(|keep| *keep) {
                rows[at * f..][..f].copy_from_slice(gradient);
            }
        }
        TokenPool::Max => {
            for (k, g) in gradient.iter().enumerate() {
                let mut counted = (0..keep.len()).filter(|&t| keep[t]);
                let Some(mut best) = counted.next() else { return };
                for t in counted {
                    if states[t * f + k] > states[best * f + k] {
                        best = t;
                    }
                }
                rows[best * f + k] = *g;
            }
        }
    }
}

/// Back from the output of layer `i` to what its attention gives; gradients of norms and biases.
fn feed_forward(trainer: &mut TextTrainer, chunks: &[Chunk], i: usize) {
    let (f, isa) = (trainer.features, trainer.isa);
    let TextTrainer { tensors, layers, saved, work, idle, .. } = trainer;
    let layer: &Layer = &layers[i];
    let SavedLayer { sum: sums, inner: inners, total: totals, .. } = &saved.layers[i];
    let hidden = layer.expand.forward.outputs();
    let n = chunks.last().map_or(0, |chunk| chunk.rows.end);
    size(&mut work.inner, n, hidden);
    size(&mut work.wide, n, hidden);
    let widths = [f, f, f, hidden, f, f, f];
    let width: usize = widths.iter().sum();
    work.partials.clear();
    work.partials.resize(chunks.len() * width, 0.0);
    let parts = (
        chunks,
        split(&mut work.rows, chunks, f),
        split(&mut work.sum, chunks, f),
        split(&mut work.inner, chunks, hidden),
        split(&mut work.wide, chunks, hidden),
        split(&mut work.mixed, chunks, f),
        work.partials.par_chunks_exact_mut(width),
    );
    let values: &[Tensor] = tensors;
    parts.into_par_iter().with_max_len(1).for_each(
        |(chunk, rows, d_sum, d_inner, wide, mixed, partials)| {
            let mut held = take(idle);
            let scratch = &mut held.linear;
            let n = chunk.rows.len();
            let own = |saved: &'_ [f32], width: usize| -> std::ops::Range<usize> {
                debug_assert!(saved.len() >= chunk.rows.end * width);
                chunk.rows.start * width..chunk.rows.end * width
            };
            let [norm_weight, norm_bias, shrink, expand, inner_weight, inner_bias, output] =
                cut(partials, widths);
            let total = &totals[own(totals, f)];
            layer.norm.kernel(values).backward(isa, total, rows, norm_weight, norm_bias);
            layer.shrink.grad.bias(rows, shrink);
            let inner = &inners[own(inners, hidden)];
            layer.act.apply_to(isa, inner, wide);
            back(&layer.shrink, n, rows, None, scratch, d_inner);
            layer.act.backward(isa, inner, d_inner);
            layer.expand.grad.bias(d_inner, expand);
            back(&layer.expand, n, d_inner, Some(rows), scratch, d_sum);
            let sum = &sums[own(sums, f)];
            let norm = layer.attention_norm.kernel(values);
            norm.backward(isa, sum, d_sum, inner_weight, inner_bias);
            layer.output.grad.bias(d_sum, output);
            back(&layer.output, n, d_sum, None, scratch, mixed);
            give_back(idle, held);
        },
    );
    let places = [
        layer.norm.weight,
        layer.norm.bias,
        layer.shrink.bias,
        layer.expand.bias,
        layer.attention_norm.weight,
        layer.attention_norm.bias,
        layer.output.bias,
    ];
    add_up(&work.partials, &widths, &places, tensors);
}

/// `dx = dy·W + add`.
fn back(
    matrix: &Matrix,
    rows: usize,
    dy: &[f32],
    add: Option<&[f32]>,
    scratch: &mut Vec<f32>,
    dx: &mut [f32],
) {
    reserve(scratch, matrix.grad.input_scratch_len(rows));
    matrix.grad.input(rows, dy, add, scratch, dx);
}

/// Cuts `values` into parts of these lengths.
fn cut<const N: usize>(values: &mut [f32], lens: [usize; N]) -> [&mut [f32]; N] {
    let mut rest = values;
    lens.map(|len| {
        let (part, other) = std::mem::take(&mut rest).split_at_mut(len);
        rest = other;
        part
    })
}

/// Sums of the chunks, in order, to the gradients at `places`.
fn add_up(partials: &[f32], widths: &[usize], places: &[usize], tensors: &mut [Tensor]) {
    let width: usize = widths.iter().sum();
    let mut first = 0;
    for (&len, &place) in widths.iter().zip(places) {
        let gradient = &mut tensors[place].gradient;
        // Empty where the tensor does not learn.
        gradient.fill(0.0);
        for partial in partials.chunks_exact(width) {
            let part = &partial[first..first + len];
            gradient.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
        first += len;
    }
}

/// `work.projections` from `work.mixed`, sequence by sequence.
fn attention(trainer: &mut TextTrainer, batch: &TextBatch, i: usize) {
    let f = trainer.features;
    let TextTrainer { layers, saved, work, idle, .. } = trainer;
    let attention = layers[i].attention;
    let projections = &saved.layers[i].projections;
    let ranges: Vec<_> = batch.sequences().filter(|range| !range.is_empty()).collect();
    let mut parts = Vec::with_capacity(ranges.len());
    let mut rest = &mut work.projections[..];
    for range in &ranges {
        let (part, other) = rest.split_at_mut(range.len() * 3 * f);
        parts.push(part);
        rest = other;
    }
    let mixed = &work.mixed;
    (ranges, parts).into_par_iter().with_max_len(1).for_each(|(range, output)| {
        let mut held = take(idle);
        let sequence = sequence(batch, Projections { rows: projections, first: 0 }, &range, f);
        reserve(&mut held.attention, attention.backward_scratch_len(range.len()));
        let gradient = &mixed[range.start * f..range.end * f];
        attention.backward(&sequence, gradient, &mut held.attention, output, 3 * f);
        give_back(idle, held);
    });
}

/// Gradients of the matrices of layer `i`.
fn weights(trainer: &mut TextTrainer, n: usize, i: usize) {
    let TextTrainer { tensors, layers, saved, work, .. } = trainer;
    let (layer, saved) = (&layers[i], &saved.layers[i]);
    let mut weight = |matrix: &Matrix, x: &[f32], dy: &[f32]| {
        if !tensors[matrix.weight].learns() {
            return;
        }
        reserve(&mut work.scratch, matrix.grad.weight_scratch_len(n));
        let gradient = &mut tensors[matrix.weight].gradient;
        matrix.grad.weight(n, x, dy, &mut work.scratch, gradient);
    };
    weight(&layer.shrink, &work.wide, &work.rows);
    weight(&layer.expand, &saved.attended, &work.inner);
    weight(&layer.output, &saved.mixed, &work.sum);
    weight(&layer.projections, &saved.input, &work.projections);
}

/// `work.rows` becomes the gradient of the input of layer `i`, where something before it learns;
/// gradient of the projections' bias.
fn inputs(trainer: &mut TextTrainer, chunks: &[Chunk], i: usize) {
    let f = trainer.features;
    let TextTrainer { tensors, layers, work, embed, idle, .. } = trainer;
    let matrix = &layers[i].projections;
    let wanted = i > 0 || embed.is_some();
    work.partials.clear();
    work.partials.resize(chunks.len() * 3 * f, 0.0);
    let parts =
        (chunks, split(&mut work.rows, chunks, f), work.partials.par_chunks_exact_mut(3 * f));
    let (projections, sums) = (&work.projections, &work.sum);
    parts.into_par_iter().with_max_len(1).for_each(|(chunk, rows, bias)| {
        let dy = &projections[chunk.rows.start * 3 * f..chunk.rows.end * 3 * f];
        matrix.grad.bias(dy, bias);
        if wanted {
            let mut held = take(idle);
            let sum = &sums[chunk.rows.start * f..chunk.rows.end * f];
            back(matrix, chunk.rows.len(), dy, Some(sum), &mut held.linear, rows);
            give_back(idle, held);
        }
    });
    add_up(&work.partials, &[3 * f], &[matrix.bias], tensors);
}

/// Gradients of the tables and their norm, token after token.
fn tables(trainer: &mut TextTrainer, batch: &TextBatch, chunks: &[Chunk]) {
    let (n, f, isa) = (batch.tokens(), trainer.features, trainer.isa);
    let TextTrainer { tensors, saved, work, embed: Some(tables), .. } = trainer else { return };
    let rows = &mut work.rows[..n * f];
    if let Some(own) = &tables.norm {
        work.partials.clear();
        work.partials.resize(2 * f, 0.0);
        let (d_weight, d_bias) = work.partials.split_at_mut(f);
        let norm = own.kernel(tensors);
        norm.backward(isa, &saved.embed[..n * f], rows, d_weight, d_bias);
        for (place, sums) in [(own.weight, d_weight), (own.bias, d_bias)] {
            if tensors[place].learns() {
                tensors[place].gradient.copy_from_slice(sums);
            }
        }
    }
    // Of the many words, only those of the last step have a gradient to forget.
    if tensors[tables.words].learns() {
        let words = &mut tensors[tables.words].gradient;
        if std::mem::take(&mut work.all_words) {
            words.fill(0.0);
        }
        for &id in &work.words {
            words[id as usize * f..][..f].fill(0.0);
        }
        work.words.clear();
        work.words.extend_from_slice(batch.ids());
        scatter(f, batch.ids(), rows, words);
    }
    let mut add = |table: usize, ids: &[u32]| {
        if tensors[table].learns() {
            let gradient = &mut tensors[table].gradient;
            gradient.fill(0.0);
            scatter(f, ids, rows, gradient);
        }
    };
    if let Some(types) = tables.types {
        add(types, batch.types());
    }
    let Some(places) = tables.positions else { return };
    let (mut all, mut own) = (Vec::with_capacity(n), Vec::new());
    for chunk in chunks {
        positions(chunk, tables.first_position, &mut own);
        all.extend_from_slice(&own);
    }
    add(places, &all);
}
