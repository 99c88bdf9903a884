//! From finished cells to the document.

use std::collections::BTreeMap;

use offshoot_stats::Probabilities;
use offshoot_stats::metrics::{
    LabelledAnswers, PairedOptions, Reach, accuracy_over_seeds, find, label_equivalent,
    paired_over_seeds,
};

use super::answer;
use super::cell::{Cell, CoursePoint, Outcome};
use super::document::{
    Curve, CurvePoint, Gap, LabelCount, LabelEquivalent, LabelSaving, LeftOut, MatrixCell,
    Relation, TargetReport, TimeToScratch, TransferReport, Verdict,
};
use super::plan::{PIXELS, SCRATCH, is_without_source};
use super::study::Study;
use crate::documents::SCHEMA;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::{Result, TransferError, figures};

/// The cells of one source and method on one target, by level; each level's seeds in order.
type Levels<'a> = BTreeMap<usize, Vec<&'a Outcome>>;

/// A source and a method on a target.
struct Way<'a> {
    model: usize,
    method: usize,
    levels: Levels<'a>,
}

impl Way<'_> {
    /// Mean accuracy on validation at a level.
    fn val(&self, level: usize) -> Option<f64> {
        let outcomes = self.levels.get(&level)?;
        mean(outcomes.iter().map(|outcome| outcome.val_accuracy).collect::<Option<Vec<_>>>()?)
    }
}

fn mean(values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn range(values: &[f64]) -> Option<[f64; 2]> {
    let low = values.iter().copied().min_by(f64::total_cmp)?;
    let high = values.iter().copied().max_by(f64::total_cmp)?;
    Some([low, high])
}

/// The whole document, from the cells alone.
pub fn report(
    study: &Study,
    outcomes: &BTreeMap<Cell, Outcome>,
    left_out: Vec<LeftOut>,
    folder: &RunFolder,
    record: &RunRecord,
) -> Result<TransferReport> {
    let mut targets = Vec::new();
    let mut matrix = Vec::new();
    let mut resamples = 0;
    for number in 0..study.targets.len() {
        let found = OfTarget::new(study, outcomes, number);
        resamples = resamples.max(found.resamples);
        let cells = found.matrix()?;
        targets.push(found.report(&cells)?);
        matrix.extend(cells);
    }
    let answer = answer::whole(&targets, &matrix);
    Ok(TransferReport {
        schema: SCHEMA,
        command: super::COMMAND.into(),
        run: folder.path().into(),
        seconds: outcomes.values().map(|outcome| outcome.seconds).sum(),
        figure: answer.figure,
        headline: answer.headline,
        sentences: answer.sentences,
        targets,
        matrix,
        left_out,
        resamples,
        seeds: study.plan.seeds,
        created: record.created.clone(),
        version: record.version.clone(),
    })
}

/// Everything of one target.
struct OfTarget<'a> {
    study: &'a Study,
    number: usize,
    ways: Vec<Way<'a>>,
    resamples: usize,
}

impl<'a> OfTarget<'a> {
    fn new(study: &'a Study, outcomes: &'a BTreeMap<Cell, Outcome>, number: usize) -> Self {
        let mut found: BTreeMap<(usize, usize), Levels<'a>> = BTreeMap::new();
        for (cell, outcome) in outcomes.iter().filter(|(cell, _)| cell.target == number) {
            let levels = found.entry((cell.model, cell.method)).or_default();
            levels.entry(cell.level).or_default().push(outcome);
        }
        let seeds = study.plan.seeds;
        let mut ways: Vec<Way<'a>> = found
            .into_iter()
            .map(|((model, method), mut levels)| {
                // Seeds are compared in pairs, so a level without some of its seeds does not count.
                levels.retain(|_, outcomes| outcomes.len() == seeds);
                Way { model, method, levels }
            })
            .filter(|way| !way.levels.is_empty())
            .collect();
        ways.sort_by_key(|way| (way.model, way.method));
        let test = ways.first().and_then(|way| way.levels.values().next());
        let test = test.map_or(0, |outcomes| outcomes[0].right.len());
        Self { study, number, ways, resamples: figures::resamples(test) }
    }

