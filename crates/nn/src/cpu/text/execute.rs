//! Runs a text plan: chunk by chunk of rows, layer after layer.

use std::ops::Range;

use offshoot_kernels::{Activation, Attention, Clamp, Epilogue, Line, Linear, Sequence, embed};
use rayon::prelude::*;

use super::TextPlan;
use super::lower::{After, Dense, Layer, Wide};
use crate::TextBatch;
use crate::blocks::TokenPool;
use crate::cpu::execute::{give_back, reserve, take};

/// Rows of a chunk at most: their activations stay in a worker's cache while enough rows share
/// every weight that passes by.
const CHUNK_ROWS: usize = 256;

/// A worker's buffers, reused from chunk to chunk.
#[derive(Default)]
pub(super) struct Scratch {
    mixed: Vec<f32>,
    sum: Vec<f32>,
    wide: Vec<f32>,
    wide_lines: Vec<Line>,
    projections: Vec<f32>,
    linear: Vec<f32>,
    attention: Vec<f32>,
    averaged: Vec<f32>,
    positions: Vec<u32>,
}

/// Buffers for all rows of a batch.
#[derive(Default)]
pub(super) struct Whole {
    rows: Vec<f32>,
    /// Queries, keys and values of this layer and of the next.
    projections: [Vec<f32>; 2],
    /// Sum of the last layers' outputs.
    averaged: Vec<f32>,
    /// Vectors of all sequences.
    pooled: Vec<f32>,
}

/// Queries, keys and values side by side, of all rows from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Projections<'a> {
    pub rows: &'a [f32],
    pub first: usize,
}

/// One worker's share of the rows, and where its results go.
struct Task<'a> {
    chunk: &'a Chunk,
    /// `[rows, features]`.
    rows: &'a mut [f32],
    /// `[rows, 3·features]`.
    next: &'a mut [f32],
}

/// Neighbouring rows and the sequences that they belong to.
pub(super) struct Chunk {
    pub rows: Range<usize>,
    pub sequences: Vec<Range<usize>>,
}

/// `output = encoder(batch)`, from `given` rows where the plan has no tables; batch and lengths were
/// checked by the caller.
pub(super) fn run(plan: &TextPlan, batch: &TextBatch, given: Option<&[f32]>, output: &mut [f32]) {
    let (n, features) = (batch.tokens(), plan.features);
    // One or more a worker, of equal size.
    let count = n.div_ceil(CHUNK_ROWS).next_multiple_of(rayon::current_num_threads());
    let size = n.div_ceil(count.max(1));
    let mut whole = take(&plan.whole);
    reserve(&mut whole.rows, n * features);
    if let Some(given) = given {
        whole.rows[..n * features].copy_from_slice(given);
    }
    match whole_sequences(batch, size, rayon::current_num_threads()) {
        Some(chunks) => depth_first(plan, batch, &chunks, &mut whole.rows),
        None => layer_by_layer(plan, batch, &chunks(batch, size), &mut whole),
    }
    let mut pooled = std::mem::take(&mut whole.pooled);
    match plan.after.as_slice() {
        [After::Pool(pool), rest @ ..] => {
            let sequences: Vec<_> = batch.sequences().collect();
            reserve(&mut pooled, batch.len() * features);
            let vectors = pooled[..batch.len() * features].par_chunks_exact_mut(features);
            sequences.into_par_iter().zip(vectors).for_each(|(range, vector)| {
                let rows = &whole.rows[range.start * features..range.end * features];
                token_pool(*pool, rows, &batch.keep()[range], vector);
            });
            pooled.truncate(batch.len() * features);
            for after in rest {
                match after {
                    After::Dense(dense) => pooled = dense_layer(plan, dense, &pooled),
                    _ => pooled.par_chunks_exact_mut(plan.outputs).for_each(unit_length),
                }
            }
            output.copy_from_slice(&pooled);
        }
        _ => output.copy_from_slice(&whole.rows[..n * features]),
    }
    whole.pooled = pooled;
    give_back(&plan.whole, whole);
}

/// A fully connected layer on vectors `[n, inputs]`.
fn dense_layer(plan: &TextPlan, dense: &Dense, vectors: &[f32]) -> Vec<f32> {
    let (inputs, outputs) = (dense.matrix.inputs(), dense.matrix.outputs());
    let mut all = vec![0.0; vectors.len() / inputs * outputs];
    let pairs =
        vectors.par_chunks(inputs * CHUNK_ROWS).zip(all.par_chunks_mut(outputs * CHUNK_ROWS));
    pairs.for_each(|(vectors, output)| {
        let mut scratch = take(&plan.idle);
        apply(&dense.matrix, vectors, Epilogue::NONE, &mut scratch.linear, output);
        give_back(&plan.idle, scratch);
        dense.act.apply(plan.isa, output);
    });
    all
}

