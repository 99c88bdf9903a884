//! The features of one entrant, and what scores make of them.

use std::collections::BTreeMap;
use std::time::Instant;

use offshoot_data::{Sample, Split};
use offshoot_stats::scores::{Evidence, Score};
use offshoot_stats::{Matrix, Probabilities};

use super::RankPlan;
use super::contest::{self, Entrant};
use crate::cache::Cache;
use crate::encoder::EncoderFacts;
use crate::extract::extract;
use crate::prepare::Prepared;
use crate::regularize::classify;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, layers, precision};

/// One line of the ranking on its way.
#[derive(Debug, Clone)]
pub struct Line {
    pub entrant: Entrant,
    /// Of a text encoder, where layers are ranked.
    pub shape: Option<EncoderFacts>,
    /// `[readable samples, dim]`.
    pub rows: Matrix,
    /// What the source's own classifier says, where the weights hold one.
    pub answers: Option<Probabilities>,
    /// Which of the samples that were asked for the rows are of.
    pub readable: Vec<usize>,
    pub name: String,
    pub weights: usize,
    pub licence: Option<String>,
    pub trained_on: Option<String>,
    pub seconds_features: f64,
    pub seconds_scores: f64,
    pub scores: BTreeMap<&'static str, Option<f64>>,
}

impl Line {
    /// Layer and pooling, or size.
    pub fn variant(&self) -> Option<String> {
        let layer = self.shape.as_ref().map(layers::words);
        layer.or_else(|| self.entrant.size.map(|size| format!("{size} pixels")))
    }

    /// Flags with which other commands take this line.
    pub fn flags(&self) -> Vec<String> {
        match (&self.shape, self.entrant.size) {
            (Some(facts), _) => layers::flags(facts),
            (None, Some(size)) => vec!["--size".into(), size.to_string()],
            (None, None) => Vec::new(),
        }
    }
}

/// Who is asked, and about what.
pub struct Setting<'a> {
    pub plan: &'a RankPlan,
    pub prepared: &'a Prepared,
    pub cache: &'a Cache,
}

impl Setting<'_> {
    /// The features of an entrant for `samples` of the data; one line, or one for each layer and pooling.
    ///
    /// # Errors
    /// Whatever keeps the entrant out of the ranking.
    pub fn features(
        &self,
        entrant: &Entrant,
        samples: &[usize],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Line>> {
        let started = Instant::now();
        let all = &self.prepared.dataset.samples;
        let mut source = contest::open(entrant, self.plan)?;
        precision::settle(&mut source, self.plan.precision, all, watch)?;
        let shapes = contest::shapes(entrant, &source, self.plan)?;
        let chosen: Vec<Sample> = samples.iter().map(|&i| all[i].clone()).collect();
        let line = |shape: Option<EncoderFacts>, rows: Matrix, readable: &[usize]| Line {
            entrant: entrant.clone(),
            shape,
            answers: answers(&source, &rows),
            rows,
            readable: readable.to_vec(),
            name: source.name.clone(),
            weights: contest::weights(&source, entrant.reference),
            licence: source.facts.licence.clone(),
            trained_on: source.trained_on.clone(),
            seconds_features: 0.0,
            seconds_scores: 0.0,
            scores: BTreeMap::new(),
        };
        let batch = self.plan.batch;
        let mut lines = Vec::new();
        if shapes.is_empty() {
            let found = extract(&chosen, &source, self.cache, batch, Phase::Extract, watch)?;
            let readable = found.readable();
            lines.push(line(None, found.gather(&readable)?, &readable));
        } else {
            let (wide, pools) = layers::spread(&source, &shapes)?;
            let found = extract(&chosen, &wide, self.cache, batch, Phase::Extract, watch)?;
            let readable = found.readable();
            for facts in shapes {
                let rows = layers::rows_of(&found, &facts, &pools, &readable)?;
                let rows = Matrix::new(readable.len(), facts.features, rows);
                let rows = rows
                    .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
                lines.push(line(Some(facts), rows, &readable));
            }
        }
        // What one pass computed is shared by all that came out of it.
        let seconds = started.elapsed().as_secs_f64() / lines.len().max(1) as f64;
        lines.iter_mut().for_each(|line| line.seconds_features = seconds);
        Ok(lines)
    }

    /// Labels of `samples`, which all have one.
    pub fn labels(&self, samples: &[usize]) -> Vec<u32> {
        let all = &self.prepared.dataset.samples;
        samples.iter().filter_map(|&i| all[i].label).collect()
    }

    pub fn n_classes(&self) -> usize {
        self.prepared.dataset.classes.len()
    }

    /// Training samples in an order of which every beginning has the classes' shares, drawn by the seed.
    pub fn training(&self) -> Vec<usize> {
        let train = self.prepared.of(Split::Train);
        let order =
            offshoot_random::permutation(train.len(), self.plan.seed, "samples that rank", 0);
        let labels = self.labels(&train);
        let mut counts = vec![0.0f64; self.n_classes()];
        labels.iter().for_each(|&y| counts[y as usize] += 1.0);
        let mut seen = vec![0.0; self.n_classes()];
        let mut keyed: Vec<(f64, usize)> = order
            .into_iter()
            .map(|at| {
                let class = labels[at] as usize;
                seen[class] += 1.0;
                ((seen[class] - 0.5) / counts[class], train[at])
            })
            .collect();
        // Stable, so that the draw settles equals.
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        keyed.into_iter().map(|(_, i)| i).collect()
    }
}

