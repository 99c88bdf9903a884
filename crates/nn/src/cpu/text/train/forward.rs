//! The forward pass, which keeps what the backward pass reads.

use offshoot_kernels::{Activation, Epilogue, embed};
use rayon::prelude::*;

use super::{Embed, Layer, Saved, SavedLayer, Scratch, TextTrainer, size};
use crate::cpu::execute::{give_back, reserve, take};
use crate::cpu::text::execute::{
    Chunk, Projections, apply, attend, chunks, positions, token_pool, unit_length,
};
use crate::{Result, TextBatch};

/// Rows of a chunk: an eighth of the batch, between these bounds. No function of the threads, because
/// sums over chunks must not depend on them.
const CHUNK_ROWS: [usize; 2] = [32, 256];

/// The chunks of a batch.
pub(super) fn fixed_chunks(batch: &TextBatch) -> Vec<Chunk> {
    let size = batch.tokens().div_ceil(8).clamp(CHUNK_ROWS[0], CHUNK_ROWS[1]);
    chunks(batch, size)
}

/// `buffer`'s part for each chunk, rows of `width` values.
pub(super) fn split<'a>(
    buffer: &'a mut [f32],
    chunks: &[Chunk],
    width: usize,
) -> Vec<&'a mut [f32]> {
    let mut rest = buffer;
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let (part, other) = rest.split_at_mut(chunk.rows.len() * width);
        parts.push(part);
        rest = other;
    }
    parts
}

/// Fills `trainer.saved`.
pub(super) fn run(
    trainer: &mut TextTrainer,
    batch: &TextBatch,
    rows: Option<&[f32]>,
) -> Result<()> {
    let (n, f) = (batch.tokens(), trainer.features);
    let chunks = fixed_chunks(batch);
    trainer.saved.layers.resize_with(trainer.layers.len() + 1, SavedLayer::default);
    for (saved, layer) in trainer.saved.layers.iter_mut().zip(&trainer.layers) {
        for rows in [
            &mut saved.input,
            &mut saved.mixed,
            &mut saved.sum,
            &mut saved.attended,
            &mut saved.total,
        ] {
            size(rows, n, f);
        }
        size(&mut saved.projections, n, 3 * f);
        size(&mut saved.inner, n, layer.expand.forward.outputs());
    }
    if let Some(last) = trainer.saved.layers.last_mut() {
        size(&mut last.input, n, f);
    }
    first_rows(trainer, batch, &chunks, rows)?;
    for i in 0..trainer.layers.len() {
        layer(trainer, batch, &chunks, i);
    }
    Ok(())
}

/// The first layer's input, where it is not given, and its queries, keys and values.
fn first_rows(
    trainer: &mut TextTrainer,
    batch: &TextBatch,
    chunks: &[Chunk],
    rows: Option<&[f32]>,
) -> Result<()> {
    let (n, f, isa) = (batch.tokens(), trainer.features, trainer.isa);
    let TextTrainer { tensors, prefix, embed: tables, layers, saved, idle, .. } = trainer;
    let idle = &*idle;
    let tables: &Option<Embed> = tables;
    let SavedLayer { input, projections, .. } = &mut saved.layers[0];
    match (rows, prefix) {
        (Some(rows), _) => input[..n * f].copy_from_slice(rows),
        (None, Some(prefix)) => prefix.features(batch, &mut input[..n * f])?,
        (None, None) => {}
    }
    size(&mut saved.embed, n, f);
    let first_layer = layers.first();
    let width = first_layer.map_or(0, |_| 3 * f);
    let parts = (
        chunks,
        split(&mut saved.embed, chunks, f),
        split(input, chunks, f),
        split(projections, chunks, width),
    );
    parts.into_par_iter().with_max_len(1).for_each(|(chunk, sums, input, projections)| {
        if let Some(Embed { words, positions: places, first_position, types, norm }) = tables {
            let mut rows = Vec::new();
            positions(chunk, *first_position, &mut rows);
            let table = |i: &usize| &tensors[*i].value[..];
            let own = chunk.rows.clone();
            let mut all = vec![(table(words), &batch.ids()[own.clone()])];
            all.extend(places.as_ref().map(|places| (table(places), &rows[..])));
            all.extend(types.as_ref().map(|types| (table(types), &batch.types()[own])));
            embed(f, &all, sums);
            match norm {
                Some(norm) => norm.kernel(tensors).apply_to(isa, sums, input),
                None => input.copy_from_slice(sums),
            }
        }
        let Some(first) = first_layer else { return };
        let mut scratch = take(idle);
        apply(&first.projections.forward, input, Epilogue::NONE, &mut scratch.linear, projections);
        give_back(idle, scratch);
    });
    Ok(())
}