/// Whether the output of layer `i` is one of those that are averaged.
fn is_averaged(plan: &TextPlan, i: usize) -> bool {
    plan.averaged > 1 && i + plan.averaged >= plan.layers.len()
}

/// Adds to the sum, which begins with the first layer that is averaged.
fn add_layer(plan: &TextPlan, i: usize, rows: &[f32], sum: &mut [f32]) {
    if i + plan.averaged == plan.layers.len() {
        sum.copy_from_slice(rows);
    } else {
        sum.iter_mut().zip(rows).for_each(|(sum, x)| *sum += x);
    }
}

fn mean_of_layers(plan: &TextPlan, sum: &[f32], rows: &mut [f32]) {
    let share = 1.0 / plan.averaged as f32;
    rows.iter_mut().zip(sum).for_each(|(x, sum)| *x = share * sum);
}

/// Takes each chunk, of whole sequences, through all layers: nothing but weights leaves the cache.
fn depth_first(plan: &TextPlan, batch: &TextBatch, chunks: &[Chunk], rows: &mut [f32]) {
    let features = plan.features;
    let mut rest = rows;
    let mut tasks = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let (own, others) = rest.split_at_mut(chunk.rows.len() * features);
        tasks.push((chunk, own));
        rest = others;
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(chunk, rows)| {
        let mut scratch = take(&plan.idle);
        let mut projections = std::mem::take(&mut scratch.projections);
        reserve(&mut projections, 3 * rows.len());
        embed_chunk(plan, batch, chunk, &mut scratch, rows);
        if plan.averaged > 1 {
            reserve(&mut scratch.averaged, rows.len());
        }
        for (i, layer) in plan.layers.iter().enumerate() {
            let projections = &mut projections[..3 * rows.len()];
            apply(&layer.projections, rows, Epilogue::NONE, &mut scratch.linear, projections);
            let Scratch { mixed, attention, .. } = &mut scratch;
            reserve(mixed, rows.len());
            let from = Projections { rows: projections, first: chunk.rows.start };
            attend(&layer.attention, batch, from, chunk, attention, mixed);
            feed_forward(layer, rows, &mut scratch);
            if is_averaged(plan, i) {
                add_layer(plan, i, rows, &mut scratch.averaged[..rows.len()]);
            }
        }
        if plan.averaged > 1 {
            mean_of_layers(plan, &scratch.averaged, rows);
        }
        scratch.projections = projections;
        give_back(&plan.idle, scratch);
    });
}

/// Takes all rows through one layer after the other, as a sequence that is cut into several chunks
/// demands: every query needs all keys.
fn layer_by_layer(plan: &TextPlan, batch: &TextBatch, chunks: &[Chunk], whole: &mut Whole) {
    let (n, features) = (batch.tokens(), plan.features);
    for projections in &mut whole.projections {
        reserve(projections, n * 3 * features);
    }
    let [mut next, mut current] = whole.projections.each_mut();
    each_chunk(plan, chunks, &mut whole.rows, next, |task, scratch| {
        embed_chunk(plan, batch, task.chunk, scratch, task.rows);
        project(plan.layers.first(), task, scratch);
    });
    for (i, layer) in plan.layers.iter().enumerate() {
        std::mem::swap(&mut next, &mut current);
        let from = Projections { rows: &current[..n * 3 * features], first: 0 };
        each_chunk(plan, chunks, &mut whole.rows, next, |task, scratch| {
            let Scratch { mixed, attention, .. } = scratch;
            reserve(mixed, task.rows.len());
            attend(&layer.attention, batch, from, task.chunk, attention, mixed);
            feed_forward(layer, task.rows, scratch);
            project(plan.layers.get(i + 1), task, scratch);
        });
        if is_averaged(plan, i) {
            reserve(&mut whole.averaged, n * features);
            add_layer(plan, i, &whole.rows[..n * features], &mut whole.averaged[..n * features]);
        }
    }
    if plan.averaged > 1 {
        mean_of_layers(plan, &whole.averaged, &mut whole.rows[..n * features]);
    }
}

/// Neighbouring sequences, about `size` rows at a time; `None` where whole sequences would leave
/// workers without work for long.
fn whole_sequences(batch: &TextBatch, size: usize, workers: usize) -> Option<Vec<Chunk>> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for range in batch.sequences().filter(|range| !range.is_empty()) {
        match chunks.last_mut() {
            // Nearer to the size with it than without it.
            Some(chunk) if chunk.rows.len() + range.len() / 2 <= size => {
                chunk.rows.end = range.end;
                chunk.sequences.push(range);
            }
            _ => chunks.push(Chunk { rows: range.clone(), sequences: vec![range] }),
        }
    }
    // Chunks in order, each to whoever is free.
    let mut busy = vec![0; workers.max(1)];
    for chunk in &chunks {
        if let Some(least) = busy.iter_mut().min() {
            *least += chunk.rows.len();
        }
    }
    let longest = busy.into_iter().max().unwrap_or(0);
    (longest * workers <= batch.tokens() + batch.tokens() / 8).then_some(chunks)
}

