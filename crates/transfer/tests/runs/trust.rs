use offshoot_transfer::{
    EvalPlan, HeldOut, Method, PredictInput, PredictPlan, Prediction, TrainPlan, evaluate, predict,
    train, verify,
};

use super::data::*;

fn predictions(run: &std::path::Path, promised: f64, place: &Place) -> Vec<Prediction> {
    let plan =
        PredictPlan { run: run.into(), columns: Default::default(), top: 1, promised, batch: 4 };
    let mut rows = Vec::new();
    let input = PredictInput::Paths(vec![place.path("data/down")]);
    let report = predict(&plan, input, &mut (), &mut |batch| {
        rows.extend_from_slice(batch);
        Ok(())
    });
    assert!(report.unwrap().sets);
    rows
}

/// Frozen or tuned, refitted or not: what is promised rests on samples that were held out, is written down,
/// and says the same when it is read back.
#[test]
fn sets_and_alarms_go_with_the_run() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 30, 0);
    for (method, refit, held_out) in [
        ("probe", true, HeldOut::Folds),
        ("probe", false, HeldOut::Validation),
        ("full", true, HeldOut::ValidationBefore),
        ("full", false, HeldOut::Validation),
    ] {
        let mut plan = TrainPlan { refit, val: Some(0.25), ..place.plan() };
        plan.method = Method::find(method).unwrap();
        plan.finetune.epochs = Some(2);
        let report = train(&plan, &mut ()).unwrap();
        let (sets, alarms) = (report.sets.unwrap(), report.alarms.unwrap());
        let told = format!("{method}, refit {refit}: {sets:?}, {alarms:?}");
        assert_eq!(sets.held_out, held_out, "{told}");
        let [train, val] = ["train", "val"].map(|split| report.splits[split]);
        let expected = if held_out == HeldOut::Folds { train + val } else { val };
        // What is tuned once more has no alarm from so few samples that it had not seen before.
        let told_of_strange = if held_out == HeldOut::ValidationBefore { 0 } else { expected };
        assert_eq!((sets.calibration, alarms.calibration), (expected, told_of_strange), "{told}");
        assert_eq!(sets.sizes.iter().sum::<usize>(), report.splits["test"], "{told}");
        assert_eq!(alarms.promised > 0.0, told_of_strange > 0, "{told}");
        assert!(alarms.promised < 0.2 && !alarms.detectors.is_empty());
        verify(&report.run, &mut ()).unwrap();

        // The same pictures give the same sets when the run is read back.
        let data = place.path("data");
        let eval = EvalPlan {
            run: report.run.clone(),
            data,
            columns: Default::default(),
            require: Default::default(),
            batch: 4,
            cache: plan.cache.clone(),
        };
        let judged = evaluate(&eval, &mut ()).unwrap().sets.unwrap();
        assert_eq!((judged.held_out, judged.calibration), (held_out, expected));
        let [few, usual, all] =
            [0.5, 0.9, 0.9999].map(|promised| predictions(&report.run, promised, &place));
        for ((few, usual), all) in few.iter().zip(&usual).zip(&all) {
            let [few, usual, all] = [few, usual, all].map(|p| p.set.clone().unwrap());
            assert!(few.iter().all(|c| usual.contains(c)), "{few:?} and {usual:?}");
            assert_eq!(all.len(), 3, "so few samples cannot promise 99.99 %");
        }
        assert!(usual.iter().all(|p| p.set.as_ref().and_then(|s| s.first()) == p.label.as_ref()));
    }
}

#[test]
fn without_validation_nothing_is_promised_where_nothing_can_be_held_out() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let plan = TrainPlan { val: Some(0.0), ..place.plan() };
    let report = train(&plan, &mut ()).unwrap();
    assert_eq!(report.sets, None);
    assert_eq!(report.alarms.unwrap().share, 0.0);
    let plan = PredictPlan {
        run: report.run,
        columns: Default::default(),
        top: 1,
        promised: 1.5,
        batch: 4,
    };
    let input = PredictInput::Paths(vec![place.path("data/down")]);
    assert_eq!(predict(&plan, input, &mut (), &mut |_| Ok(())).unwrap_err().exit_code(), 2);
}
