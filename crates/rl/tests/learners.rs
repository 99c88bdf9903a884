//! What every learner must keep, looped over the registry.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use offshoot_rl::learn::{LEARNERS, Learner, Snapshot, Start, Task, evaluate};
use offshoot_rl::policy::Policy;
use offshoot_rl::world::{self, Constants};

fn task(seed: u64, steps: u64) -> Task {
    let kind = *world::find("cart-pole").unwrap();
    let constants = Constants::of(&kind, &[]).unwrap();
    Task { kind, constants, seed, steps: Some(steps), start: Start::default() }
}

fn whole(mut learner: Box<dyn Learner>) -> Policy {
    while !learner.is_done() {
        learner.update().unwrap();
    }
    learner.policy().clone()
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    for entry in LEARNERS {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| whole((entry.begin)(&task(3, 4096)).unwrap()))
        };
        let one = on(1);
        assert_eq!(one, on(3), "{}", entry.name);
        let other = whole((entry.begin)(&task(4, 4096)).unwrap());
        assert_ne!(one.actor, other.actor, "{}", entry.name);
    }
}

#[test]
fn training_goes_on_from_a_snapshot_to_the_same_bits() {
    for entry in LEARNERS {
        let task = task(5, 4096);
        let mut learner = (entry.begin)(&task).unwrap();
        for _ in 0..5 {
            learner.update().unwrap();
        }
        let Snapshot { params, state } = learner.snapshot().unwrap();
        // As through a file.
        let state = serde_json::from_str(&state.to_string()).unwrap();
        let mut resumed = (entry.begin)(&task).unwrap();
        resumed.restore(Snapshot { params, state }).unwrap();
        assert_eq!(resumed.steps(), learner.steps());
        assert_eq!(whole(resumed), whole(learner), "{}", entry.name);
    }
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    for entry in LEARNERS {
        let mut learner = (entry.begin)(&task(0, 4096)).unwrap();
        let mut snapshot = learner.snapshot().unwrap();
        let first = snapshot.params.keys().next().unwrap().clone();
        let array = snapshot.params.get_mut(&first).unwrap();
        array.data = array.data[1..].to_vec().into();
        assert!(learner.restore(snapshot).is_err(), "{}", entry.name);
        let mut snapshot = learner.snapshot().unwrap();
        snapshot.state = serde_json::json!({ "updates": "many" });
        assert!(learner.restore(snapshot).is_err(), "{}", entry.name);
    }
}

#[test]
fn cart_pole_is_learnt_within_60000_steps() {
    let task = task(1, 60_000);
    let before = (LEARNERS[0].begin)(&task).unwrap();
    let judge =
        |policy: &Policy| evaluate(policy, &task.kind, &task.constants, 20, (1, 0)).unwrap();
    assert!(judge(before.policy()).mean() < 120.0);
    let learnt = whole(before);
    let mean = judge(&learnt).mean();
    assert!(mean > 300.0, "{mean}");
}

#[test]
fn a_policy_comes_back_from_its_files_and_damaged_ones_are_refused() {
    for entry in LEARNERS {
        let dir = tempfile::tempdir().unwrap();
        let policy = whole((entry.begin)(&task(2, 1024)).unwrap());
        policy.save(dir.path()).unwrap();
        assert_eq!(Policy::load(dir.path()).unwrap(), policy);
        let facts = dir.path().join("policy.json");
        let text = std::fs::read_to_string(&facts).unwrap();
        for (from, to) in [("\"outputs\": 2", "\"outputs\": 3"), ("\"angle\",", ""), ("{", "")] {
            std::fs::write(&facts, text.replacen(from, to, 1)).unwrap();
            assert!(Policy::load(dir.path()).is_err(), "{} {from}", entry.name);
        }
        std::fs::write(&facts, &text).unwrap();
        std::fs::write(dir.path().join("policy.safetensors"), b"no").unwrap();
        assert!(Policy::load(dir.path()).is_err());
    }
}