/// Cuts the rows into chunks of about `size`, where possible at the end of a sequence: the keys of a
/// sequence in two chunks are packed twice.
pub(super) fn chunks(batch: &TextBatch, size: usize) -> Vec<Chunk> {
    let (n, size) = (batch.tokens(), size.max(1));
    let sequences: Vec<Range<usize>> =
        batch.sequences().filter(|range| !range.is_empty()).collect();
    let mut chunks = Vec::with_capacity(n.div_ceil(size));
    let (mut start, mut first) = (0, 0);
    while start < n {
        let goal = start + size;
        // The sequence in which the goal lies, and its end that is nearer.
        let mut last = first;
        while last < sequences.len() && sequences[last].end < goal {
            last += 1;
        }
        let mut end = goal.min(n);
        if let Some(inside) = sequences.get(last) {
            let near = |place: usize| place > start && place.abs_diff(goal) <= size / 4;
            if near(inside.start) && goal - inside.start <= inside.end - goal {
                end = inside.start;
            } else if near(inside.end) {
                end = inside.end;
            } else if near(inside.start) {
                end = inside.start;
            }
        }
        let covered = sequences[first..].iter().take_while(|range| range.start < end);
        let held: Vec<_> = covered.cloned().collect();
        first += held.iter().filter(|range| range.end <= end).count();
        chunks.push(Chunk { rows: start..end, sequences: held });
        start = end;
    }
    chunks
}

/// Runs `work` on every chunk with its part of `rows` and `next`.
fn each_chunk(
    plan: &TextPlan,
    chunks: &[Chunk],
    rows: &mut [f32],
    next: &mut [f32],
    work: impl Fn(&mut Task<'_>, &mut Scratch) + Sync,
) {
    let mut tasks = Vec::with_capacity(chunks.len());
    let (mut rows, mut next) = (rows, next);
    for chunk in chunks {
        let n = chunk.rows.len() * plan.features;
        let (own_rows, other_rows) = rows.split_at_mut(n);
        let (own_next, other_next) = next.split_at_mut(3 * n);
        tasks.push(Task { chunk, rows: own_rows, next: own_next });
        (rows, next) = (other_rows, other_next);
    }
    tasks.into_par_iter().with_max_len(1).for_each(|mut task| {
        let mut scratch = take(&plan.idle);
        work(&mut task, &mut scratch);
        give_back(&plan.idle, scratch);
    });
}

/// Row of the position table that each of the chunk's tokens takes.
pub(super) fn positions(chunk: &Chunk, first: usize, positions: &mut Vec<u32>) {
    positions.clear();
    for sequence in &chunk.sequences {
        let own = chunk.rows.start.max(sequence.start)..chunk.rows.end.min(sequence.end);
        positions.extend(own.map(|row| (first + row - sequence.start) as u32));
    }
}

fn embed_chunk(
    plan: &TextPlan,
    batch: &TextBatch,
    chunk: &Chunk,
    scratch: &mut Scratch,
    rows: &mut [f32],
) {
    // Else the rows are there.
    let Some(tables) = &plan.embed else { return };
    let (ids, types) = (&batch.ids()[chunk.rows.clone()], &batch.types()[chunk.rows.clone()]);
    let words = (&tables.words[..], ids);
    match &tables.positions {
        None => embed(tables.features, &[words], rows),
        Some(places) => {
            positions(chunk, tables.first_position, &mut scratch.positions);
            let positions = (&places[..], &scratch.positions[..]);
            match &tables.types {
                Some(table) => embed(tables.features, &[words, positions, (table, types)], rows),
                None => embed(tables.features, &[words, positions], rows),
            }
        }
    }
    if let Some(norm) = &tables.norm {
        norm.kernel().apply(plan.isa, rows);
    }
}

/// Queries, keys and values of the next layer, if there is one.
fn project(layer: Option<&Layer>, task: &mut Task<'_>, scratch: &mut Scratch) {
    if let Some(layer) = layer {
        apply(&layer.projections, task.rows, Epilogue::NONE, &mut scratch.linear, task.next);
    }
}

/// `output = linear(input)` for all rows of `input`.
pub(super) fn apply(
    linear: &Linear,
    input: &[f32],
    epilogue: Epilogue<'_>,
    scratch: &mut Vec<f32>,
    output: &mut [f32],
) {
    let rows = input.len() / linear.inputs();
    reserve(scratch, linear.scratch_len(rows));
    linear.run(rows, input, epilogue, scratch, output);
}

/// The sequence of tokens `range`.
pub(super) fn sequence<'a>(
    batch: &'a TextBatch,
    projections: Projections<'a>,
    range: &Range<usize>,
    width: usize,
) -> Sequence<'a> {
    let step = 3 * width;
    let Projections { rows, first } = projections;
    let rows = &rows[(range.start - first) * step..(range.end - first) * step];
    let keep = &batch.keep()[range.clone()];
    Sequence {
        queries: rows,
        keys: &rows[width..],
        values: &rows[2 * width..],
        step,
        tokens: range.len(),
        keep: (!keep.iter().all(|&kept| kept)).then_some(keep),
    }
}

