//! A policy of one world in the names of another.
//!
//! Dimensions and actions are matched by name, or as the user says. What the source sees and the target
//! lacks is zero, the mean where the source normalises; what only the target has is not looked at. An
//! action that the source does not know begins as the mean of those that it knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::learn::Moments;
use crate::network::{Layer, Perceptron};
use crate::policy::{Form, Names, Policy};
use crate::world::Spec;
use crate::{Result, RlError};

/// Names of the target whose counterpart in the source is called otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remapping {
    /// Target's dimension → source's.
    pub observation: BTreeMap<String, String>,
    /// Target's action → source's.
    pub actions: BTreeMap<String, String>,
}

/// Where each name of the target is in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Of each dimension of the target's observation.
    pub observation: Vec<Option<usize>>,
    /// Of each of its actions; all `None` where one world takes choices and the other numbers.
    pub actions: Vec<Option<usize>>,
}

impl Remapping {
    /// Finds the target's names in the source.
    ///
    /// # Errors
    /// For a name here that neither world has.
    pub fn matched(&self, source: &Names, target: &Names) -> Result<Matched> {
        let list = |what, renamed: &BTreeMap<String, String>, from: &[String], to: &[String]| {
            for (here, there) in renamed {
                if !to.contains(here) {
                    return Err(RlError::unknown(what, here, to.iter().map(String::as_str)));
                }
                if !from.contains(there) {
                    return Err(RlError::unknown(what, there, from.iter().map(String::as_str)));
                }
            }
            // The pixels of a picture share names: those of the same place belong together.
            if from == to && renamed.is_empty() {
                return Ok((0..to.len()).map(Some).collect());
            }
            let place = |name: &String| {
                let name = renamed.get(name).unwrap_or(name);
                from.iter().position(|other| other == name)
            };
            Ok(to.iter().map(place).collect::<Vec<_>>())
        };
        let observation = list(
            "dimension of an observation",
            &self.observation,
            &source.observation,
            &target.observation,
        )?;
        let actions = match source.continuous == target.continuous {
            true => list("action", &self.actions, &source.actions, &target.actions)?,
            false => vec![None; target.actions.len()],
        };
        Ok(Matched { observation, actions })
    }
}

impl Matched {
    /// Refuses worlds that share no dimension of an observation.
    ///
    /// # Errors
    /// Where nothing that the target shows is known to the source.
    pub fn shares_something(&self, source: &Names, target: &Spec) -> Result<()> {
        if self.observation.iter().any(Option::is_some) {
            return Ok(());
        }
        Err(RlError::Unusable(format!(
            "the source sees {} and `{}` shows {}: no name is shared; \
             `--observation target=source` matches some, `--method adapter` learns to",
            listed(&source.observation),
            target.name,
            listed(&Names::of(target).observation)
        )))
    }
}

/// Names in words; of a picture's pixels there are thousands.
fn listed(names: &[String]) -> String {
    const MOST: usize = 16;
    match names.len() {
        n if n > MOST => format!("{n} values, as `{}`", names[0]),
        _ => format!("`{}`", names.join("`, `")),
    }
}

/// `source` in the names of `target`.
///
/// # Errors
/// For a policy whose layers are not as its names say.
pub fn remap(source: &Policy, target: &Spec, matched: &Matched) -> Result<Policy> {
    let names = Names::of(target);
    let seen = |network: &Perceptron| inputs(network, &matched.observation);
    let mut actor = seen(&source.actor)?;
    let form = match (names.continuous, source.form) {
        (true, _) => Form::Gaussian,
        (false, Form::ActionValues) => Form::ActionValues,
        (false, _) => Form::Categorical,
    };
    actor = outputs(&actor, &matched.actions, !names.continuous)?;
    let log_std = match form {
        Form::Gaussian => {
            let of = |place: &Option<usize>| place.and_then(|p| source.log_std.get(p).copied());
            matched.actions.iter().map(|place| of(place).unwrap_or(0.0)).collect()
        }
        _ => Vec::new(),
    };
    let moments = source.moments.as_ref().map(|m| Moments {
        count: m.count,
        mean: matched.observation.iter().map(|p| p.map_or(0.0, |p| m.mean[p])).collect(),
        variance: matched.observation.iter().map(|p| p.map_or(1.0, |p| m.variance[p])).collect(),
    });
    let critic = source.critic.as_ref().map(seen).transpose()?;
    Ok(Policy { names, form, actor, critic, log_std, moments, unit: source.unit })
}

