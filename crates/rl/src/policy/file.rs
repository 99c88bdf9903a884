//! A policy on disk: `policy.safetensors` beside `policy.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use offshoot_transfer::{TransferError, durable};
use offshoot_weights::{Array, Params, Precision};
use serde::{Deserialize, Serialize};

use super::{Form, Names, Policy};
use crate::learn::Moments;
use crate::network::{Layer, Perceptron};
use crate::{Result, RlError};

const WEIGHTS: &str = "policy.safetensors";
const FACTS: &str = "policy.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    schema: u32,
    names: Names,
    form: Form,
    actor: Vec<Layer>,
    critic: Option<Vec<Layer>>,
    moments: Option<Moments>,
    unit: f64,
}

impl Policy {
    /// Everything that learns, by name: `actor.0.weight` `[inputs, outputs]`, `actor.0.bias`, ….
    pub fn params(&self) -> Params {
        let mut params = Params::new();
        let networks = [("actor", Some(&self.actor)), ("critic", self.critic.as_ref())];
        for (name, network) in networks {
            let Some(network) = network else { continue };
            for (index, layer) in network.layers().iter().enumerate() {
                let (weight, bias) = network.layer(index);
                let shape = vec![layer.inputs, layer.outputs];
                let weight = Array { shape, data: weight.to_vec().into() };
                let bias = Array { shape: vec![layer.outputs], data: bias.to_vec().into() };
                params.insert(format!("{name}.{index}.weight"), weight);
                params.insert(format!("{name}.{index}.bias"), bias);
            }
        }
        if !self.log_std.is_empty() {
            let data = self.log_std.clone();
            params.insert("log_std".into(), Array { shape: vec![data.len()], data: data.into() });
        }
        params
    }

    /// Takes values of the same names and shapes.
    ///
    /// # Errors
    /// Where one is missing or of another size; `place` stands in the error.
    pub fn take(&mut self, params: &Params, place: &str) -> Result<()> {
        let fill = |name: String, to: &mut [f32]| -> Result<()> {
            let Some(array) = params.get(&name) else {
                return Err(RlError::Refused(format!("{place}: `{name}` is missing")));
            };
            if array.data.len() != to.len() {
                return Err(RlError::Refused(format!(
                    "{place}: `{name}` holds {} values, expected {}",
                    array.data.len(),
                    to.len()
                )));
            }
            if array.data.iter().any(|v| !v.is_finite()) {
                return Err(RlError::Refused(format!("{place}: `{name}` is not finite")));
            }
            to.copy_from_slice(&array.data);
            Ok(())
        };
        let networks = [("actor", Some(&mut self.actor)), ("critic", self.critic.as_mut())];
        for (name, network) in networks {
            let Some(network) = network else { continue };
            for index in 0..network.layers().len() {
                let (weight, bias) = network.layer_mut(index);
                fill(format!("{name}.{index}.weight"), weight)?;
                fill(format!("{name}.{index}.bias"), bias)?;
            }
        }
        if !self.log_std.is_empty() {
            fill("log_std".into(), &mut self.log_std)?;
        }
        Ok(())
    }

    /// Writes both files into `folder`, which is made.
    pub fn save(&self, folder: &Path) -> Result<()> {
        durable::create_dir(folder)?;
        let layers = |network: &Perceptron| network.layers().to_vec();
        let facts = Facts {
            schema: 1,
            names: self.names.clone(),
            form: self.form,
            actor: layers(&self.actor),
            critic: self.critic.as_ref().map(layers),
            moments: self.moments.clone(),
            unit: self.unit,
        };
        durable::write_params(
            &folder.join(WEIGHTS),
            &self.params(),
            &BTreeMap::new(),
            Precision::F32,
        )?;
        durable::write_json(&folder.join(FACTS), &facts)?;
        Ok(())
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// For files that are missing or damaged, or that do not belong together.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FACTS);
        let text = fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
        let refused = |detail: String| RlError::Refused(format!("{}: {detail}", path.display()));
        let facts: Facts = serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
        let (observation, actions) = (facts.names.observation.len(), facts.names.actions.len());
        let sized = |layers: &[Layer], outputs: usize| {
            // A network of this kind is small; a file that says otherwise is not ours.
            let small = layers.iter().all(|l| l.inputs.max(l.outputs) <= 1 << 16);
            let ends = layers.first().map(|l| l.inputs) == Some(observation)
                && layers.last().map(|l| l.outputs) == Some(outputs);
            small && layers.len() <= 64 && ends
        };
        if !sized(&facts.actor, actions) || facts.critic.as_ref().is_some_and(|c| !sized(c, 1)) {
            return Err(refused("layers do not fit the names".into()));
        }
        let columns = |m: &Moments| m.mean.len() == observation && m.variance.len() == observation;
        if facts.moments.as_ref().is_some_and(|m| !columns(m)) {
            return Err(refused("moments do not fit the observation".into()));
        }
        let log_std = if facts.form == Form::Gaussian { vec![0.0; actions] } else { Vec::new() };
        let mut policy = Self {
            names: facts.names,
            form: facts.form,
            actor: Perceptron::zeros(facts.actor)?,
            critic: facts.critic.map(Perceptron::zeros).transpose()?,
            log_std,
            moments: facts.moments,
            unit: facts.unit,
        };
        let path = folder.join(WEIGHTS);
        let checkpoint = offshoot_weights::read(&path).map_err(TransferError::from)?;
        policy.take(&checkpoint.params, &path.display().to_string())?;
        Ok(policy)
    }
}
