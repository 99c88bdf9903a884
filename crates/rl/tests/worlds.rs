//! What holds for every world of the registry.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::{Generator, generator};
use offshoot_rl::world::{
    Action, Actions, Batch, Constants, Kind, Spec, WORLDS, World, Worlds, find, parse_settings,
};
use rand::RngExt;

/// Any action of a world, now and then one beyond its bounds.
enum Drawn {
    Discrete(usize),
    Continuous(Vec<f32>),
}

impl Drawn {
    fn of(spec: &Spec, draws: &mut Generator) -> Self {
        match &spec.actions {
            Actions::Discrete(names) => Self::Discrete(draws.random_range(0..names.len())),
            Actions::Continuous(dimensions) => Self::Continuous(
                dimensions.iter().map(|d| 1.2 * draws.random_range(d.low..d.high)).collect(),
            ),
        }
    }

    fn action(&self) -> Action<'_> {
        match self {
            Self::Discrete(place) => Action::Discrete(*place),
            Self::Continuous(values) => Action::Continuous(values),
        }
    }
}

fn defaults(kind: &Kind) -> Constants {
    Constants::of(kind, &[]).unwrap()
}

fn seen(world: &dyn World) -> Vec<f32> {
    let mut observation = vec![f32::NAN; world.spec().observation.len()];
    world.observe(&mut observation);
    observation
}

#[test]
fn names_are_sorted_unique_and_found() {
    let names: Vec<&str> = WORLDS.iter().map(|kind| kind.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
    for kind in WORLDS {
        assert_eq!(find(kind.name).unwrap().name, kind.name);
        assert_eq!(kind.make(&[]).unwrap().spec().name, kind.name);
        assert!(!kind.summary.is_empty() && !kind.paper.is_empty());
        let spec = kind.make(&[]).unwrap().spec().clone();
        if let Some(size) = spec.picture {
            assert_eq!(size.iter().product::<usize>(), spec.observation.len(), "{}", kind.name);
        } else {
            let mut names: Vec<&str> = spec.observation.iter().map(|d| d.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), spec.observation.len(), "{}", kind.name);
        }
        assert!(!spec.actions.is_empty());
    }
    let message = find("moon-lander").err().unwrap().to_string();
    assert!(message.contains("`moon-lander`") && message.contains("`cart-pole`"), "{message}");
}

#[test]
fn what_is_seen_lies_within_bounds_whatever_is_done() {
    for kind in WORLDS {
        let mut world = kind.make(&[]).unwrap();
        let spec = world.spec().clone();
        let mut draws = generator(3, "test", 0, 0);
        let mut ends = 0;
        for episode in 0..20 {
            world.reset(&mut generator(3, "world", episode, 0));
            for step in 0..spec.limit {
                let action = Drawn::of(&spec, &mut draws);
                let outcome = world.step(action.action());
                assert!(outcome.reward.is_finite());
                for (value, d) in seen(world.as_ref()).iter().zip(&spec.observation) {
                    assert!(
                        (d.low..=d.high).contains(value),
                        "{}, step {step}: {} is {value}",
                        kind.name,
                        d.name
                    );
                }
                if outcome.terminated {
                    ends += 1;
                    break;
                }
            }
        }
        println!("{}: {ends} of 20 episodes ended by themselves", kind.name);
    }
}

#[test]
fn a_state_that_is_set_goes_on_to_the_same_bits() {
    for kind in WORLDS {
        let (mut one, mut other) = (kind.make(&[]).unwrap(), kind.make(&[]).unwrap());
        let spec = one.spec().clone();
        let mut draws = generator(5, "test", 0, 0);
        one.reset(&mut generator(5, "world", 0, 0));
        for _ in 0..7 {
            one.step(Drawn::of(&spec, &mut draws).action());
        }
        other.set_state(&one.state()).unwrap();
        assert_eq!(seen(one.as_ref()), seen(other.as_ref()), "{}", kind.name);
        for _ in 0..50 {
            let action = Drawn::of(&spec, &mut draws);
            let (a, b) = (one.step(action.action()), other.step(action.action()));
            assert_eq!(a, b, "{}", kind.name);
            assert_eq!(one.state(), other.state(), "{}", kind.name);
            if a.terminated {
                break;
            }
        }
        let mut short = one.state();
        short.pop();
        assert!(other.set_state(&short).is_err(), "{}", kind.name);
        let mut broken = one.state();
        broken[0] = f64::NAN;
        assert!(other.set_state(&broken).is_err(), "{}", kind.name);
    }
}

#[test]
fn first_states_differ_and_are_drawn_by_their_key() {
    for kind in WORLDS {
        let mut world = kind.make(&[]).unwrap();
        let mut begin = |seed| {
            world.reset(&mut generator(seed, "world", 0, 0));
            world.state()
        };
        assert_eq!(begin(1), begin(1), "{}", kind.name);
        let all: Vec<Vec<f64>> = (0..20).map(&mut begin).collect();
        assert!(all.iter().any(|state| *state != all[0]), "{}", kind.name);
    }
}

