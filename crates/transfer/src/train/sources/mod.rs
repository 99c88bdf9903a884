//! Several sources side by side: which of them harm, and how much each of the others counts.
//!
//! Features of every source are scaled to a common variance on the training split. A source harms where the
//! same head, fitted without it, is right more often on samples that cross-validation or validation held out,
//! beyond chance; it is left out, the worst first, and the others are looked at again. Weights are chosen for
//! those that stay. The test split has no part in it: it is opened afterwards ([`Told::judge`]).

pub mod document;

use std::sync::Arc;
use std::time::Instant;

use offshoot_data::Split;
use offshoot_stats::metrics::{holm, normal_test, sign_test};
use offshoot_stats::multi_source::{self, Kernels, Weighting};
use offshoot_stats::{Matrix, moments};

use super::probe::Probe;
use crate::extract::Extraction;
use crate::guard::document::SourceGap;
use crate::guard::evidence::{Evidence, Lead};
use crate::guard::gap::{LEVEL, gap};
use crate::head::Care;
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::rank::AUTO;
use crate::report::words::{count, points};
use crate::source::{self, Part, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};
use document::SourceReport;

/// Of a standard error, for an interval of 95 %.
const WIDTH: f64 = 1.959_964;
/// Share of the time that is left which may go into asking what each source is worth.
const SHARE: f64 = 0.3;
/// Sources, at most: what each is worth takes a fit without it.
const MOST: usize = 16;

/// Refuses what several sources cannot do, before any work.
pub fn check_plan(plan: &TrainPlan) -> Result<()> {
    weighting(plan)?;
    let names = source::names(&plan.model);
    if names.len() < 2 {
        return Ok(());
    }
    let refuse = |what: String, hint: &str| Err(TransferError::usage(what, hint));
    if names.len() > MOST {
        return refuse(
            format!("{} sources side by side: at most {MOST}", names.len()),
            "`offshoot rank` says which are worth it",
        );
    }
    if names.iter().any(|name| name.is_empty() || *name == AUTO) {
        return refuse(
            format!("`{}` does not name a source between all commas", plan.model),
            "--model A,B,C names each; `auto` stands by itself",
        );
    }
    let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    if let Some((_, name)) = twice {
        return refuse(format!("`{name}` is named twice"), "a source beside itself adds nothing");
    }
    if plan.method != Method::PROBE {
        return refuse(
            format!(
                "`--method {}` tunes one network, and --model names several",
                plan.method.name()
            ),
            "several sources keep their weights: `--method probe`; or name one model",
        );
    }
    let of_one = [
        ("--layer", plan.layer.is_some()),
        ("--pooling", plan.pooling.is_some()),
        ("--adapt-mlm", plan.adapt_mlm.is_some()),
        ("a teacher", plan.distill.is_some()),
    ];
    match of_one.iter().find(|(_, given)| *given) {
        Some((what, _)) => {
            refuse(format!("{what} is for one source, and --model names several"), "name one model")
        }
        None => Ok(()),
    }
}

fn weighting(plan: &TrainPlan) -> Result<&'static Weighting> {
    multi_source::find(&plan.weighting).ok_or_else(|| {
        let known: Vec<&str> = multi_source::all().iter().map(|w| w.name).collect();
        TransferError::usage(
            format!("unknown weighting `{}`", plan.weighting),
            format!("there are {}", known.join(", ")),
        )
    })
}

/// What is known of several sources before the test split is opened.
pub struct Told {
    /// In the order in which they were named.
    pub reports: Vec<SourceReport>,
    /// All of them with the weight 1, and all but each one.
    all: Option<Fit>,
    without: Vec<Fit>,
}

/// Some of the sources, and a head on their features.
struct Fit {
    extraction: Extraction,
    probe: Probe,
}

/// One source's harm.
struct Harm {
    value: f64,
    ci: [f64; 2],
    /// By how much the log-loss is lower without it, where heads are likelihoods.
    loss: Option<Lead>,
    p: f64,
    n: usize,
}