/// Keeps the samples that every line could read, and returns which those are.
pub fn align(lines: &mut [Line]) -> Vec<usize> {
    let Some(first) = lines.first() else { return Vec::new() };
    let mut common = first.readable.clone();
    for line in lines.iter() {
        common.retain(|i| line.readable.binary_search(i).is_ok());
    }
    for line in lines.iter_mut().filter(|line| line.readable.len() > common.len()) {
        let places: Vec<usize> =
            (0..line.readable.len()).filter(|&at| common.contains(&line.readable[at])).collect();
        line.rows = Matrix::gather(line.rows.rows(), &places);
        line.answers = line.answers.as_ref().map(|answers| answers.gather(&places));
        line.readable.clone_from(&common);
    }
    common
}

/// Adds `scores` to a line; what a score lacks is null, with the reason in the log.
///
/// # Errors
/// Features that are not finite.
pub fn score(
    line: &mut Line,
    labels: &[u32],
    n_classes: usize,
    scores: &[&'static Score],
    watch: &mut Watch<'_>,
) -> Result<()> {
    let started = Instant::now();
    // On one of the pool's threads: from outside, each of the solver's many small loops is handed over and waited for.
    let values = watch.listening(|_| {
        rayon::scope(|_| {
            let rows = line.rows.rows();
            let evidence = Evidence::new(rows, labels, n_classes, line.answers.as_ref())?;
            let values = scores.iter().map(|score| score.of(&evidence)).collect::<Vec<_>>();
            Ok::<_, TransferError>(values)
        })
    })??;
    for (score, value) in scores.iter().zip(values) {
        if let Err(reason) = &value {
            watch.note(&format!("{}: {reason}", line.name))?;
        }
        line.scores.insert(score.name, value.ok());
    }
    line.seconds_scores += started.elapsed().as_secs_f64();
    Ok(())
}

/// What the source's own classifier says of each row.
fn answers(source: &Source, rows: &Matrix) -> Option<Probabilities> {
    let (recipe, params) = source.network.as_ref()?;
    let head = recipe.head.as_ref()?;
    let get = |field| params.get(&format!("{}.{field}", head.key));
    let (weight, bias) = (&get("weight")?.data, &get("bias")?.data);
    let rows = rows.rows();
    if bias.is_empty() || weight.len() != bias.len() * rows.d() || rows.d() == 0 {
        return None;
    }
    let logits = rows.data().chunks_exact(rows.d()).flat_map(|row| classify(weight, bias, row));
    Probabilities::softmax(bias.len(), logits.map(f64::from).collect())
}