/// Attention of the chunk's rows, to `mixed` `[rows, features]`.
pub(super) fn attend(
    attention: &Attention,
    batch: &TextBatch,
    projections: Projections<'_>,
    chunk: &Chunk,
    scratch: &mut Vec<f32>,
    mixed: &mut [f32],
) {
    let width = attention.width();
    let mut done = 0;
    for range in &chunk.sequences {
        let sequence = sequence(batch, projections, range, width);
        let first = chunk.rows.start.max(range.start) - range.start;
        let queries = first..chunk.rows.end.min(range.end) - range.start;
        reserve(scratch, attention.scratch_len(range.len()));
        let n = queries.len() * width;
        attention.run(&sequence, queries, scratch, &mut mixed[done..done + n]);
        done += n;
    }
}

/// What follows attention in a layer: `rows` and `scratch.mixed` → `rows`.
fn feed_forward(layer: &Layer, rows: &mut [f32], scratch: &mut Scratch) {
    let isa = layer.isa;
    let n = rows.len() / layer.output.outputs();
    let Scratch { mixed, sum, wide, wide_lines, linear, .. } = scratch;
    reserve(sum, rows.len());
    let (mixed, sum) = (&mixed[..rows.len()], &mut sum[..rows.len()]);
    fn plus(residual: &[f32]) -> Epilogue<'_> {
        Epilogue { residual: Some(residual), act: Activation::None }
    }
    apply(&layer.output, mixed, plus(rows), linear, sum);
    layer.attention_norm.kernel().apply(isa, sum);
    match &layer.wide {
        Wide::Values { expand, shrink } => {
            reserve(wide, n * expand.outputs());
            let wide = &mut wide[..n * expand.outputs()];
            apply(expand, sum, Epilogue { residual: None, act: layer.act }, linear, wide);
            apply(shrink, wide, plus(sum), linear, rows);
        }
        Wide::Lines { expand, shrink, hidden } => {
            let len = n * Line::per_pixel(*hidden);
            if wide_lines.len() < len {
                wide_lines.resize(len, Line::ZERO);
            }
            reserve(linear, expand.scratch_len().max(shrink.scratch_len()));
            let finish = (Clamp::NONE, layer.act);
            expand.run_from_values(n, sum, finish, linear, &mut wide_lines[..len]);
            shrink.run_to_values(n, &wide_lines[..len], Some(sum), linear, rows);
        }
    }
    layer.norm.kernel().apply(isa, rows);
}

pub(super) fn token_pool(pool: TokenPool, rows: &[f32], keep: &[bool], output: &mut [f32]) {
    output.fill(0.0);
    let mut counted = rows.chunks_exact(output.len()).zip(keep).filter(|(_, keep)| **keep);
    let mut add_up = |output: &mut [f32]| {
        let mut count = 0;
        for (row, _) in counted.by_ref() {
            output.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            count += 1;
        }
        count.max(1) as f32
    };
    let scale = match pool {
        TokenPool::Mean => 1.0 / add_up(output),
        TokenPool::MeanSqrtLength => 1.0 / add_up(output).sqrt(),
        TokenPool::First => {
            // The first token says what a text is even where a mask leaves it out.
            if let Some(first) = rows.chunks_exact(output.len()).next() {
                output.copy_from_slice(first);
            }
            return;
        }
        TokenPool::Last => {
            if let Some((row, _)) = counted.next_back() {
                output.copy_from_slice(row);
            }
            return;
        }
        TokenPool::Max => {
            if let Some((first, _)) = counted.next() {
                output.copy_from_slice(first);
            }
            for (row, _) in counted {
                // A NaN shows.
                for (largest, &x) in output.iter_mut().zip(row) {
                    if x > *largest || x.is_nan() {
                        *largest = x;
                    }
                }
            }
            return;
        }
    };
    output.iter_mut().for_each(|x| *x *= scale);
}

pub(super) fn unit_length(row: &mut [f32]) {
    let square: f32 = row.iter().map(|x| x * x).sum();
    let scale = 1.0 / square.sqrt().max(1e-12);
    row.iter_mut().for_each(|x| *x *= scale);
}