impl Harm {
    /// How far the head without the source is ahead of the one with it, by right answers and by log-losses: few
    /// samples change sides where a source blurs what the others tell, but all of them become less sure.
    fn of(without: (&Evidence, &[Option<f64>]), with: (&Evidence, &[Option<f64>])) -> Self {
        let lead = without.0.lead(with.0);
        let (wins, losses) = without.0.disagreements(with.0);
        let margin = WIDTH * lead.error;
        let pairs = with.1.iter().zip(without.1);
        let loss = Lead::of(pairs.filter_map(|(with, without)| Some((*with)? - (*without)?)));
        let loss = Some(loss).filter(|loss| loss.n > 1);
        let by_answers = 2.0 * sign_test(wins, losses).min(sign_test(losses, wins));
        let p = match loss {
            Some(loss) => 2.0 * by_answers.min(normal_test(loss.share / loss.error)),
            None => by_answers,
        };
        Self {
            value: lead.share,
            ci: [lead.share - margin, lead.share + margin],
            loss,
            p: p.min(1.0),
            n: lead.n,
        }
    }

    /// Surely, and not by one of both while the other says that it helps.
    fn is_harmful(&self) -> bool {
        let less_sure = self.loss.is_some_and(|loss| loss.share > WIDTH * loss.error);
        self.p < LEVEL && self.value >= 0.0 && (self.ci[0] > 0.0 || less_sure)
    }
}

/// Everything that fits of heads share.
struct Weigher<'a> {
    plan: &'a TrainPlan,
    prepared: &'a Prepared,
    extraction: &'a Extraction,
    /// Of each source, so that its features have the variance 1 in all.
    scales: Vec<f32>,
    /// When there is no more time for it.
    until: Option<Instant>,
}

/// Leaves out the sources that harm, and weighs the others. A single source stays as it is.
pub fn weigh(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: Source,
    extraction: Extraction,
    watch: &mut Watch<'_>,
) -> Result<(Source, Extraction, Option<Told>)> {
    if source.parts.is_empty() {
        return Ok((source, extraction, None));
    }
    let parts: Vec<Part> = source.parts.to_vec();
    // A source that stays alone is taken out of the whole.
    drop(source);
    let names: Vec<&str> = parts.iter().map(|part| part.source.name.as_str()).collect();
    let (scales, kept, weights, mut told) =
        watch.phase(Phase::Weigh, Some(parts.len()), |watch| {
            let weigher = Weigher::new(plan, prepared, &extraction, watch)?;
            let mut told = Told {
                reports: names.iter().map(|name| SourceReport::new(name)).collect(),
                all: None,
                without: Vec::new(),
            };
            let kept = weigher.without_harm(&mut told, watch)?;
            let weights = weigher.weights(&kept)?;
            Ok((weigher.scales, kept, weights, told))
        })?;
    told.reports.iter_mut().for_each(|report| report.weight = 0.0);
    for (&at, &weight) in kept.iter().zip(&weights) {
        told.reports[at].weight = weight;
        if weight == 0.0 {
            told.reports[at].left_out = Some("weight".into());
            watch.note(&format!("`{}` adds nothing to the others: it is left out", names[at]))?;
        }
    }
    let staying: Vec<(usize, f32)> = kept
        .iter()
        .zip(&weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(&at, &weight)| (at, (f64::from(scales[at]) * weight) as f32))
        .collect();
    let shown: Vec<String> = kept
        .iter()
        .zip(&weights)
        .map(|(&at, weight)| format!("`{}` {weight:.2}", names[at]))
        .collect();
    watch.note(&format!("weights of sources ({}): {}", plan.weighting, shown.join(", ")))?;
    if let [(only, _)] = staying.as_slice() {
        let part = parts.into_iter().nth(*only);
        let source = part.and_then(|part| Arc::into_inner(part.source)).ok_or_else(|| {
            TransferError::Internal("the one source that stays is held elsewhere".into())
        })?;
        return Ok((source, extraction.select(&[*only], &[1.0]), Some(told)));
    }
    let (kept, scales): (Vec<usize>, Vec<f32>) = staying.into_iter().unzip();
    let joined = kept.iter().zip(&scales).map(|(&at, &scale)| Part { scale, ..parts[at].clone() });
    let source = source::join(joined.collect())?;
    Ok((source, extraction.select(&kept, &scales), Some(told)))
}

