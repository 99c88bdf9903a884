//! Adaptation without the source's data: a network with a head, and target samples without labels.
//!
//! One file a method. Each is a loop of its own over the same steps (`pupil`): norms that take their statistics
//! from the target, gradients of losses that need no labels (`losses`), and a watch over what all of them may do to
//! a network, which is to answer one class to everything (`collapse`).

mod adabn;
mod collapse;
mod fixmatch;
mod losses;
mod pseudo_label;
mod pupil;
mod shot;
mod stream;
mod target;
mod tent;

use offshoot_stats::heads::Linear;

use crate::align::{Start, State};
use crate::fit::head::LinearHead;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError};
pub use stream::{StreamPlan, StreamReport, stream};
pub use target::Target;

/// In which order samples come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Drawn by the seed, so that every batch is a sample of all of them.
    #[default]
    Shuffled,
    /// As they lie. Statistics of a batch are only right where classes do not come one after the other, so that is
    /// tested first.
    Given,
}

/// How long, and by how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Samples a batch, fewer where they are large pictures; the last ones are shared out.
    pub batch: usize,
    /// Times that all samples are looked at; `None` takes the method's own.
    pub passes: Option<usize>,
    /// Learning rate; `None` takes the method's own.
    pub lr: Option<f64>,
    /// How many samples the source's statistics of norms count for among the target's (Schneider et al. 2020,
    /// arXiv:2006.16971, equation 2); `None`: 16 beside fewer than 64 samples of the target, else none.
    pub prior: Option<f64>,
    /// In which order samples come.
    pub order: Order,
    /// Keys every draw.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let order = Order::default();
        Self { batch: 128, passes: None, lr: None, prior: None, order, seed: 0 }
    }
}

/// What there is to adapt, and to what.
pub struct Course<'a> {
    /// The network.
    pub source: &'a Source,
    /// The head on its features.
    pub head: &'a Linear,
    /// Samples without labels.
    pub target: &'a Target<'a>,
    /// How.
    pub settings: Settings,
}

/// What came of a course.
#[derive(Default)]
pub struct Outcome {
    /// States to choose from, the latest last; none where the network is better left as it is.
    pub states: Vec<State>,
    /// Logits `[n, classes]` that were given while samples came by, before the update by each batch; empty where
    /// nothing was given.
    pub stream: Vec<f32>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A method of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    run: fn(&Course<'_>, &mut Watch<'_>) -> Result<Outcome>,
}

impl Method {
    /// Adapts the network.
    ///
    /// # Errors
    /// A source without a network or without what the method changes, fewer than two target samples, samples that
    /// cannot be read.
    pub fn run(&self, course: &Course<'_>, watch: &mut Watch<'_>) -> Result<Outcome> {
        if course.target.len() < 2 {
            return Err(TransferError::usage(
                format!(
                    "{} target samples, where statistics are to be taken of them",
                    course.target.len()
                ),
                "give at least two; a hundred are worth the name",
            ));
        }
        // Every method goes by statistics of batches.
        if let Some(warning) = course.in_sequence()? {
            return Ok(Outcome { warnings: vec![warning], ..Outcome::default() });
        }
        (self.run)(course, watch)
    }
}

/// All methods in alphabetical order.
pub fn all() -> &'static [Method] {
    &[adabn::METHOD, fixmatch::METHOD, pseudo_label::METHOD, shot::METHOD, tent::METHOD]
}

/// The method called `name`.
pub fn find(name: &str) -> Option<&'static Method> {
    all().iter().find(|method| method.name == name)
}

/// As [`crate::align::tune`], by a method of [`all`]: the labelled samples of `start` are not looked at.
///
/// # Errors
/// Wrong usage for an unknown method; as [`Method::run`].
pub fn tune(name: &str, start: &Start<'_>, watch: &mut Watch<'_>) -> Result<Vec<State>> {
    let method = named(name)?;
    let target = Target::new(start.source, start.target, &start.of_target.readable());
    let given = &start.plan.finetune;
    let settings = Settings {
        passes: given.epochs,
        lr: given.lr,
        seed: start.plan.seed,
        ..Settings::default()
    };
    let course = Course { source: start.source, head: start.head, target: &target, settings };
    let outcome = method.run(&course, watch)?;
    for warning in outcome.warnings {
        watch.warn(format!("{name}: {warning}"))?;
    }
    Ok(outcome.states)
}

fn named(name: &str) -> Result<&'static Method> {
    find(name).ok_or_else(|| {
        let known: Vec<&str> = all().iter().map(|method| method.name).collect();
        TransferError::usage(
            format!("unknown method `{name}`"),
            format!("there are {}", known.join(", ")),
        )
    })
}

/// Inputs of a batch, at most: what a network keeps of each to learn from takes about a hundred times as much.
const BATCH_BYTES: usize = 6 << 20;
/// Below that, statistics of a batch say little.
const LEAST_BATCH: usize = 32;

impl Course<'_> {
    /// Why norms may not go by batches; `None` where they may.
    fn in_sequence(&self) -> Result<Option<String>> {
        if self.settings.order == Order::Shuffled {
            return Ok(None);
        }
        let classes = self.head.bias.len();
        let answers = pupil::before(self)?.logits;
        let answers = pupil::answers(&answers, classes)?;
        let deviation = collapse::sorted(&answers, &self.batches(0), classes);
        Ok(deviation.map(|deviation| {
            format!(
                "classes come one after the other in this order ({deviation:.0} deviations from chance): statistics of a \
                 batch would take its class away, so the network stays as it is"
            )
        }))
    }

    fn head(&self) -> LinearHead {
        LinearHead::from_linear(self.head)
    }

    /// What the source's statistics count for. Where there are samples enough, any share of them only does harm: a
    /// mean that is off by a tenth of a large shift can be many deviations of pale pictures away.
    fn prior(&self) -> f64 {
        let usual = if self.target.len() < 64 { 16.0 } else { 0.0 };
        self.settings.prior.unwrap_or(usual).max(0.0)
    }

    /// Batches of one pass, of nearly the same size each.
    fn batches(&self, pass: u64) -> Vec<Vec<usize>> {
        let n = self.target.len();
        let order = match self.settings.order {
            Order::Given => (0..n).collect(),
            Order::Shuffled => {
                offshoot_random::permutation(n, self.settings.seed, "target batches", pass)
            }
        };
        let room = (BATCH_BYTES / self.source.engine.input_bytes().max(1)).max(LEAST_BATCH);
        let parts = n.div_ceil(self.settings.batch.min(room).max(2)).min(n / 2).max(1);
        (0..parts).map(|i| order[i * n / parts..(i + 1) * n / parts].to_vec()).collect()
    }
}

#[cfg(test)]
mod tests;
