//! Runs a text plan: chunk by chunk of rows, layer after layer.

use std::ops::Range;

use offshoot_kernels::{Activation, Epilogue, Linear, Sequence, embed};
use rayon::prelude::*;

use super::TextPlan;
use super::lower::{After, Layer};
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
    linear: Vec<f32>,
    attention: Vec<f32>,
    positions: Vec<u32>,
}

/// Buffers for all rows of a batch.
#[derive(Default)]
pub(super) struct Whole {
    rows: Vec<f32>,
    /// Queries, keys and values of this layer and of the next.
    projections: [Vec<f32>; 2],
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
struct Chunk {
    rows: Range<usize>,
    sequences: Vec<Range<usize>>,
}

/// `output = encoder(batch)`; batch and length were checked by the caller.
pub(super) fn run(plan: &TextPlan, batch: &TextBatch, output: &mut [f32]) {
    let (n, features) = (batch.tokens(), plan.features);
    let chunks = chunks(batch, rayon::current_num_threads());
    let mut whole = take(&plan.whole);
    reserve(&mut whole.rows, n * features);
    for projections in &mut whole.projections {
        reserve(projections, n * 3 * features);
    }
    let [mut next, mut current] = whole.projections.each_mut();
    each_chunk(plan, &chunks, &mut whole.rows, next, |task, scratch| {
        embed_chunk(plan, batch, task.chunk, scratch, task.rows);
        project(plan.layers.first(), task, scratch);
    });
    for (i, layer) in plan.layers.iter().enumerate() {
        std::mem::swap(&mut next, &mut current);
        let from = &current[..n * 3 * features];
        each_chunk(plan, &chunks, &mut whole.rows, next, |task, scratch| {
            attend(layer, batch, from, task.chunk, scratch);
            feed_forward(layer, task.rows, scratch);
            project(plan.layers.get(i + 1), task, scratch);
        });
    }
    match plan.after.split_first() {
        None => output.copy_from_slice(&whole.rows[..n * features]),
        Some((After::UnitLength, _)) => {}
        Some((After::Pool(pool), rest)) => {
            let sequences: Vec<_> = batch.sequences().collect();
            let pairs = sequences.into_par_iter().zip(output.par_chunks_exact_mut(features));
            pairs.for_each(|(range, output)| {
                let rows = &whole.rows[range.start * features..range.end * features];
                token_pool(*pool, rows, &batch.keep()[range], output);
                for _ in rest {
                    unit_length(output);
                }
            });
        }
    }
    give_back(&plan.whole, whole);
}

/// Cuts the rows into chunks of equal size, one or more a worker, where possible at the end of a
/// sequence: the keys of a sequence in two chunks are packed twice.
fn chunks(batch: &TextBatch, workers: usize) -> Vec<Chunk> {
    let n = batch.tokens();
    let count = n.div_ceil(CHUNK_ROWS).next_multiple_of(workers.max(1));
    let size = n.div_ceil(count.max(1)).max(1);
    let sequences: Vec<Range<usize>> =
        batch.sequences().filter(|range| !range.is_empty()).collect();
    let mut chunks = Vec::with_capacity(count);
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

fn embed_chunk(
    plan: &TextPlan,
    batch: &TextBatch,
    chunk: &Chunk,
    scratch: &mut Scratch,
    rows: &mut [f32],
) {
    let tables = &plan.embed;
    scratch.positions.clear();
    for sequence in &chunk.sequences {
        let own = chunk.rows.start.max(sequence.start)..chunk.rows.end.min(sequence.end);
        let position = |row: usize| (tables.first_position + row - sequence.start) as u32;
        scratch.positions.extend(own.map(position));
    }
    let (ids, types) = (&batch.ids()[chunk.rows.clone()], &batch.types()[chunk.rows.clone()]);
    let words = (&tables.words[..], ids);
    let positions = (&tables.positions[..], &scratch.positions[..]);
    match &tables.types {
        Some(table) => embed(tables.features, &[words, positions, (table, types)], rows),
        None => embed(tables.features, &[words, positions], rows),
    }
    tables.norm.kernel().apply(plan.isa, rows);
}

/// Queries, keys and values of the next layer, if there is one.
fn project(layer: Option<&Layer>, task: &mut Task<'_>, scratch: &mut Scratch) {
    if let Some(layer) = layer {
        apply(&layer.projections, task.rows, Epilogue::NONE, &mut scratch.linear, task.next);
    }
}

/// `output = linear(input)` for all rows of `input`.
fn apply(
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

/// Attention of the chunk's rows, to `scratch.mixed`.
fn attend(
    layer: &Layer,
    batch: &TextBatch,
    projections: &[f32],
    chunk: &Chunk,
    scratch: &mut Scratch,
) {
    let width = layer.attention.width();
    let step = 3 * width;
    reserve(&mut scratch.mixed, chunk.rows.len() * width);
    let mut done = 0;
    for range in &chunk.sequences {
        let rows = &projections[range.start * step..range.end * step];
        let keep = &batch.keep()[range.clone()];
        let sequence = Sequence {
            queries: rows,
            keys: &rows[width..],
            values: &rows[2 * width..],
            step,
            tokens: range.len(),
            keep: (!keep.iter().all(|&kept| kept)).then_some(keep),
        };
        let first = chunk.rows.start.max(range.start) - range.start;
        let queries = first..chunk.rows.end.min(range.end) - range.start;
        reserve(&mut scratch.attention, layer.attention.scratch_len(range.len()));
        let n = queries.len() * width;
        let output = &mut scratch.mixed[done..done + n];
        layer.attention.run(&sequence, queries, &mut scratch.attention, output);
        done += n;
    }
}

/// What follows attention in a layer: `rows` and `scratch.mixed` → `rows`.
fn feed_forward(layer: &Layer, rows: &mut [f32], scratch: &mut Scratch) {
    let isa = layer.isa;
    let n = rows.len() / layer.output.outputs();
    let Scratch { mixed, sum, wide, linear, .. } = scratch;
    reserve(sum, rows.len());
    reserve(wide, n * layer.expand.outputs());
    let (mixed, sum) = (&mixed[..rows.len()], &mut sum[..rows.len()]);
    let wide = &mut wide[..n * layer.expand.outputs()];
    fn plus(residual: &[f32]) -> Epilogue<'_> {
        Epilogue { residual: Some(residual), act: Activation::None }
    }
    apply(&layer.output, mixed, plus(rows), linear, sum);
    layer.attention_norm.kernel().apply(isa, sum);
    apply(&layer.expand, sum, Epilogue { residual: None, act: layer.act }, linear, wide);
    apply(&layer.shrink, wide, plus(sum), linear, rows);
    layer.norm.kernel().apply(isa, rows);
}

fn token_pool(pool: TokenPool, rows: &[f32], keep: &[bool], output: &mut [f32]) {
    output.fill(0.0);
    let features = output.len();
    let mut count = 0;
    for (row, _) in rows.chunks_exact(features).zip(keep).filter(|(_, keep)| match pool {
        TokenPool::Mean => **keep,
        TokenPool::First => true,
    }) {
        for (sum, x) in output.iter_mut().zip(row) {
            *sum += x;
        }
        count += 1;
        if pool == TokenPool::First {
            break;
        }
    }
    let scale = 1.0 / count.max(1) as f32;
    output.iter_mut().for_each(|x| *x *= scale);
}

fn unit_length(row: &mut [f32]) {
    let square: f32 = row.iter().map(|x| x * x).sum();
    let scale = 1.0 / square.sqrt().max(1e-12);
    row.iter_mut().for_each(|x| *x *= scale);
}