/// `network` with the rows of its first layer where `places` say; others are zero.
fn inputs(network: &Perceptron, places: &[Option<usize>]) -> Result<Perceptron> {
    let mut layers = network.layers().to_vec();
    layers[0].inputs = places.len();
    let mut to = Perceptron::zeros(layers)?;
    for index in 1..network.layers().len() {
        let span = to.span(index);
        to.values_mut()[span].copy_from_slice(&network.values()[network.span(index)]);
    }
    let (weight, bias) = network.layer(0);
    let width = bias.len();
    let (to_weight, to_bias) = to.layer_mut(0);
    to_bias.copy_from_slice(bias);
    for (row, place) in to_weight.chunks_exact_mut(width).zip(places) {
        if let Some(place) = place {
            row.copy_from_slice(&weight[place * width..(place + 1) * width]);
        }
    }
    Ok(to)
}

/// `network` with the columns of its last layer where `places` say. Others are the mean of those that are
/// there where `by_mean`, else zero.
fn outputs(network: &Perceptron, places: &[Option<usize>], by_mean: bool) -> Result<Perceptron> {
    let last = network.layers().len() - 1;
    let mut layers: Vec<Layer> = network.layers().to_vec();
    layers[last].outputs = places.len();
    let mut to = Perceptron::zeros(layers)?;
    let unchanged = network.span(last).start;
    to.values_mut()[..unchanged].copy_from_slice(&network.values()[..unchanged]);
    let (weight, bias) = network.layer(last);
    let width = bias.len();
    let known: Vec<usize> = places.iter().flatten().copied().collect();
    let (to_weight, to_bias) = to.layer_mut(last);
    let rows = weight.chunks_exact(width).chain([bias]);
    let to_rows = to_weight.chunks_exact_mut(places.len()).chain([to_bias]);
    for (row, to_row) in rows.zip(to_rows) {
        let mean = match by_mean && !known.is_empty() {
            true => known.iter().map(|k| row[*k]).sum::<f32>() / known.len() as f32,
            false => 0.0,
        };
        for (to, place) in to_row.iter_mut().zip(places) {
            *to = place.map_or(mean, |place| row[place]);
        }
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{LEARNERS, Start, Task};
    use crate::policy::Acting;
    use crate::world::{self, Actions, Constants, Dimension};

    fn source() -> (Policy, Spec) {
        let kind = *world::find("cart-pole").unwrap();
        let constants = Constants::of(&kind, &[]).unwrap();
        let task = Task { kind, constants, seed: 0, steps: Some(1024), start: Start::default() };
        let mut learner = (LEARNERS[0].begin)(&task).unwrap();
        learner.update().unwrap();
        (learner.policy().clone(), task.spec().unwrap())
    }

    fn moved(policy: &Policy, spec: &Spec, remapping: &Remapping) -> Result<Policy> {
        let matched = remapping.matched(&policy.names, &Names::of(spec))?;
        matched.shares_something(&policy.names, spec)?;
        remap(policy, spec, &matched)
    }

    #[test]
    fn the_same_names_change_nothing() {
        let (policy, spec) = source();
        assert_eq!(moved(&policy, &spec, &Remapping::default()).unwrap(), policy);
    }

    #[test]
    fn dimensions_and_actions_go_where_their_names_are() {
        let (policy, mut spec) = source();
        spec.observation.reverse();
        spec.observation.insert(1, Dimension::within("wind", 1.0));
        spec.actions = Actions::Discrete(vec!["right", "wait", "left"]);
        let there = moved(&policy, &spec, &Remapping::default()).unwrap();
        let here = Acting::new(&policy).unwrap().outputs(&[0.1, 0.2, 0.3, 0.4]).to_vec();
        let there = Acting::new(&there).unwrap().outputs(&[0.4, 9.0, 0.3, 0.2, 0.1]).to_vec();
        assert!((there[0] - here[1]).abs() < 1e-6 && (there[2] - here[0]).abs() < 1e-6);
        assert!((there[1] - (here[0] + here[1]) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn reversed_actions_are_a_renaming() {
        let (policy, spec) = source();
        let actions = [("left", "right"), ("right", "left")];
        let actions = actions.map(|(a, b)| (a.to_string(), b.to_string())).into();
        let reversed = Remapping { actions, ..Remapping::default() };
        let there = moved(&policy, &spec, &reversed).unwrap();
        let seen = [0.1, -0.2, 0.05, 0.4];
        let mut here = Acting::new(&policy).unwrap().outputs(&seen).to_vec();
        here.reverse();
        assert_eq!(Acting::new(&there).unwrap().outputs(&seen), here);
    }

    #[test]
    fn names_that_nobody_has_are_refused() {
        let (policy, mut spec) = source();
        let observation = [("angel".to_string(), "angle".to_string())].into();
        let wrong = Remapping { observation, ..Remapping::default() };
        let error = moved(&policy, &spec, &wrong).unwrap_err().to_string();
        assert!(error.contains("`angel`") && error.contains("`angle`"), "{error}");
        spec.observation = vec![Dimension::within("height", 1.0)];
        let error = moved(&policy, &spec, &Remapping::default()).unwrap_err().to_string();
        assert!(error.contains("no name is shared"), "{error}");
    }
}
