//! What can be set of a world, by name.

use std::collections::BTreeMap;

use super::Kind;
use crate::{Result, RlError};

/// A physical constant, or a rule of the game as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// The word that a user types.
    pub name: &'static str,
    /// Its usual value.
    pub default: f64,
    /// Least value.
    pub low: f64,
    /// Greatest value.
    pub high: f64,
    /// What it is, with its unit.
    pub summary: &'static str,
}

impl Constant {
    /// A constant between `low` and `high`.
    pub const fn new(
        name: &'static str,
        default: f64,
        (low, high): (f64, f64),
        summary: &'static str,
    ) -> Self {
        Self { name, default, low, high, summary }
    }
}

/// A value for every constant of a world, in alphabetical order.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Constants(BTreeMap<String, f64>);

impl Constants {
    /// The defaults of `kind`, but for what `settings` say.
    ///
    /// # Errors
    /// A name that the world does not know (the message lists those that it does) or a value outside of the
    /// constant's range.
    pub fn of(kind: &Kind, settings: &[(String, f64)]) -> Result<Self> {
        let defaults = kind.constants.iter().map(|c| (c.name.to_owned(), c.default));
        let mut values: BTreeMap<String, f64> = defaults.collect();
        for (name, value) in settings {
            let Some(constant) = kind.constants.iter().find(|c| c.name == name) else {
                let known = kind.constants.iter().map(|c| c.name);
                return Err(RlError::unknown("constant", name, known));
            };
            // NaN lies in no range.
            if !(constant.low..=constant.high).contains(value) {
                return Err(RlError::OutOfRange {
                    world: kind.name,
                    name: constant.name,
                    low: constant.low,
                    high: constant.high,
                    value: *value,
                });
            }
            values.insert(name.clone(), *value);
        }
        Ok(Self(values))
    }

    /// The value of a constant that the world lists.
    ///
    /// # Errors
    /// A name that it does not list.
    pub fn get(&self, name: &str) -> Result<f64> {
        let found = self.0.get(name).copied();
        found.ok_or_else(|| RlError::unknown("constant", name, self.0.keys().map(String::as_str)))
    }

    /// Whether these constants of `kind` have their usual values: what returns come to follows from them.
    pub fn are_usual(&self, kind: &Kind, names: &[&str]) -> bool {
        let mut named = kind.constants.iter().filter(|c| names.contains(&c.name));
        named.all(|c| self.0.get(c.name) == Some(&c.default))
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Constants in which two worlds of a kind differ: name, value here, value there.
    pub fn changed<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, f64, f64)> {
        let pairs = self.iter().filter_map(|(name, here)| Some((name, here, *other.0.get(name)?)));
        pairs.filter(|(_, here, there)| here != there).collect()
    }
}

/// Reads `gravity=15`.
///
/// # Errors
/// No `=`, or something else than a number behind it.
pub fn parse_settings<S: AsRef<str>>(texts: &[S]) -> Result<Vec<(String, f64)>> {
    texts
        .iter()
        .map(|text| {
            let text = text.as_ref();
            let refused = || RlError::shape("setting", "`constant=number`", format!("`{text}`"));
            let (name, value) = text.split_once('=').ok_or_else(refused)?;
            let value: f64 = value.trim().parse().map_err(|_| refused())?;
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}
