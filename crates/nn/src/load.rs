//! Fits a checkpoint to a recipe, and says how well it fitted.

use crate::{Array, Block, NnError, Parameter, Params, Recipe, Result};
use std::collections::BTreeMap;

/// What became of the source classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadStatus {
    /// Loaded.
    Loaded,
    /// The recipe has one, the checkpoint does not.
    Absent,
    /// The checkpoint's has this many classes, not the recipe's number; it was left out.
    OtherClasses(usize),
    /// The recipe has none.
    NotInRecipe,
}

/// How a checkpoint fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Arrays of the backbone that were found; after a successful load, all of them.
    pub matched: usize,
    /// Arrays of the backbone.
    pub total: usize,
    /// How many of them, and of the head's, had another name.
    pub renamed: usize,
    /// The source classifier.
    pub head: HeadStatus,
    /// Keys of the checkpoint that the recipe has no use for, in order, under their own names.
    pub unused: Vec<String>,
    /// `num_batches_tracked` counters, which matter to no result outside training.
    pub counters: usize,
}

/// Prefixes that training wrappers put before every key.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "timm_model."];

/// Finds every array that `recipe` asks for in `params`, whatever it is called there.
///
/// A name is tried as it stands and through the recipe's rename table, both without the prefixes of
/// training wrappers. Which comes first is decided for the checkpoint as a whole, because foreign
/// names can be the recipe's own with another meaning: in one MobileNetV2 `features.1.conv.1` is a
/// norm, in another a convolution.
///
/// # Errors
/// [`NnError::Mismatch`] where an array of the backbone is missing, has another shape or is there
/// twice, or where only a part of the classifier is there; the message names the first few.
pub fn load(recipe: &Recipe, params: Params) -> Result<(Params, LoadReport)> {
    let backbone = recipe.parameters();
    let head = recipe.head_parameters();
    let wanted: BTreeMap<&str, &Parameter> =
        backbone.iter().chain(&head).map(|p| (p.key.as_str(), p)).collect();

    let all = params.len();
    let params: Params =
        params.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
    let counters = all - params.len();

    let as_it_stands = keys_of(recipe, &params, &wanted, Order::AsItStands);
    let renamed_first = keys_of(recipe, &params, &wanted, Order::RenamedFirst);
    let fits = |keys: &[Option<String>]| {
        let pairs = keys.iter().zip(params.values());
        pairs
            .filter(|(key, array)| {
                let parameter = key.as_ref().and_then(|key| wanted.get(key.as_str()));
                parameter.is_some_and(|parameter| parameter.shape == array.shape)
            })
            .count()
    };
    let keys =
        if fits(&renamed_first) > fits(&as_it_stands) { renamed_first } else { as_it_stands };

    let mut found = Params::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let (mut unused, mut renamed) = (Vec::new(), 0);
    for ((name, array), key) in params.into_iter().zip(keys) {
        let Some(key) = key else {
            unused.push(name);
            continue;
        };
        if let Some(other) = names.get(&key) {
            return Err(mismatch(recipe, format!("`{other}` and `{name}` are both `{key}`")));
        }
        renamed += usize::from(key != name);
        names.insert(key.clone(), name);
        found.insert(key, array);
    }

    let faults: Vec<String> =
        backbone.iter().filter_map(|parameter| fault(parameter, &found)).collect();
    if !faults.is_empty() {
        return Err(mismatch(recipe, describe(&faults, backbone.len())));
    }
    if let Some(name) = unused.iter().find(|name| is_further_layer(recipe, name)) {
        let detail = format!("`{name}` belongs to a layer beyond the recipe's last");
        return Err(mismatch(recipe, detail));
    }
    let head = fit_head(recipe, &head, &mut found)?;
    let report = LoadReport {
        matched: backbone.len(),
        total: backbone.len(),
        renamed,
        head,
        unused,
        counters,
    };
    Ok((found, report))
}

