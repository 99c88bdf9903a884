//! The embedded network on 20 ImageNet photographs: our decoding, resizing, weights and interpreter
//! together give the classes that PyTorch gives.
//!
//! The photographs come with the Python package foolbox (MIT), which is too large for this
//! repository: `assets/fetch_photographs.py` fetches them through your own pip. Without them the
//! test says that it was skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};

use offshoot_data::{Channels, Filter, Input, Limits, Transform};
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{backbones, load};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What PyTorch says about each photograph (see `crates/nn/tests/reference/photos.py`).
fn reference() -> Vec<serde_json::Value> {
    let path = repository().join("crates/nn/tests/reference/photos.json");
    let all: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all["bicubic"].as_array().unwrap().clone()
}

#[test]
fn seventeen_of_twenty_photographs_are_recognised() {
    let folder = std::env::var_os("OFFSHOOT_PHOTOGRAPHS")
        .map_or_else(|| repository().join("target/photographs"), PathBuf::from);
    if !folder.is_dir() {
        // Past the test harness, which would swallow it.
        let note =
            "skipped: the photographs are not there; assets/fetch_photographs.py fetches them";
        writeln!(std::io::stderr(), "seventeen_of_twenty_photographs_are_recognised: {note}")
            .unwrap();
        return;
    }
    let recipe = backbones::find("efficientnet_lite0").unwrap();
    let weights = repository().join("assets/efficientnet_lite0/model.safetensors");
    let checkpoint = offshoot_weights::read(&weights).unwrap();
    let (params, _) = load::load(&recipe, checkpoint.params).unwrap();
    let plan = Plan::new(&recipe, &params, &PlanOptions::default()).unwrap();
    let transform = Transform {
        size: recipe.picture().unwrap().size,
        crop_fraction: recipe.picture().unwrap().crop_fraction,
        filter: Filter::Bicubic,
        channels: Channels::Rgb,
    };
    let (mut first, mut among_five, mut like_pytorch) = (0, 0, 0);
    let reference = reference();
    for photograph in &reference {
        let path = folder.join(photograph["file"].as_str().unwrap());
        let bytes = transform.apply(&Input::File(path), &Limits::default()).unwrap();
        let input: Vec<f32> = bytes
            .iter()
            .enumerate()
            .map(|(i, &b)| {
                (f32::from(b) / 255.0 - recipe.picture().unwrap().mean[i % 3])
                    / recipe.picture().unwrap().std[i % 3]
            })
            .collect();
        let mut features = vec![0.0; plan.feature_dim()];
        let mut logits = vec![0.0; plan.source_classes().unwrap()];
        plan.features_and_logits(&input, 1, &mut features, &mut logits).unwrap();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let label = photograph["label"].as_u64().unwrap() as usize;
        first += usize::from(order[0] == label);
        among_five += usize::from(order[..5].contains(&label));
        like_pytorch += usize::from(order[0] as u64 == photograph["top5"][0].as_u64().unwrap());
        for (class, logit) in photograph["top5"]
            .as_array()
            .unwrap()
            .iter()
            .zip(photograph["logits"].as_array().unwrap())
        {
            // The embedded weights are in half precision, PyTorch's were not.
            let off =
                (logits[class.as_u64().unwrap() as usize] - logit.as_f64().unwrap() as f32).abs();
            assert!(off < 0.1, "{}: a logit is off by {off}", photograph["file"]);
        }
    }
    println!("{first}/20 first, {among_five}/20 among five, {like_pytorch}/20 as PyTorch");
    assert_eq!((first, among_five, like_pytorch, reference.len()), (17, 20, 20, 20));
}