impl<'a> Weigher<'a> {
    fn new(
        plan: &'a TrainPlan,
        prepared: &'a Prepared,
        extraction: &'a Extraction,
        watch: &Watch<'_>,
    ) -> Result<Self> {
        let train = prepared.of(Split::Train);
        let scale = |at: usize| -> Result<f32> {
            let rows = extraction.select(&[at], &[1.0]).gather(&train)?;
            let means = moments::means(rows.rows());
            let variance: f64 = moments::mean_squares(rows.rows(), &means).iter().sum();
            // What says the same of every sample has nothing to be scaled.
            let scale = if variance > 0.0 { variance.sqrt().recip() as f32 } else { 0.0 };
            Ok(if scale.is_finite() { scale } else { 0.0 })
        };
        let scales = (0..extraction.widths().len()).map(scale).collect::<Result<_>>()?;
        let left = |time: f64| {
            std::time::Duration::from_secs_f64((SHARE * (time - watch.spent())).max(0.0))
        };
        let until = plan.finetune.time.map(|time| Instant::now() + left(time));
        Ok(Self { plan, prepared, extraction, scales, until })
    }

    fn late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// A head on some of the sources, fitted on the training split.
    fn fit(&self, sources: &[usize], care: Care, watch: &mut Watch<'_>) -> Result<Fit> {
        let scales: Vec<f32> = sources.iter().map(|&at| self.scales[at]).collect();
        let extraction = self.extraction.select(sources, &scales);
        let plan = TrainPlan { refit: false, ..self.plan.clone() };
        let until = (care, self.until);
        let probe = Probe::fit_with(&plan, self.prepared, &extraction, until, watch)?;
        Ok(Fit { extraction, probe })
    }

    /// The sources that do no harm; what each is worth goes into `told`.
    fn without_harm(&self, told: &mut Told, watch: &mut Watch<'_>) -> Result<Vec<usize>> {
        let mut kept: Vec<usize> = (0..self.scales.len()).collect();
        let lambda = self.fit(&kept, Care::Brief, watch)?.probe.lambda;
        let room = |sources: &[usize]| {
            let widths = self.extraction.widths();
            sources.iter().map(|&at| widths[at]).sum::<usize>() as f64 / sources.len() as f64
        };
        // Heads share as much variance as there are features among the sources, so a source that stays has more
        // of it, or less, once another is gone. The strength follows, so that each is held as firmly as before and
        // the one that is gone is all that differs.
        let whole = room(&kept);
        let care = |sources: &[usize]| {
            lambda.map_or(Care::Whole, |lambda| Care::At(lambda * room(sources) / whole))
        };
        while kept.len() > 1 {
            let with = self.fit(&kept, care(&kept), watch)?;
            let mut without = Vec::with_capacity(kept.len());
            for left in 0..kept.len() {
                if self.late() {
                    watch.warn("the time does not allow to ask which of the sources harm")?;
                    return Ok(kept);
                }
                let others: Vec<usize> =
                    kept.iter().copied().filter(|&at| at != kept[left]).collect();
                without.push(self.fit(&others, care(&others), watch)?);
                watch.progress(Phase::Weigh, left + 1, kept.len(), 0)?;
            }
            let all = (&with.probe.evidence, with.probe.losses.as_slice());
            let mut harms: Vec<Harm> = without
                .iter()
                .map(|Fit { probe, .. }| Harm::of((&probe.evidence, &probe.losses), all))
                .collect();
            let adjusted = holm(&harms.iter().map(|harm| harm.p).collect::<Vec<_>>());
            harms.iter_mut().zip(adjusted).for_each(|(harm, p)| harm.p = p);
            for (&at, harm) in kept.iter().zip(&harms) {
                let report = &mut told.reports[at];
                report.harm = Some(harm.value);
                report.harm_ci = Some(harm.ci);
                report.harm_log_loss = harm.loss.map(|loss| loss.share);
                report.harm_p = Some(harm.p);
                report.harm_samples = harm.n;
            }
            if told.all.is_none() {
                (told.all, told.without) = (Some(with), without);
            }
            let harmful = (0..kept.len()).filter(|&i| harms[i].is_harmful());
            let worse = |&a: &usize, &b: &usize| {
                let order = harms[a].value.total_cmp(&harms[b].value);
                let loss = |i: usize| harms[i].loss.map_or(0.0, |loss| loss.share);
                order.then(loss(a).total_cmp(&loss(b)))
            };
            let Some(worst) = harmful.max_by(worse) else {
                break;
            };
            let (at, harm) = (kept.remove(worst), &harms[worst]);
            told.reports[at].left_out = Some("harm".into());
            let loss = harm.loss.map_or_else(String::new, |loss| {
                format!(" and the log-loss is {:.3} lower", loss.share)
            });
            watch.warn(format!(
                "source `{}` harms: without it {} of {} held-out samples are right{loss} (p = {:.1e}); it is left out",
                told.reports[at].model,
                points(harm.value),
                count(harm.n),
                harm.p
            ))?;
        }
        Ok(kept)
    }

