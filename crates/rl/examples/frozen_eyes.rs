//! A policy that sees through a frozen vision network: features of ImageNet's EfficientNet-Lite0, from its
//! second stage, in place of the pictures of the world `pixels`.
//!
//!     cargo run --release -p offshoot-rl --example frozen_eyes -- 100000
//!
//! The argument is the number of steps. The same learner also sees the pictures as they are, to compare. A world
//! around a world is all it takes.

use std::path::Path;
use std::sync::OnceLock;

use offshoot_nn::backbones;
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::load::load;
use offshoot_random::Generator;
use offshoot_rl::learn::{self, Start, Task, evaluate};
use offshoot_rl::world::{
    Action, Constants, Dimension, Kind, Outcome, Spec, World, find, parse_settings,
};
use offshoot_rl::{Result, RlError};

/// Height and width of a picture of `pixels`.
const SIDE: usize = 28;

/// One network for all worlds.
static EYES: OnceLock<Plan> = OnceLock::new();

struct Seeing {
    spec: Spec,
    inner: Box<dyn World>,
    eyes: &'static Plan,
}

fn seeing(constants: &Constants) -> Result<Box<dyn World>> {
    let inner = (find("pixels")?.build)(constants)?;
    let eyes = EYES.get().ok_or_else(|| RlError::Unusable("no network was read".into()))?;
    let feature = Dimension::new("feature", f32::NEG_INFINITY, f32::INFINITY);
    let spec = Spec {
        name: "pixels-seen",
        observation: vec![feature; eyes.feature_dim()],
        picture: None,
        ..inner.spec().clone()
    };
    Ok(Box::new(Seeing { spec, inner, eyes }))
}

impl World for Seeing {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        self.inner.reset(draws);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        self.inner.step(action)
    }

    fn observe(&self, observation: &mut [f32]) {
        let mut picture = vec![0.0; 3 * SIDE * SIDE];
        self.inner.observe(&mut picture);
        // Channels last, and the network's own range.
        let place = |i: usize| picture[i % 3 * SIDE * SIDE + i / 3];
        let input: Vec<f32> =
            (0..picture.len()).map(|i| (255.0 * place(i) - 127.0) / 128.0).collect();
        // Sizes are those that the network was built for.
        if self.eyes.features(&input, 1, observation).is_err() {
            observation.fill(f32::NAN);
        }
    }

    fn state(&self) -> Vec<f64> {
        self.inner.state()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.inner.set_state(state)
    }

    fn draw(&self, into: &mut String) {
        self.inner.draw(into);
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let weights = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets/efficientnet_lite0/model.safetensors");
    let recipe = backbones::find("efficientnet_lite0")?;
    let (params, _) = load(&recipe, offshoot_weights::read(&weights)?.params)?;
    let options = PlanOptions {
        size: Some([SIDE; 2]),
        until: Some("stage2".into()),
        ..PlanOptions::default()
    };
    let plan = Plan::new(&recipe, &params, &options)?;
    EYES.get_or_init(|| plan);

    let pixels = *find("pixels")?;
    let seen = Kind { name: "pixels-seen", build: seeing, ..pixels };
    for kind in [seen, pixels] {
        let constants = Constants::of(&kind, &parse_settings::<&str>(&[])?)?;
        let start = Start::default();
        let task = Task { kind, constants, seed: 0, steps: Some(steps), start };
        let mut learner = (learn::find("ppo")?.begin)(&task)?;
        let began = std::time::Instant::now();
        while !learner.is_done() {
            learner.update()?;
        }
        let judged = evaluate(learner.policy(), &task.kind, &task.constants, 50, (1, 0))?;
        println!(
            "{} ({} numbers): mean return {:.1} of 10 after {} steps, {:.0} s",
            kind.name,
            task.spec()?.observation.len(),
            judged.mean(),
            learner.steps(),
            began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
