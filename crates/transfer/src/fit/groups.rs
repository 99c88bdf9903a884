//! The parts of a network that learn together: its stages with parameters, and the head.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_nn::{Block, Parameter, Recipe, Role, Stage};

/// A network as strategies see it.
#[derive(Debug, Clone)]
pub struct Groups {
    /// Names of the stages that have parameters, from the input on.
    pub names: Vec<String>,
    /// Stages in order, those without parameters included.
    stages: Vec<String>,
    of: BTreeMap<String, usize>,
    parameters: Vec<Parameter>,
    /// Keys of weights that no vector is multiplied by as a whole: of convolutions with several
    /// groups, and tables of embeddings.
    no_matrix: BTreeSet<String>,
    /// The first stage whose output the pool of a text encoder reads: it is computed with what learns.
    pooled: Option<usize>,
}

impl Groups {
    /// Of a recipe's backbone.
    pub fn new(recipe: &Recipe) -> Self {
        let mut groups = Self {
            names: Vec::new(),
            stages: recipe.stages.iter().map(|s| s.name.to_string()).collect(),
            of: BTreeMap::new(),
            parameters: recipe.parameters().into_iter().filter(|p| p.role.trained()).collect(),
            no_matrix: BTreeSet::new(),
            pooled: None,
        };
        let blocks = || recipe.stages.iter().flat_map(|stage| &stage.blocks);
        if blocks().any(|block| matches!(block, Block::TokenPool(_))) {
            let last = blocks().find_map(|block| match block {
                Block::LayerMean(last) => Some(*last),
                _ => None,
            });
            let is_layer = |s: &Stage| matches!(s.blocks[..], [Block::EncoderLayer(_)]);
            let layers = (0..recipe.stages.len()).filter(|&s| is_layer(&recipe.stages[s]));
            groups.pooled = layers.rev().nth(last.unwrap_or(1).saturating_sub(1)).or(Some(0));
        }
        for stage in &recipe.stages {
            let own = recipe.stage_parameters(stage.name);
            if own.is_empty() {
                continue;
            }
            let group = groups.names.len();
            groups.of.extend(own.into_iter().map(|p| (p.key, group)));
            groups.names.push(stage.name.to_string());
        }
        for block in recipe.stages.iter().flat_map(|stage| &stage.blocks) {
            if let Block::TokenEmbed(tables) = block {
                groups.no_matrix.extend(tables.tables().map(|(key, _)| format!("{key}.weight")));
            }
            let layers = match block {
                Block::Conv(layer) => std::slice::from_ref(layer),
                Block::Residual(residual) => &residual.body,
                _ => &[],
            };
            let several = layers.iter().filter(|layer| layer.conv.groups > 1);
            groups.no_matrix.extend(several.map(|layer| format!("{}.weight", layer.conv.key)));
        }
        groups
    }

    /// How many there are; the head is one more.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The group of a parameter.
    pub fn of(&self, key: &str) -> Option<usize> {
        self.of.get(key).copied()
    }

    /// Keys of all parameters of these groups.
    pub fn keys(&self, groups: impl Fn(usize) -> bool) -> BTreeSet<String> {
        let within = |p: &&Parameter| self.of(&p.key).is_some_and(&groups);
        self.parameters.iter().filter(within).map(|p| p.key.clone()).collect()
    }

    /// Keys of all parameters of these roles.
    pub fn keys_of(&self, roles: &[Role]) -> BTreeSet<String> {
        let chosen = self.parameters.iter().filter(|p| roles.contains(&p.role));
        chosen.map(|p| p.key.clone()).collect()
    }

    /// Keys of the weights that are matrices: of linear layers and of convolutions of one pixel.
    pub fn matrices(&self) -> BTreeSet<String> {
        let pixel = |p: &&Parameter| {
            let one = p.shape.iter().skip(2).all(|&side| side == 1);
            p.role == Role::Weight && one && p.shape.len() > 1 && !self.no_matrix.contains(&p.key)
        };
        self.parameters.iter().filter(pixel).map(|p| p.key.clone()).collect()
    }

    /// The last stage before anything of `learns` and before the layers that are pooled; `None` where the
    /// first stage learns.
    pub fn boundary(&self, learns: &BTreeSet<String>) -> Option<&str> {
        let first = learns.iter().filter_map(|key| self.of(key)).min()?;
        let place = self.stages.iter().position(|s| *s == self.names[first])?;
        let place = place.min(self.pooled.unwrap_or(place));
        self.stages[..place].last().map(String::as_str)
    }

    /// Number of values of these parameters.
    pub fn values(&self, learns: &BTreeSet<String>) -> usize {
        self.parameters.iter().filter(|p| learns.contains(&p.key)).map(Parameter::len).sum()
    }

    /// Number of values of all parameters.
    pub fn all_values(&self) -> usize {
        self.parameters.iter().map(Parameter::len).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use offshoot_nn::backbones;

    #[test]
    fn stages_with_parameters_are_groups_and_the_boundary_is_before_the_first_that_learns() {
        let groups = Groups::new(&backbones::find("mobilenet_v2").unwrap());
        assert_eq!(groups.len(), 9);
        assert_eq!(groups.names[0], "stem");
        assert_eq!(groups.names[8], "top");
        let last = groups.keys(|g| g >= 7);
        assert!(
            last.contains("features.17.conv.0.0.weight") && !last.contains("features.0.0.weight")
        );
        assert_eq!(groups.boundary(&last), Some("stage6"));
        assert_eq!(groups.boundary(&groups.keys(|_| true)), None);
        assert_eq!(groups.boundary(&BTreeSet::new()), None);
        assert!(groups.values(&last) < groups.all_values());
    }

    #[test]
    fn matrices_are_linear_layers_and_dense_convolutions_of_one_pixel() {
        let groups = Groups::new(&backbones::find("mobilenet_v2").unwrap());
        let matrices = groups.matrices();
        assert!(matrices.contains("features.18.0.weight"));
        assert!(!matrices.contains("features.0.0.weight"));
        // Depthwise.
        assert!(!matrices.contains("features.1.conv.0.0.weight"));
        let digits = Groups::new(&backbones::find("digits_usps").unwrap());
        assert_eq!(digits.matrices().len(), 1);
    }
}