    fn method(&self, way: &Way<'_>) -> &str {
        &self.study.plan.methods[way.method]
    }

    fn model(&self, way: &Way<'_>) -> String {
        self.study.plan.models[way.model].clone()
    }

    fn labels(&self, level: usize) -> usize {
        self.study.targets[self.number].ladder.levels[level].labels
    }

    fn seed(&self) -> u64 {
        self.study.plan.training.seed
    }

    fn answers(&self, level: usize, outcomes: &[&Outcome]) -> LabelledAnswers {
        LabelledAnswers {
            labels: self.labels(level) as f64,
            right: outcomes.iter().map(|outcome| outcome.answers()).collect(),
        }
    }

    /// From scratch with the architecture of a way.
    fn scratch(&self, way: &Way<'_>) -> Option<&Way<'a>> {
        let owner = self.study.scratch_of(self.number, way.model);
        self.ways.iter().find(|w| self.method(w) == SCRATCH && w.model == owner)
    }

    fn report(&self, matrix: &[MatrixCell]) -> Result<TargetReport> {
        let target = &self.study.targets[self.number];
        let curves: Result<Vec<Curve>> = self.ways.iter().map(|way| self.curve(way)).collect();
        let mut equivalents = Vec::new();
        let mut savings = Vec::new();
        let mut times = Vec::new();
        for way in self.ways.iter().filter(|way| !is_without_source(self.method(way))) {
            let scratch = self.scratch(way);
            times.extend(scratch.and_then(|scratch| self.time(way, scratch)));
            let pixels = self.ways.iter().find(|way| self.method(way) == PIXELS);
            for other in scratch.into_iter().chain(pixels) {
                equivalents.extend(self.equivalents(way, other)?);
                savings.extend(self.saving(way, other)?);
            }
        }
        let mut report = TargetReport {
            data: target.prepared.dataset.name.clone(),
            classes: target.prepared.dataset.classes.len(),
            labels: target.ladder.pool,
            test: target.prepared.of(offshoot_data::Split::Test).len(),
            notes: target.ladder.notes.clone(),
            curves: curves?,
            equivalents,
            savings,
            times,
            answer: Vec::new(),
        };
        report.answer = answer::of_target(&report, matrix).all();
        Ok(report)
    }

    fn curve(&self, way: &Way<'_>) -> Result<Curve> {
        let ladder = &self.study.targets[self.number].ladder;
        let mut points = Vec::new();
        for (&level, outcomes) in &way.levels {
            let answers = self.answers(level, outcomes);
            let found = accuracy_over_seeds(&answers, self.resamples, self.seed())?;
            let share = |right: &Vec<bool>| {
                right.iter().filter(|r| **r).count() as f64 / right.len().max(1) as f64
            };
            points.push(CurvePoint {
                labels: self.labels(level),
                share: ladder.levels[level].share,
                accuracy: found.value,
                accuracy_ci: [found.low, found.high],
                accuracies: answers.right.iter().map(share).collect(),
                val_accuracy: way.val(level),
                seconds: mean(outcomes.iter().map(|o| o.seconds).collect()).unwrap_or(0.0),
                kept_probe: outcomes.iter().filter(|o| o.kept_probe).count(),
            });
        }
        let method = self.method(way).to_string();
        let model = (method != PIXELS).then(|| self.model(way));
        Ok(Curve { model, method, points })
    }

    fn equivalents(&self, way: &Way<'_>, other: &Way<'_>) -> Result<Vec<LabelEquivalent>> {
        let curve: Vec<LabelledAnswers> =
            other.levels.iter().map(|(&level, o)| self.answers(level, o)).collect();
        let Some((_, full)) = other.levels.last_key_value() else { return Ok(Vec::new()) };
        let mut equivalents = Vec::new();
        for (&level, outcomes) in &way.levels {
            let reached = self.answers(level, outcomes);
            let found = label_equivalent(&curve, &reached, self.resamples, self.seed())?;
            let accuracy = accuracy_over_seeds(&reached, self.resamples, self.seed())?.value;
            let [value, low, high] = [found.value, found.low, found.high].map(count);
            let (over, over_ci) = self.gain(outcomes, full)?;
            equivalents.push(LabelEquivalent {
                model: self.model(way),
                method: self.method(way).into(),
                versus: self.method(other).into(),
                labels: self.labels(level),
                accuracy,
                equivalent: value,
                equivalent_ci: [low, high],
                saved: 1.0 - self.labels(level) as f64 / value.labels,
                over_full: over,
                over_full_ci: over_ci,
            });
        }
        Ok(equivalents)
    }

    /// How many labels `way` needs to be as good as `other` with the most.
    fn saving(&self, way: &Way<'_>, other: &Way<'_>) -> Result<Option<LabelSaving>> {
        let Some((&level, full)) = other.levels.last_key_value() else { return Ok(None) };
        let curve: Vec<LabelledAnswers> =
            way.levels.iter().map(|(&level, o)| self.answers(level, o)).collect();
        let reached = self.answers(level, full);
        let found = label_equivalent(&curve, &reached, self.resamples, self.seed())?;
        let [needed, low, high] = [found.value, found.low, found.high].map(count);
        let all = self.labels(level);
        let saved = |count: LabelCount| match count.relation {
            Relation::MoreThan => 0.0,
            Relation::AtMost | Relation::About => 1.0 - count.labels / all as f64,
        };
        Ok(Some(LabelSaving {
            model: self.model(way),
            method: self.method(way).into(),
            versus: self.method(other).into(),
            versus_labels: all,
            versus_accuracy: accuracy_over_seeds(&reached, self.resamples, self.seed())?.value,
            needed,
            needed_ci: [low, high],
            saved: saved(needed),
            saved_ci: [saved(high), saved(low)],
        }))
    }

    /// Accuracy of `a` minus that of `b`, with its interval.
    fn gain(&self, a: &[&Outcome], b: &[&Outcome]) -> Result<(f64, [f64; 2])> {
        // Right or wrong, as a classifier of two classes whose first is always true.
        let of = |outcomes: &[&Outcome]| -> Result<Vec<Probabilities>> {
            let one = |outcome: &&Outcome| {
                let row = |right| if right { [1.0, 0.0] } else { [0.0, 1.0] };
                let rows = outcome.answers().into_iter().flat_map(row).collect();
                Probabilities::new(2, rows)
                    .ok_or_else(|| TransferError::Internal("answers do not form rows".into()))
            };
            outcomes.iter().map(one).collect()
        };
        let (a, b) = (of(a)?, of(b)?);
        let accuracy = find("accuracy")
            .ok_or_else(|| TransferError::Internal("there is no metric `accuracy`".into()))?;
        let options = PairedOptions { resamples: self.resamples, seed: self.seed() };
        let labels = vec![0; a.first().map_or(0, Probabilities::n)];
        let [a, b]: [Vec<&Probabilities>; 2] = [a.iter().collect(), b.iter().collect()];
        let found = paired_over_seeds(accuracy, &a, &b, &labels, options)?;
        Ok((found.value, [found.low, found.high]))
    }

    /// How soon `way` is as good on validation as scratch at its best, with the most labels of both.
    fn time(&self, way: &Way<'_>, scratch: &Way<'_>) -> Option<TimeToScratch> {
        let level = *way.levels.keys().rfind(|level| scratch.levels.contains_key(level))?;
        let (own, other) = (way.levels.get(&level)?, scratch.levels.get(&level)?);
        let best = |course: &[CoursePoint]| -> Option<CoursePoint> {
            let highest = course.iter().map(|p| p.accuracy).max_by(f64::total_cmp)?;
            course.iter().copied().find(|point| point.accuracy >= highest)
        };
        let bests: Vec<CoursePoint> =
            other.iter().map(|o| best(&o.course)).collect::<Option<Vec<_>>>()?;
        // The same seed divides the labels in the same way, so that both are judged on the same samples.
        let reached: Vec<CoursePoint> = own
            .iter()
            .zip(&bests)
            .filter_map(|(o, best)| {
                o.course.iter().copied().find(|point| point.accuracy >= best.accuracy)
            })
            .collect();
        let of = |points: &[CoursePoint], value: fn(&CoursePoint) -> f64| -> Vec<f64> {
            points.iter().map(value).collect()
        };
        let seconds = of(&reached, |p| p.seconds);
        let epochs = of(&reached, |p| f64::from(p.epoch));
        Some(TimeToScratch {
            model: self.model(way),
            method: self.method(way).into(),
            labels: self.labels(level),
            scratch_best: mean(of(&bests, |p| p.accuracy))?,
            scratch_seconds: mean(of(&bests, |p| p.seconds))?,
            scratch_epochs: mean(of(&bests, |p| f64::from(p.epoch)))?,
            reached: reached.len(),
            seeds: own.len(),
            seconds_range: range(&seconds),
            seconds: mean(seconds),
            epochs_range: range(&epochs),
            epochs: mean(epochs),
            courses: own.iter().map(|o| o.course.clone()).collect(),
            scratch_courses: other.iter().map(|o| o.course.clone()).collect(),
        })
    }

    /// Every source with the method that validation preferred, against what needs no source.
    fn matrix(&self) -> Result<Vec<MatrixCell>> {
        let mut cells = Vec::new();
        for model in 0..self.study.plan.models.len() {
            let with = |way: &&Way<'_>| way.model == model && !is_without_source(self.method(way));
            let owner = self.study.scratch_of(self.number, model);
            let without = |way: &&Way<'_>| {
                self.method(way) == PIXELS || (self.method(way) == SCRATCH && way.model == owner)
            };
            let own: Vec<&Way<'a>> = self.ways.iter().filter(with).collect();
            let others: Vec<&Way<'a>> = self.ways.iter().filter(without).collect();
            // The most labels that every one of them was trained on.
            let all = || own.iter().chain(&others);
            let levels = 0..self.study.targets[self.number].ladder.levels.len();
            let common = levels.rev().find(|l| all().all(|way| way.levels.contains_key(l)));
            let (Some(level), false, false) = (common, own.is_empty(), others.is_empty()) else {
                continue;
            };
            let (Some(with), Some(without)) = (preferred(&own, level), preferred(&others, level))
            else {
                continue;
            };
            let mut by_labels = Vec::new();
            for (&level, outcomes) in &with.levels {
                let Some(other) = without.levels.get(&level) else { continue };
                let (gain, [low, high]) = self.gain(outcomes, other)?;
                let labels = self.labels(level);
                by_labels.push(Gap { labels, gap: -gain, gap_ci: [-high, -low] });
            }
            let labels = self.labels(level);
            let Some(gap) = by_labels.iter().find(|gap| gap.labels == labels).cloned() else {
                continue;
            };
            cells.push(MatrixCell {
                data: self.study.targets[self.number].prepared.dataset.name.clone(),
                model: self.study.plan.models[model].clone(),
                method: self.method(with).into(),
                versus: self.method(without).into(),
                labels,
                gap: gap.gap,
                gap_ci: gap.gap_ci,
                verdict: match gap.gap_ci {
                    [_, high] if high < 0.0 => Verdict::Helps,
                    [low, _] if low > 0.0 => Verdict::Hurts,
                    _ => Verdict::Unclear,
                },
                by_labels,
            });
        }
        Ok(cells)
    }
}

fn count(reach: Reach) -> LabelCount {
    let (relation, labels) = match reach {
        Reach::AtMost(labels) => (Relation::AtMost, labels),
        Reach::About(labels) => (Relation::About, labels),
        Reach::MoreThan(labels) => (Relation::MoreThan, labels),
    };
    LabelCount { relation, labels }
}

/// The best on validation; the first of equals.
fn preferred<'w, 'a>(ways: &[&'w Way<'a>], level: usize) -> Option<&'w Way<'a>> {
    let val = |way: &Way<'_>| way.val(level).unwrap_or(f64::NEG_INFINITY);
    ways.iter().copied().reduce(|best, way| if val(way) > val(best) { way } else { best })
}
