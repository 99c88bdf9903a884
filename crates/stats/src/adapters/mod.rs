//! Adaptation of a classifier to a target without labels, on plain matrices of features.
//!
//! [`all`] is the registry: the word that a user types, the file that implements it. Every method sees labelled
//! source rows and target rows ([`Problem`]) and leaves two views and a linear head on what they show
//! ([`Adapted`]), from which heads on raw features follow: predicting, storing and exporting need nothing new.

mod components;
mod coral;
mod covariance;
mod discriminator;
mod domain_coral;
mod domain_scale;
mod domain_weights;
mod domains;
mod gfk;
mod jda;
mod jdot;
mod kernel;
mod kliep;
mod kmm;
mod label_shift;
mod linear_ot;
mod ot;
mod ot_labels;
mod problem;
mod sa;
mod source_only;
mod subspace;
mod tca;
mod transport;
mod view;
mod weights;

use std::collections::BTreeMap;

use serde::Serialize;

pub use domains::nearness;
pub use problem::Problem;
pub use view::View;

use crate::heads::{Head, Linear, Viewed};
use crate::{Matrix, Probabilities, Result, Rows, StatsError};

/// What a method changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Nothing: the source's head as it is.
    Nothing,
    /// Features of both sides are brought together.
    Align,
    /// Source rows count as much as they resemble target rows.
    Reweight,
    /// Classes count as much as they are frequent in the target.
    Labels,
    /// Source rows, or their labels, are carried to target rows at the least cost.
    Transport,
    /// Each of several source domains is brought to the target, or counts, by itself.
    Domains,
}

/// A number that a method may be given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Setting {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// What it is when nothing is said; `None`: follows from the data.
    pub default: Option<f64>,
    /// Least and largest value.
    pub range: (f64, f64),
    /// Values worth trying.
    pub choices: &'static [f64],
}

/// Settings of one fit by name; what is missing has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Only names that the method knows.
    pub settings: BTreeMap<String, f64>,
}

impl Options {
    /// The same with one more setting.
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.settings.insert(name.into(), value);
        self
    }

    fn of(&self, setting: &Setting) -> Option<f64> {
        self.settings.get(setting.name).copied().or(setting.default)
    }

    fn check(&self, adapter: &Adapter) -> Result<()> {
        for (name, value) in &self.settings {
            let Some(setting) = adapter.settings.iter().find(|s| s.name == name) else {
                let known: Vec<String> =
                    adapter.settings.iter().map(|s| format!("`{}`", s.name)).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(StatsError::Unusable(format!(
                    "`{}` has no setting `{name}`; it has {known}",
                    adapter.name
                )));
            };
            let (least, most) = setting.range;
            if !(least..=most).contains(value) {
                return Err(StatsError::Unusable(format!(
                    "expected `{name}` of `{}` between {least} and {most}, got {value}",
                    adapter.name
                )));
            }
        }
        Ok(())
    }
}

/// What a method leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapted {
    /// How source rows are shown to the head; of several domains, a row whose domain nobody knows.
    pub source: View,
    /// How rows of each source domain are shown, where that differs; else empty.
    pub domains: Vec<View>,
    /// How target rows are shown to the head.
    pub target: View,
    /// On what the views show.
    pub head: Linear,
    /// Added to scores of target rows, `ln p_t(y)/p_s(y)` `[classes]`; empty where classes count alike.
    pub prior: Vec<f64>,
    /// With which the head was fitted to source rows, of mean 1; empty where all count alike.
    pub weights: Vec<f64>,
    /// Figures of the fit, by name: strength of the head, effective sample size, iterations.
    pub facts: BTreeMap<String, f64>,
}

impl Adapted {
    /// The head on raw target features.
    pub fn of_target(&self) -> Head {
        let mut head = self.head.clone();
        head.bias.iter_mut().zip(&self.prior).for_each(|(bias, log_ratio)| *bias += log_ratio);
        on_raw(&self.target, head)
    }

    /// The head on raw source features.
    pub fn of_source(&self) -> Head {
        on_raw(&self.source, self.head.clone())
    }

    /// What source rows are shown as, `[n, k]`; `domains` of the rows, where they are known.
    ///
    /// # Errors
    /// Rows of another width, another number of domains than rows.
    pub fn shown(&self, rows: Rows<'_>, domains: Option<&[u32]>) -> Result<Matrix> {
        match domains {
            Some(domains) if !self.domains.is_empty() => {
                domains::shown(rows, domains, &self.domains, &self.source)
            }
            _ => self.source.apply(rows),
        }
    }

    /// Answers for source rows; `domains` of the rows, where they are known.
    ///
    /// # Errors
    /// As [`Self::shown`].
    pub fn answers(&self, rows: Rows<'_>, domains: Option<&[u32]>) -> Result<Probabilities> {
        Head::Linear(self.head.clone()).predict(self.shown(rows, domains)?.rows())
    }

    fn fact(mut self, name: &str, value: f64) -> Self {
        self.facts.insert(name.into(), value);
        self
    }
}

/// Affine views are folded into the head.
fn on_raw(view: &View, head: Linear) -> Head {
    match view {
        View::Raw => Head::Linear(head),
        View::Affine(map) => Head::Linear(map.fold(&head)),
        other => Head::Viewed(Viewed { view: other.clone(), head }),
    }
}

/// A method of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What it changes.
    pub family: Family,
    /// What it may be given.
    pub settings: &'static [Setting],
    fit: fn(&Problem<'_>, &Options) -> Result<Adapted>,
}

impl Adapter {
    /// Adapts a head to the problem's target.
    ///
    /// # Errors
    /// A setting that the method does not know or that is out of range; what the method cannot be fitted to,
    /// such as weights that leave too few source samples.
    pub fn fit(&self, problem: &Problem<'_>, options: &Options) -> Result<Adapted> {
        options.check(self)?;
        (self.fit)(problem, options)
    }
}

/// All methods in alphabetical order.
pub fn all() -> &'static [Adapter] {
    &[
        coral::ADAPTER,
        discriminator::ADAPTER,
        domain_coral::ADAPTER,
        domain_scale::ADAPTER,
        domain_weights::ADAPTER,
        gfk::ADAPTER,
        jda::ADAPTER,
        jdot::ADAPTER,
        kliep::ADAPTER,
        kmm::ADAPTER,
        label_shift::ADAPTER,
        linear_ot::ADAPTER,
        ot::ADAPTER,
        ot_labels::ADAPTER,
        sa::ADAPTER,
        source_only::ADAPTER,
        tca::ADAPTER,
    ]
}

/// The method called `name`.
pub fn find(name: &str) -> Option<&'static Adapter> {
    all().iter().find(|adapter| adapter.name == name)
}
