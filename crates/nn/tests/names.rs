//! Checkpoints under foreign names load whole, every array in its place.
//!
//! `reference/names.py` paired the names by their position in the network.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use offshoot_nn::load::{HeadStatus, load};
use offshoot_nn::{Array, Params, backbones};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// (foreign layer, our layer, fields).
type Layers = Vec<(String, String, String)>;

/// Recipe → origin → layers.
fn reference() -> BTreeMap<String, BTreeMap<String, Layers>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/names.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_foreign_checkpoint_finds_its_place() {
    for (name, origins) in reference() {
        let recipe = backbones::find(&name).unwrap();
        let parameters: BTreeMap<_, _> = recipe
            .parameters()
            .into_iter()
            .chain(recipe.head_parameters())
            .map(|p| (p.key, p.shape))
            .collect();
        for (origin, layers) in origins {
            let case = format!("{name} from {origin}");
            // The first value of each array says which one it is.
            let mut foreign = Params::new();
            let mut mark_of = BTreeMap::new();
            for (layer, own, fields) in &layers {
                for field in fields.split(' ') {
                    let key = format!("{own}.{field}");
                    let shape = parameters[&key].clone();
                    let mut data = vec![0.0; shape.iter().product()];
                    data[0] = mark_of.len() as f32;
                    mark_of.insert(key, data[0]);
                    foreign.insert(format!("{layer}.{field}"), Array { shape, data: data.into() });
                }
            }
            foreign.insert("something.else".into(), Array::default());
            let (params, report) = load(&recipe, foreign).unwrap_or_else(|e| panic!("{case}: {e}"));
            let found: BTreeMap<_, _> =
                params.iter().map(|(key, array)| (key.clone(), array.data[0])).collect();
            assert_eq!(found, mark_of, "{case}");
            assert_eq!(report.unused, ["something.else"], "{case}");
            assert_eq!(report.matched, recipe.parameters().len(), "{case}");
            let renamed = layers.iter().filter(|(layer, own, _)| layer != own);
            let fields = renamed.map(|(_, _, fields)| fields.split(' ').count()).sum::<usize>();
            assert_eq!(report.renamed, fields, "{case}");
            let head = match &recipe.head {
                None => HeadStatus::NotInRecipe,
                Some(head) if layers.iter().any(|(_, own, _)| *own == head.key) => {
                    HeadStatus::Loaded
                }
                Some(_) => HeadStatus::Absent,
            };
            assert_eq!(report.head, head, "{case}");
        }
    }
}

#[test]
fn every_rename_table_is_proven() {
    let proven: BTreeSet<_> = reference().into_keys().collect();
    for entry in backbones::pictures() {
        // These recipes use the names of all their origins.
        let own_names =
            ["digits_mnist", "digits_svhn", "digits_usps", "resnext50_32x4d", "vgg16_bn"]
                .contains(&entry.name);
        assert!(own_names || proven.contains(entry.name), "{} has no names to prove", entry.name);
    }
}

#[test]
fn no_key_makes_a_rename_table_panic() {
    let odd = [
        "",
        ".",
        "..",
        "blocks.",
        "_blocks.99999999999999999999.x.y",
        "_blocks.1",
        "blocks.0.9.a.b",
        "encoder.stages.18446744073709551615.layers.0.shortcut.convolution.weight",
        "resnet.encoder.stages.0.layers.0.layer.18446744073709551615.convolution.weight",
        "features.é.conv.0.weight",
        "basenet.slice1.",
        "features..conv..weight",
    ];
    for entry in backbones::all() {
        let recipe = (entry.recipe)();
        for key in odd {
            let params = Params::from([(key.to_string(), Array::default())]);
            assert!(load(&recipe, params).is_err(), "{} {key}", entry.name);
        }
    }
}