    /// A weight for each of these sources.
    fn weights(&self, kept: &[usize]) -> Result<Vec<f64>> {
        if kept.len() < 2 {
            return Ok(vec![1.0; kept.len()]);
        }
        let weighting = weighting(self.plan)?;
        let (samples, seed) = (&self.prepared.dataset.samples, self.plan.seed);
        let train = self.prepared.of(Split::Train);
        let labels: Vec<u32> = train.iter().filter_map(|&i| samples[i].label).collect();
        let drawn = multi_source::drawn(&labels, seed);
        let places: Vec<usize> = drawn.iter().map(|&i| train[i]).collect();
        let labels: Vec<u32> = drawn.iter().map(|&i| labels[i]).collect();
        let each: Vec<Matrix> = kept
            .iter()
            .map(|&at| self.extraction.select(&[at], &[1.0]).gather(&places))
            .collect::<Result<_>>()?;
        let rows: Vec<_> = each.iter().map(Matrix::rows).collect();
        let kernels = Kernels::new(&rows, &labels, self.prepared.dataset.classes.len(), seed)?;
        Ok(weighting.of(&kernels)?)
    }
}

impl Told {
    /// Opens the test split for all sources and for all but each one: the negative-transfer gap of each.
    pub fn judge(
        &mut self,
        plan: &TrainPlan,
        prepared: &Prepared,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<SourceGap>> {
        let Some(Fit { extraction, probe }) = &mut self.all else { return Ok(Vec::new()) };
        let with = probe.evaluate(plan, prepared, extraction, watch)?;
        let mut gaps = Vec::with_capacity(self.without.len());
        for (Fit { extraction, probe }, report) in self.without.iter_mut().zip(&self.reports) {
            let without = probe.evaluate(plan, prepared, extraction, watch)?;
            let gap = gap(&with.probabilities, &without.probabilities, &with.labels, plan.seed)?;
            gaps.push(SourceGap { source: report.model.clone(), gap });
        }
        Ok(gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(wrong: impl Fn(usize) -> bool) -> Evidence {
        let val = (0..200).map(|i| !wrong(i)).collect();
        Evidence { train: Vec::new(), val }
    }

    #[test]
    fn harm_is_what_is_right_without_a_source_and_needs_proof() {
        let with = right(|i| i % 5 == 0);
        let without = right(|i| i % 20 == 0);
        let none: &[Option<f64>] = &[];
        let of = |without: &Evidence, with: &Evidence| Harm::of((without, none), (with, none));
        let harm = of(&without, &with);
        assert!((harm.value - 0.15).abs() < 1e-12 && harm.n == 200);
        assert!(harm.is_harmful() && harm.ci[0] > 0.08 && harm.ci[1] < 0.22);
        assert!(!of(&with, &without).is_harmful());
        // Two samples are no proof, and neither is a tie.
        assert!(!of(&right(|i| i > 1 && i % 5 == 0), &with).is_harmful());
        assert!(!of(&with, &with).is_harmful());
    }

    #[test]
    fn a_source_that_makes_all_less_sure_harms_though_none_changes_sides() {
        let same = right(|i| i % 5 == 0);
        let losses = |more: f64| -> Vec<Option<f64>> {
            (0..200).map(|i| Some(0.4 + more + 0.01 * f64::from(i % 7))).collect()
        };
        let noisy: Vec<Option<f64>> =
            losses(0.05).into_iter().zip(0..).map(|(l, i)| Some(l? + [0.1, -0.1][i % 2])).collect();
        let (clear, noisy) = (losses(0.0), noisy);
        let harm = Harm::of((&same, &clear), (&same, &noisy));
        assert!(harm.is_harmful() && harm.value == 0.0, "p = {}", harm.p);
        assert!(!Harm::of((&same, &noisy), (&same, &clear)).is_harmful());
        // More right answers outweigh that they are less sure.
        assert!(!Harm::of((&right(|i| i % 4 == 0), &clear), (&same, &noisy)).is_harmful());
    }
}