#[test]
fn constants_are_asked_by_name_and_range() {
    for kind in WORLDS {
        let message = kind.make(&[("no_such".into(), 1.0)]).err().unwrap().to_string();
        assert!(message.contains("`no_such`"), "{message}");
        for constant in kind.constants {
            assert!(message.contains(&format!("`{}`", constant.name)), "{message}");
            assert!(!constant.summary.is_empty());
            let range = constant.low..=constant.high;
            assert!(range.contains(&constant.default), "{} {}", kind.name, constant.name);
            for bad in [constant.low - 1.0, constant.high + 1.0, f64::NAN, f64::INFINITY] {
                let refused = kind.make(&[(constant.name.into(), bad)]).err();
                let message = refused.expect("outside of its range").to_string();
                assert!(message.contains(constant.name) && message.contains(kind.name));
            }
        }
    }
}

/// Every constant that is listed must do something: its world, set to one of its bounds, does not do what the
/// default does, be it in what is seen, in rewards, ends, first states or bounds.
#[test]
fn every_constant_changes_its_world() {
    for kind in WORLDS {
        for constant in kind.constants {
            let changed = [constant.low, constant.high].into_iter().any(|value| {
                match kind.make(&[(constant.name.into(), value)]) {
                    Ok(world) => course(world) != course(kind.make(&[]).unwrap()),
                    // A bound that other constants do not allow is refused in words.
                    Err(_) => false,
                }
            });
            assert!(changed, "{}: `{}` changes nothing", kind.name, constant.name);
        }
    }
}

/// The bounds of a world and what happens in it.
fn course(mut world: Box<dyn World>) -> (Spec, Vec<Vec<f64>>) {
    let spec = world.spec().clone();
    let mut draws = generator(9, "test", 0, 0);
    let mut told = Vec::new();
    for episode in 0..30 {
        world.reset(&mut generator(9, "world", episode, 0));
        // Long pulls to one side: random ones would leave most worlds where they begin.
        for step in 0..spec.limit.min(300) {
            if step % 20 == 0 {
                draws = generator(9, "pull", episode, u64::from(step / 20));
            }
            let outcome = world.step(Drawn::of(&spec, &mut draws.clone()).action());
            let mut line: Vec<f64> = seen(world.as_ref()).into_iter().map(f64::from).collect();
            line.extend([outcome.reward, f64::from(u8::from(outcome.terminated))]);
            told.push(line);
            if outcome.terminated {
                break;
            }
        }
    }
    (spec, told)
}

#[test]
fn settings_are_read_as_typed() {
    let read = parse_settings(&["gravity=15", "length = 1.5"]).unwrap();
    assert_eq!(read, [("gravity".to_owned(), 15.0), ("length".to_owned(), 1.5)]);
    for bad in ["gravity", "gravity=", "gravity=high"] {
        let message = parse_settings(&[bad]).unwrap_err().to_string();
        assert!(message.contains(&format!("`{bad}`")), "{message}");
    }
    let kind = find("cart-pole").unwrap();
    let changed = Constants::of(kind, &read).unwrap();
    assert_eq!(defaults(kind).changed(&changed), [("gravity", 9.8, 15.0), ("length", 0.5, 1.5)]);
}

/// All that `steps` steps of `n` worlds show, with random actions.
fn history(kind: &Kind, n: usize, steps: u64, seed: u64) -> Vec<u32> {
    let mut worlds = Worlds::new(kind, &defaults(kind), n, seed).unwrap();
    let mut told = Vec::new();
    for step in 0..steps {
        drive(&mut worlds, step);
        told.extend(worlds.observations().iter().map(|v| v.to_bits()));
        for (i, stepped) in worlds.stepped().iter().enumerate() {
            told.push((stepped.reward as f32).to_bits());
            if let Some(finished) = stepped.finished {
                let seen = worlds.spec().observation.len();
                told.extend(worlds.finals()[i * seen..][..seen].iter().map(|v| v.to_bits()));
                told.push(finished.length);
            }
        }
    }
    told
}

/// A step with actions that only its number draws.
fn drive(worlds: &mut Worlds, step: u64) {
    let spec = worlds.spec().clone();
    let n = worlds.len();
    let drawn: Vec<Drawn> =
        (0..n).map(|i| Drawn::of(&spec, &mut generator(1, "action", step, i as u64))).collect();
    let mut places = Vec::new();
    let mut values = Vec::new();
    for one in drawn {
        match one {
            Drawn::Discrete(place) => places.push(place),
            Drawn::Continuous(more) => values.extend(more),
        }
    }
    match spec.actions {
        Actions::Discrete(_) => worlds.step(Batch::Discrete(&places)).unwrap(),
        Actions::Continuous(_) => worlds.step(Batch::Continuous(&values)).unwrap(),
    };
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for kind in WORLDS {
        // Enough worlds for threads to be used.
        let n = 40_000 / defaults_spec(kind).observation.len() + 3;
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| history(kind, n, 8, 4))
        };
        let one = with(1);
        assert_eq!(one, with(2), "{}", kind.name);
        assert_eq!(one, with(4), "{}", kind.name);
    }
}

