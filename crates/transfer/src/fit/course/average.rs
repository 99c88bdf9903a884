//! Averages of weights as candidates for what is kept.

use std::collections::BTreeMap;

use offshoot_nn::Params;
use offshoot_weights::Precision;

use super::{Course, Room, batches};
use crate::fit::averaging::{self, Kind};
use crate::fit::checkpoint::{Best, Checkpoint, Ingredient};
use crate::fit::judge::{Judgement, Verdict};
use crate::fit::learner::head_params;
use crate::{Result, durable};

/// Batches over which the statistics of averaged weights are taken.
const STATISTICS_BATCHES: usize = 20;
/// Share of a batch in running statistics while training.
const NORM_MOMENTUM: f64 = 0.1;

/// Weights that may be kept after an epoch.
pub(super) struct Candidate {
    pub weights: Params,
    /// The average as it is now, where this epoch changed it.
    pub average: Option<Params>,
    /// Weights in it.
    pub averaged: u64,
}

impl Course<'_, '_, '_> {
    /// The weights that may be kept after this epoch: `trained`, or an average.
    pub(super) fn candidate(&mut self, room: &mut Room<'_>, trained: &Params) -> Result<Candidate> {
        let setting = self.setting;
        let epochs = self.state.planned.iter().sum();
        let averaged = self.state.averaged;
        let plain = |weights: Params| Candidate { weights, average: None, averaged };
        match setting.average {
            Kind::Ema if averaged > 0 => {
                let weights = self.with_statistics(room, self.average.clone())?;
                Ok(plain(weights))
            }
            kind @ Kind::Swa if kind.takes_epoch(self.state.epochs as usize, epochs) => {
                let mut average = self.average.clone();
                averaging::join(&mut average, trained, averaged + 1);
                let weights = self.with_statistics(room, average.clone())?;
                Ok(Candidate { weights, average: Some(average), averaged: averaged + 1 })
            }
            Kind::WiseFt => self.way(room, trained).map(plain),
            _ => Ok(plain(trained.clone())),
        }
    }

    /// The best point on the way from the first weights to `trained` by validation.
    fn way(&mut self, room: &Room<'_>, trained: &Params) -> Result<Params> {
        let mut first = self.begun_with(trained);
        first.extend(head_params(&self.setting.first_head()?));
        let at = |share: f64| {
            let mut point = first.clone();
            averaging::blend(&mut point, trained, share);
            point
        };
        let mut best: Option<(Params, Judgement)> = None;
        for share in averaging::SHARES.into_iter().chain([1.0]) {
            let point = at(share);
            let Some(Verdict { judged, .. }) = self.judged(&point, room)? else {
                return Ok(at(averaging::USUAL_SHARE));
            };
            if best.as_ref().is_none_or(|(_, old)| room.judge.is_better(judged, *old, 0.0)) {
                best = Some((point, judged));
            }
        }
        Ok(best.map_or_else(|| trained.clone(), |(point, _)| point))
    }

    /// The first values of the network's tensors among `keys`.
    fn begun_with(&self, keys: &Params) -> Params {
        let first = self.setting.params.iter().filter(|(key, _)| keys.contains_key(*key));
        first.map(|(key, array)| (key.clone(), array.clone())).collect()
    }

    /// Sets the weights after this epoch aside for the soup.
    pub(super) fn set_aside(&mut self, judged: Option<Judgement>) -> Result<()> {
        let epoch = self.state.epochs;
        let path = Checkpoint::ingredient(&self.setting.place, epoch);
        if let Some(folder) = path.parent() {
            durable::create_dir(folder)?;
        }
        let sha256 = durable::write_params(&path, &self.trained, &BTreeMap::new(), Precision::F32)?;
        self.state.ingredients.retain(|other| other.epoch != epoch);
        self.state.ingredients.push(Ingredient { epoch, judged, sha256 });
        Ok(())
    }

    /// The greedy soup (Wortsman et al. 2022, arXiv:2203.05482, recipe 1): epochs join in the order of
    /// their metric on validation, the best first, each where validation does not suffer. Without
    /// validation all of them join.
    pub(super) fn stir(&mut self, room: &mut Room<'_>) -> Result<()> {
        if self.state.ingredients.len() < 2 {
            return Ok(());
        }
        let stirred = self.stirred(room);
        if matches!(stirred, Err(crate::TransferError::Stopped { .. })) {
            self.save(&mut room.pupil.learner)?;
        }
        let Some((soup, verdict, joined)) = stirred? else { return Ok(()) };
        let of = self.state.ingredients.len();
        self.watch.note(&format!("the soup is the mean of {joined} of {of} epochs"))?;
        if let Some(verdict) = verdict {
            let judged = verdict.judged;
            // The weights that tuning began with are in no soup, and may be better than any.
            let top = self.state.top.as_ref();
            let worse = top.is_some_and(|top| {
                !room.judge.is_better(judged, top.judged, 0.0) && !verdict.is_as_good(top)
            });
            if worse {
                return Ok(());
            }
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
            self.state.kept = Some(verdict.right.clone());
            self.state.top = Some(verdict);
        }
        self.best = soup;
        Ok(())
    }

    fn stirred(&mut self, room: &mut Room<'_>) -> Result<Option<(Params, Option<Verdict>, u64)>> {
        let mut order = self.state.ingredients.clone();
        order.sort_by(|a, b| {
            let better = |a: &Ingredient, b: &Ingredient| match (a.judged, b.judged) {
                (Some(a), Some(b)) => room.judge.is_better(a, b, 0.0),
                _ => false,
            };
            better(b, a).cmp(&better(a, b))
        });
        let mut soup: Option<(Params, Option<Verdict>, u64)> = None;
        for ingredient in order {
            if soup.is_some() && self.is_out_of_time() {
                break;
            }
            let Some(weights) = self.ingredient(&ingredient)? else { continue };
            let Some((mean, so_far, joined)) = &soup else {
                let verdict = self.judged(&weights, room)?;
                soup = Some((weights, verdict, 1));
                continue;
            };
            // What was frozen in an earlier phase has its first values there.
            let (mut mixed, mut weights) = (mean.clone(), weights);
            for (key, array) in self.begun_with(&weights) {
                mixed.entry(key).or_insert(array);
            }
            for (key, array) in self.begun_with(&mixed) {
                weights.entry(key).or_insert(array);
            }
            averaging::join(&mut mixed, &weights, joined + 1);
            let mixed = self.with_statistics(room, mixed)?;
            let verdict = self.judged(&mixed, room)?;
            let suffers = match (so_far, &verdict) {
                (Some(old), Some(new)) => room.judge.is_better(old.judged, new.judged, 0.0),
                _ => false,
            };
            if !suffers {
                soup = Some((mixed, verdict, joined + 1));
            }
        }
        Ok(soup)
    }

    /// Weights that were set aside; `None`, and a warning, where their file is not what it was.
    fn ingredient(&mut self, ingredient: &Ingredient) -> Result<Option<Params>> {
        let path = Checkpoint::ingredient(&self.setting.place, ingredient.epoch);
        match offshoot_weights::read(&path) {
            Ok(read) if read.sha256 == ingredient.sha256 => Ok(Some(read.params)),
            _ => {
                let path = path.display();
                self.watch
                    .warn(format!("{path}: changed since it was written; not in the soup"))?;
                Ok(None)
            }
        }
    }

    /// `weights` with the running statistics that belong to them, where statistics move at all: the
    /// mean over batches of the training split.
    fn with_statistics(&mut self, room: &mut Room<'_>, weights: Params) -> Result<Params> {
        let Room { inputs, pupil, .. } = room;
        if !pupil.learner.moves_statistics() {
            return Ok(weights);
        }
        let now = pupil.learner.trained();
        pupil.learner.load(&weights)?;
        let view = inputs.view(self.state.epochs.saturating_sub(1));
        let mut told = Ok(());
        for (k, drawn) in batches(self.setting, 0).iter().take(STATISTICS_BATCHES).enumerate() {
            told = self.watch.ask();
            if told.is_err() {
                break;
            }
            let samples = [drawn.samples.as_slice(), &drawn.target].concat();
            pupil.learner.set_norm_momentum(1.0 / (k + 1) as f64);
            pupil.learner.forward(&inputs.batch(&samples, view)?, samples.len(), None)?;
        }
        pupil.learner.set_norm_momentum(NORM_MOMENTUM);
        let settled = pupil.learner.trained();
        pupil.learner.load(&now)?;
        told.map(|()| settled)
    }
}