/// What is tried first with a checkpoint's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsItStands,
    RenamedFirst,
}

/// The recipe's key for each of the checkpoint's names, `None` where it has no use for it.
fn keys_of(
    recipe: &Recipe,
    params: &Params,
    wanted: &BTreeMap<&str, &Parameter>,
    order: Order,
) -> Vec<Option<String>> {
    let key_of = |name: &String| {
        let mut bare = name.as_str();
        while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
            bare = inner;
        }
        let own = Some(bare.to_string());
        let foreign = (recipe.rename)(bare);
        let candidates = match order {
            Order::AsItStands => [own, foreign],
            Order::RenamedFirst => [foreign, own],
        };
        candidates.into_iter().flatten().find(|key| wanted.contains_key(key.as_str()))
    };
    params.keys().map(key_of).collect()
}

/// Whether an array that no layer of a text encoder asked for is of a layer of the same kind: the
/// checkpoint is a deeper encoder, of which the recipe would compute the first layers only.
fn is_further_layer(recipe: &Recipe, name: &str) -> bool {
    let Ok(_) = recipe.text() else { return false };
    let Some(layer) =
        recipe.stages.iter().rev().flat_map(|stage| &stage.blocks).find_map(|block| match block {
            Block::EncoderLayer(layer) => Some(layer),
            _ => None,
        })
    else {
        return false;
    };
    // `encoder.layer.5.output.dense`: the same with another number.
    let pattern = |key: &str| {
        let parts = key.split('.').map(|part| part.parse::<usize>().map_or(part, |_| "#"));
        parts.collect::<Vec<_>>().join(".")
    };
    let bare = (recipe.rename)(name).unwrap_or_else(|| name.to_string());
    pattern(&bare) == pattern(&format!("{}.weight", layer.shrink))
}

/// What is wrong with the array found for `parameter`, if anything.
fn fault(parameter: &Parameter, found: &Params) -> Option<String> {
    let key = &parameter.key;
    match found.get(key) {
        None => Some(format!("`{key}` is missing")),
        Some(array) if array.shape != parameter.shape => {
            Some(format!("`{key}` is {:?}, expected {:?}", array.shape, parameter.shape))
        }
        Some(array) if array.data.len() != parameter.len() => Some(format!(
            "`{key}` holds {} values, its shape {}",
            array.data.len(),
            parameter.len()
        )),
        Some(_) => None,
    }
}

/// The classifier is loaded whole or not at all.
fn fit_head(recipe: &Recipe, head: &[Parameter], found: &mut Params) -> Result<HeadStatus> {
    if head.is_empty() {
        return Ok(HeadStatus::NotInRecipe);
    }
    let present: Vec<(&Parameter, &Array)> =
        head.iter().filter_map(|p| Some((p, found.get(&p.key)?))).collect();
    if present.is_empty() {
        return Ok(HeadStatus::Absent);
    }
    let faults: Vec<String> = head.iter().filter_map(|p| fault(p, found)).collect();
    if faults.is_empty() {
        return Ok(HeadStatus::Loaded);
    }
    // A fine-tuned checkpoint has its own classes: everything agrees but the first size.
    let own = present.first().and_then(|(_, array)| array.shape.first().copied());
    let consistent = present.len() == head.len()
        && present.iter().all(|(p, array)| {
            array.shape.first().copied() == own && array.shape.get(1..) == p.shape.get(1..)
        });
    match own {
        Some(classes) if consistent => {
            for parameter in head {
                found.remove(&parameter.key);
            }
            Ok(HeadStatus::OtherClasses(classes))
        }
        _ => Err(mismatch(recipe, describe(&faults, head.len()))),
    }
}

fn describe(faults: &[String], total: usize) -> String {
    let first = faults.iter().take(4).cloned().collect::<Vec<_>>().join("; ");
    let rest = faults.len().saturating_sub(4);
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("{} of {total} arrays do not match: {first}{more}", faults.len())
}

