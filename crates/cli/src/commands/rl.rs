use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use offshoot_rl::train::document::TrainReport;
use offshoot_rl::train::plan::TrainPlan;
use offshoot_rl::train::{self, train};
use offshoot_rl::world::parse_settings;
use offshoot_transfer::Result;
use offshoot_transfer::report::words;

use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
A learner acts in a world until it is good at it; what it learnt is a run. Another world, with other
constants, other observations or other actions, then begins with that run in place of nothing.

Examples:
  offshoot rl train cart-pole
  offshoot rl train cart-pole --set gravity=15 --set length=1.5
  offshoot rl train --help                            worlds, learners and constants";

const TRAIN_EXAMPLES: &str = "\
Settings are the published ones: CleanRL's, and RL Baselines3 Zoo's where those do not suffice.
Seeds share the cores. A curve asks 50 times what the policy is worth in 10 episodes; what is told
at the end is the mean return of 100 others. The same seed gives the same bits on any number of
threads. Ctrl-C saves; `offshoot runs resume RUN` goes on to the same bits.

Examples:
  offshoot rl train cart-pole --seeds 10
  offshoot rl train cart-pole --set gravity=15 --set length=1.5 --name heavy
  offshoot rl train acrobot --learner dqn --steps 300000";

/// Learn by acting in a world, and reuse in another what was learnt
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rl {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Train(Train),
}

/// Learn a policy for a world
#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{TRAIN_EXAMPLES}", worlds()))]
struct Train {
    /// The world
    #[arg(value_name = "WORLD")]
    world: String,
    /// How it is learnt
    #[arg(long, value_name = "LEARNER", default_value = "ppo")]
    learner: String,
    /// Steps in the world; by default as published
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Repetitions, each with other draws; --seed is that of the first
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Name of the run's folder; by default the world's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Rl {
    /// `constants` are those of `--set`.
    pub fn run(self, context: &Context, constants: Vec<String>) -> Result<()> {
        let set: BTreeMap<String, f64> = parse_settings(&constants)?.into_iter().collect();
        match self.action {
            Action::Train(train) => train.run(context, set),
        }
    }
}

impl Train {
    fn run(self, context: &Context, set: BTreeMap<String, f64>) -> Result<()> {
        let plan = TrainPlan {
            world: self.world,
            learner: self.learner,
            steps: self.steps,
            seeds: self.seeds,
            seed: context.settings.seed,
            set,
            name: self.name,
            runs_dir: context.settings.runs_dir.clone(),
        };
        let mut observer = context.observer()?;
        let report = train(&plan, &mut observer)?;
        drop(observer);
        show_training(context, &report)
    }
}

/// Goes on with a run of these commands.
pub fn resume(context: &Context, run: &std::path::Path) -> Result<()> {
    let mut observer = context.observer()?;
    let report = train::resume(run, &mut observer)?;
    drop(observer);
    show_training(context, &report)
}

/// The registries, for `--help`.
fn worlds() -> String {
    let mut text = String::from("Worlds, and constants that --set takes (name=usual value):\n");
    for kind in offshoot_rl::world::WORLDS {
        text.push_str(&format!("  {}  {}\n", kind.name, kind.summary));
        let constants: Vec<String> =
            kind.constants.iter().map(|c| format!("{}={}", c.name, c.default)).collect();
        text.push_str(&format!("    {}\n", constants.join(" ")));
    }
    text.push_str("\nLearners:\n");
    for learner in offshoot_rl::learn::LEARNERS {
        text.push_str(&format!("  {}  {}\n", learner.name, learner.summary));
    }
    text.trim_end().into()
}

fn show_training(context: &Context, report: &TrainReport) -> Result<()> {
    if context.json {
        return context.document(report);
    }
    let [low, high] = report.mean_return_ci;
    let mut text = format!("{}, {}\n", report.told, report.learner);
    let seeds = report.seeds.len();
    let mean = format!("mean return {:.1} over {} episodes", report.mean_return, report.episodes);
    text.push_str(&match seeds {
        1 => format!("{mean}\n"),
        _ => format!("{mean} of each of {seeds} seeds (95 %: {low:.1} to {high:.1})\n"),
    });
    if let (Some(threshold), Some(solved)) = (report.threshold, report.solved) {
        text.push_str(&format!("{solved} of {seeds} reach {threshold}, which counts as solved\n"));
    }
    let rows: Vec<[String; 4]> = report
        .seeds
        .iter()
        .map(|seed| {
            [
                seed.seed.to_string(),
                format!("{:.1}", seed.mean_return),
                words::count(seed.steps as usize),
                words::seconds(seed.seconds),
            ]
        })
        .collect();
    let right = Align::Right;
    let header = [("seed", right), ("mean return", right), ("steps", right), ("time", right)];
    text.push_str(&format!("\n{}", table::text(header, &rows)));
    let run = clean(&report.run.display().to_string());
    text.push_str(&format!("\nrun     {run}\n"));
    context.print(text)
}