fn defaults_spec(kind: &Kind) -> Spec {
    kind.make(&[]).unwrap().spec().clone()
}

#[test]
fn a_world_does_not_depend_on_its_neighbours() {
    for kind in WORLDS {
        let mut alone = Worlds::new(kind, &defaults(kind), 1, 8).unwrap();
        let mut three = Worlds::new(kind, &defaults(kind), 3, 8).unwrap();
        for step in 0..100 {
            drive(&mut alone, step);
            drive(&mut three, step);
            assert_eq!(alone.state()[0], three.state()[0], "{}", kind.name);
        }
    }
}

#[test]
fn a_checkpoint_goes_on_to_the_same_bits() {
    for kind in WORLDS {
        let mut worlds = Worlds::new(kind, &defaults(kind), 5, 6).unwrap();
        (0..40).for_each(|step| drive(&mut worlds, step));
        let text = serde_json::to_string(&worlds.state()).unwrap();
        let mut resumed = Worlds::new(kind, &defaults(kind), 5, 6).unwrap();
        resumed.set_state(&serde_json::from_str::<Vec<_>>(&text).unwrap()).unwrap();
        assert_eq!(worlds.observations(), resumed.observations(), "{}", kind.name);
        for step in 40..400 {
            drive(&mut worlds, step);
            drive(&mut resumed, step);
            assert_eq!(worlds.stepped(), resumed.stepped(), "{}", kind.name);
            assert_eq!(worlds.observations(), resumed.observations(), "{}", kind.name);
        }
        assert!(resumed.set_state(&worlds.state()[..4]).is_err());
    }
}

#[test]
fn an_episode_is_cut_at_its_limit_and_not_called_terminated() {
    for kind in WORLDS {
        let constants = Constants::of(kind, &[("limit".into(), 3.0)]).unwrap();
        let mut worlds = Worlds::new(kind, &constants, 1, 0).unwrap();
        for step in 0..9 {
            drive(&mut worlds, step);
            let stepped = worlds.stepped()[0];
            assert!(!stepped.terminated, "{}: too short a test", kind.name);
            assert_eq!(stepped.truncated, step % 3 == 2, "{}", kind.name);
            assert_eq!(stepped.finished.is_some(), stepped.truncated);
            if let Some(finished) = stepped.finished {
                assert_eq!(finished.length, 3);
                assert_ne!(worlds.finals(), worlds.observations(), "{}", kind.name);
            }
        }
        assert_eq!(worlds.state()[0].episode, 3);
    }
}

#[test]
fn actions_that_do_not_fit_are_refused() {
    for kind in WORLDS {
        let mut worlds = Worlds::new(kind, &defaults(kind), 2, 0).unwrap();
        assert!(worlds.step(Batch::Discrete(&[0])).is_err());
        assert!(worlds.step(Batch::Discrete(&[0, 99])).is_err());
        assert!(worlds.step(Batch::Continuous(&[0.0])).is_err());
        assert!(worlds.step(Batch::Continuous(&[f32::NAN, 0.0])).is_err());
        assert!(Worlds::new(kind, &defaults(kind), 0, 0).is_err());
    }
}

#[test]
fn a_picture_of_any_state_is_drawn_within_its_box() {
    for kind in WORLDS {
        let mut worlds = Worlds::new(kind, &defaults(kind), 1, 2).unwrap();
        let mut world = kind.make(&[]).unwrap();
        for step in 0..200 {
            drive(&mut worlds, step);
            world.set_state(&worlds.state()[0].state).unwrap();
            let mut svg = String::new();
            world.draw(&mut svg);
            assert!(svg.starts_with('<') && svg.ends_with("/>"), "{}: {svg}", kind.name);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}: {svg}", kind.name);
        }
    }
}

/// A shorter episode has another best return, so what counts as solved cannot stay.
#[test]
fn what_counts_as_solved_follows_the_limit() {
    for kind in WORLDS {
        let spec = |settings: &[(String, f64)]| {
            let constants = Constants::of(kind, settings).unwrap();
            (kind.build)(&constants).unwrap().spec().clone()
        };
        let usual = spec(&[]).threshold;
        let short = spec(&[("limit".to_string(), 50.0)]).threshold;
        assert!(
            usual.is_none() || short != usual || kind.name == "pixels",
            "{}: {usual:?}, of 50 steps {short:?}",
            kind.name
        );
    }
}