fn mismatch(recipe: &Recipe, detail: String) -> NnError {
    NnError::Mismatch { recipe: recipe.name.to_string(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backbones, init::random_weights};

    fn usps() -> (Recipe, Params) {
        let recipe = backbones::find("digits_usps").unwrap();
        let params = random_weights(&recipe, 0);
        (recipe, params)
    }

    fn detail(result: Result<(Params, LoadReport)>) -> String {
        match result {
            Err(NnError::Mismatch { detail, .. }) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_checkpoint_of_the_recipe_loads_whole() {
        for entry in backbones::all() {
            let recipe = (entry.recipe)();
            let whole: Params = recipe
                .parameters()
                .into_iter()
                .chain(recipe.head_parameters())
                .map(|p| (p.key.clone(), Array { data: vec![0.5; p.len()].into(), shape: p.shape }))
                .collect();
            let keys: Vec<String> = whole.keys().cloned().collect();
            let mut params = whole;
            params.insert("bn1.num_batches_tracked".into(), Array::default());
            params.insert("ema.decay".into(), Array::default());
            let (loaded, report) = load(&recipe, params).unwrap();
            assert!(loaded.keys().eq(&keys), "{}", entry.name);
            assert_eq!((report.matched, report.renamed, report.counters), (report.total, 0, 1));
            assert_eq!(report.unused, ["ema.decay"]);
        }
    }

    #[test]
    fn missing_and_misshapen_arrays_are_named_and_counted() {
        let (recipe, mut params) = usps();
        params.remove("features.5.running_var");
        params.insert(
            "features.0.weight".into(),
            Array { shape: vec![2], data: vec![0.0; 2].into() },
        );
        assert_eq!(
            detail(load(&recipe, params)),
            "2 of 14 arrays do not match: `features.0.weight` is [2], expected [32, 1, 3, 3]; \
             `features.5.running_var` is missing"
        );
        let all = detail(load(&recipe, Params::new()));
        assert!(all.starts_with("14 of 14") && all.ends_with("and 10 more"), "{all}");
    }

    #[test]
    fn a_shape_that_lies_about_its_data_is_refused() {
        let (recipe, mut params) = usps();
        let bias = params.get_mut("features.0.bias").unwrap();
        bias.data = bias.data[1..].to_vec().into();
        assert!(detail(load(&recipe, params)).contains("holds 31 values"));
    }

    #[test]
    fn a_head_may_be_absent_or_of_other_classes_but_not_half_there() {
        let (recipe, mut params) = usps();
        let classes = |n: usize, rest: &[usize]| {
            let shape = [&[n], rest].concat();
            Array { data: vec![0.0; shape.iter().product()].into(), shape }
        };
        params.insert("classifier.4.weight".into(), classes(3, &[128]));
        params.insert("classifier.4.bias".into(), classes(3, &[]));
        let (loaded, report) = load(&recipe, params.clone()).unwrap();
        assert_eq!(report.head, HeadStatus::OtherClasses(3));
        assert!(!loaded.contains_key("classifier.4.weight"));

        params.remove("classifier.4.bias");
        assert!(detail(load(&recipe, params.clone())).contains("`classifier.4.bias` is missing"));
        params.remove("classifier.4.weight");
        assert_eq!(load(&recipe, params).unwrap().1.head, HeadStatus::Absent);
    }

    #[test]
    fn wrappers_are_taken_off_and_two_of_a_kind_are_refused() {
        let (recipe, params) = usps();
        let wrapped: Params =
            params.clone().into_iter().map(|(k, v)| (format!("module._orig_mod.{k}"), v)).collect();
        let (loaded, report) = load(&recipe, wrapped).unwrap();
        assert_eq!((&loaded, report.renamed), (&params, params.len()));

        let mut twice = params.clone();
        twice.insert("module.features.0.bias".into(), params["features.0.bias"].clone());
        assert!(detail(load(&recipe, twice)).contains("are both `features.0.bias`"));
    }
}