/// Layer `i`, and the queries, keys and values of the next.
fn layer(trainer: &mut TextTrainer, batch: &TextBatch, chunks: &[Chunk], i: usize) {
    let (f, isa) = (trainer.features, trainer.isa);
    let TextTrainer { tensors, layers, saved, idle, .. } = trainer;
    let layer: &Layer = &layers[i];
    let next_layer = layers.get(i + 1);
    let hidden = layer.expand.forward.outputs();
    let (before, after) = saved.layers.split_at_mut(i + 1);
    let SavedLayer { input, projections, mixed, sum, attended, inner, total } = &mut before[i];
    let next = &mut after[0];
    let next_width = next_layer.map_or(0, |_| 3 * f);
    let parts = (
        chunks,
        split(mixed, chunks, f),
        split(sum, chunks, f),
        split(attended, chunks, f),
        split(inner, chunks, hidden),
        split(total, chunks, f),
        split(&mut next.input, chunks, f),
        split(&mut next.projections, chunks, next_width),
    );
    parts.into_par_iter().with_max_len(1).for_each(
        |(chunk, mixed, sum, attended, inner, total, next, next_projections)| {
            let mut scratch = take(idle);
            let Scratch { attention, linear, wide } = &mut scratch;
            attend(
                &layer.attention,
                batch,
                Projections { rows: projections, first: 0 },
                chunk,
                attention,
                mixed,
            );
            let input = &input[chunk.rows.start * f..chunk.rows.end * f];
            apply(&layer.output.forward, mixed, plus(input), linear, sum);
            layer.attention_norm.kernel(tensors).apply_to(isa, sum, attended);
            apply(&layer.expand.forward, attended, Epilogue::NONE, linear, inner);
            reserve(wide, inner.len());
            let wide = &mut wide[..inner.len()];
            layer.act.apply_to(isa, inner, wide);
            apply(&layer.shrink.forward, wide, plus(attended), linear, total);
            layer.norm.kernel(tensors).apply_to(isa, total, next);
            if let Some(layer) = next_layer {
                let projections = &layer.projections.forward;
                apply(projections, next, Epilogue::NONE, linear, next_projections);
            }
            give_back(idle, scratch);
        },
    );
}

fn plus(residual: &[f32]) -> Epilogue<'_> {
    Epilogue { residual: Some(residual), act: Activation::None }
}

/// Fills `trainer.saved` from the pool on.
pub(super) fn vectors(trainer: &mut TextTrainer, batch: &TextBatch) {
    average(trainer, batch);
    let (f, n, isa) = (trainer.features, batch.len(), trainer.isa);
    let TextTrainer { saved, pool, dense, unit_length: scale, layers, averaged, idle, .. } =
        trainer;
    let rows = match averaged {
        0 | 1 => &saved.layers[layers.len()].input,
        _ => &saved.averaged,
    };
    saved.vectors.resize_with(dense.len() + 1, Vec::new);
    saved.inner.resize_with(dense.len(), Vec::new);
    size(&mut saved.vectors[0], n, f);
    for (range, vector) in batch.sequences().zip(saved.vectors[0].chunks_exact_mut(f)) {
        let rows = &rows[range.start * f..range.end * f];
        token_pool(*pool, rows, &batch.keep()[range], vector);
    }
    for (i, layer) in dense.iter().enumerate() {
        let (inputs, outputs) = (layer.matrix.forward.inputs(), layer.matrix.forward.outputs());
        let (before, after) = saved.vectors.split_at_mut(i + 1);
        let inner = &mut saved.inner[i];
        size(inner, n, outputs);
        size(&mut after[0], n, outputs);
        let rows = CHUNK_ROWS[0];
        let parts = before[i][..n * inputs]
            .par_chunks(inputs * rows)
            .zip(inner[..n * outputs].par_chunks_mut(outputs * rows))
            .zip(after[0][..n * outputs].par_chunks_mut(outputs * rows));
        parts.for_each(|((input, inner), output)| {
            let mut scratch = take(idle);
            apply(&layer.matrix.forward, input, Epilogue::NONE, &mut scratch.linear, inner);
            give_back(idle, scratch);
            layer.act.apply_to(isa, inner, output);
        });
    }
    saved.output.clear();
    saved.output.extend_from_slice(&saved.vectors[dense.len()][..n * trainer.outputs]);
    if *scale {
        saved.output.chunks_exact_mut(trainer.outputs).for_each(unit_length);
    }
}

/// `saved.averaged`, where several layers are averaged.
fn average(trainer: &mut TextTrainer, batch: &TextBatch) {
    let (n, last, layers) = (batch.tokens(), trainer.averaged, trainer.layers.len());
    if last < 2 {
        return;
    }
    let Saved { averaged, layers: kept, .. } = &mut trainer.saved;
    averaged.clear();
    averaged.resize(n * trainer.features, 0.0);
    let share = 1.0 / last as f32;
    for layer in &kept[layers + 1 - last..=layers] {
        averaged.par_iter_mut().zip(&layer.input).for_each(|(sum, x)| *sum += x);
    }
    averaged.par_iter_mut().for_each(|sum| *sum *= share);
}
