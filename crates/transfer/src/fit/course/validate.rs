//! What validation says of an epoch, and which weights are kept.

use std::time::Instant;

use offshoot_nn::Params;
use offshoot_stats::Rows;
use offshoot_stats::heads::Head;

use super::average::Candidate;
use super::{Course, Room};
use crate::fit::averaging::Kind;
use crate::fit::checkpoint::Best;
use crate::fit::head::LinearHead;
use crate::fit::judge::Verdict;
use crate::fit::learner::load_head;
use crate::fit::strategy::Objective;
use crate::monitor::Record;
use crate::{Result, TransferError, head};

impl Course<'_, '_, '_> {
    /// Validates and keeps the best.
    pub(super) fn judge(&mut self, room: &mut Room<'_>, started: Instant) -> Result<()> {
        let begun = Instant::now();
        if room.phase.objective == Objective::Pairs {
            self.fit_head(room)?;
        }
        let weights = room.pupil.learner.trained();
        let Candidate { weights: trained, average, averaged } = self.candidate(room, &weights)?;
        let verdict = self.judged(&trained, room)?;
        // From here on nothing can stop: what was found is taken over as a whole.
        self.judging = self.judging.max(begun.elapsed().as_secs_f64());
        self.trained = weights;
        self.extras = room.pupil.learner.extras();
        self.settled = true;
        self.state.averaged = averaged;
        if let Some(average) = average {
            self.average = average;
        }
        let judged = verdict.as_ref().map(|verdict| verdict.judged);
        let right = verdict.as_ref().map(|verdict| verdict.right.clone());
        let min_delta = self.setting.settings.min_delta;
        let top = self.state.top.as_ref();
        let setting = self.setting;
        let best = verdict.as_ref().is_some_and(|new| {
            top.is_none_or(|top| room.judge.is_better(new.judged, top.judged, min_delta))
        });
        // Who stops early asks for the best; else what is as good and later has learnt at lower rates.
        let whole = min_delta == 0.0 && self.setting.settings.patience == 0;
        let as_good = |new: &Verdict| whole && top.is_some_and(|top| new.is_as_good(top));
        // Without anybody to judge, the last are the best. Labelled samples cannot judge what is aligned with
        // others: it may give away a little of the source for much of the target.
        let last = setting.job.alignment.is_some();
        let keep = best || last || verdict.as_ref().is_none_or(as_good);
        self.state.last = judged.map(|judged| judged.metric);
        self.state.stale = if best || judged.is_none() { 0 } else { self.state.stale + 1 };
        if let (true, Some(judged)) = (keep, judged) {
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
        }
        if best {
            self.state.top = verdict;
        }
        if let (Some(probe), Some(now)) = (&self.setting.guarded, &right) {
            let planned = self.state.planned.iter().sum();
            let stop = self.state.looks.look(planned, probe, now, self.state.kept.as_deref());
            self.refused = self.refused.take().or(stop);
        }
        if keep {
            self.state.kept = right;
            // The mean of products is no product of means: averaged weights leave no adapter.
            let plain = self.setting.average == Kind::None;
            self.factors = if plain { room.pupil.learner.factors() } else { Params::new() };
            self.best = trained;
        }
        if self.setting.average == Kind::Soup {
            self.set_aside(judged)?;
        }
        let [loss, n] = self.state.loss;
        let metric = &self.setting.settings.watch;
        self.journal.tell(Record::Epoch {
            phase: self.told_as(&room.phase),
            epoch: self.state.epochs as u32,
            step: self.steps_told(),
            seconds: started.elapsed().as_secs_f64(),
            train_loss: loss / n.max(1.0),
            train_metric: (metric == "accuracy").then(|| self.state.right as f64 / n.max(1.0)),
            val_loss: judged.map(|j| j.loss),
            val_metric: judged.map(|j| j.metric),
            metric: metric.clone(),
            best: keep,
        })
    }

    /// Fits the head anew on what the network makes of the training samples now.
    fn fit_head(&mut self, room: &mut Room<'_>) -> Result<()> {
        let setting = self.setting;
        let params = setting.whole(&room.pupil.learner.trained());
        let features = room.judge.features(&params, &setting.train, &room.inputs, self.watch)?;
        let dim = setting.recipe.feature_dim;
        if features.iter().any(|v| !v.is_finite()) {
            // The judge finds the same, and keeps other weights.
            return Ok(());
        }
        let rows = Rows::new(setting.train.len(), dim, &features)
            .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
        let fitted = self.watch.listening(|stop| {
            let request = head::Request::of(setting.job.plan, setting.classes).until(stop);
            let request = head::Request { name: "logistic", ..request };
            head::fit(&request, rows, &setting.labels)
        })??;
        if let Head::Linear(linear) = fitted.head {
            room.pupil.learner.head = LinearHead::from_linear(&linear);
        }
        Ok(())
    }

    /// What `trained` comes to on validation.
    pub(super) fn judged(&mut self, trained: &Params, room: &Room<'_>) -> Result<Option<Verdict>> {
        let mut head = self.setting.first_head()?;
        load_head(&mut head, trained)?;
        room.judge.judge(&self.setting.whole(trained), &head, &room.inputs, self.watch)
    }
}
