//! The store of source models.

use std::path::Path;

mod workshop;
use workshop::Workshop;

#[test]
fn models_are_added_used_verified_and_removed() {
    let workshop = Workshop::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets/efficientnet_lite0/model.safetensors");
    std::fs::copy(file, workshop.path("weights.safetensors")).unwrap();

    let added = workshop.good("models add weights.safetensors --name ours --licence Apache-2.0");
    assert!(added.contains("efficientnet_lite0") && added.contains("Apache-2.0"), "{added}");
    let twice = workshop.run("models add weights.safetensors --name ours");
    assert_eq!(twice.code, 2, "{twice:?}");
    let models = workshop.json("models list");
    let ours = models["models"].as_array().unwrap().iter().find(|m| m["name"] == "ours").unwrap();
    assert_eq!((&ours["state"], &ours["recipe"]), (&"here".into(), &"efficientnet_lite0".into()));
    let info = workshop.json("models info ours");
    assert_eq!(info["model"]["sha256"], ours["sha256"]);

    let trained = workshop.json("train photos --model ours");
    assert_eq!(trained["model"], "ours");
    workshop.good("models verify -q");

    let stored = workshop.path("home/models/ours/model.safetensors");
    let mut bytes = std::fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&stored, bytes).unwrap();
    for line in ["models verify", "train photos --model ours"] {
        let ended = workshop.run(line);
        assert_eq!(ended.code, 4, "{line}: {ended:?}");
    }
    workshop.good("models rm ours -q");
    assert_eq!(workshop.run("models info ours").code, 2);
}

#[test]
fn every_model_of_the_list_can_be_asked_about() {
    let workshop = Workshop::new();
    let models = workshop.json("models list");
    for listed in models["models"].as_array().unwrap() {
        let name = listed["name"].as_str().unwrap();
        let info = workshop.json(&format!("models info {name}"));
        assert_eq!(&info["model"], listed);
        assert!(workshop.good(&format!("models info {name}")).contains(name));
    }
    let info = workshop.json("models info efficientnet_lite0");
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets/efficientnet_lite0/model.safetensors");
    assert_eq!(info["model"]["bytes"], std::fs::metadata(file).unwrap().len());
}

#[test]
fn a_checkpoint_that_fits_nothing_is_refused() {
    let workshop = Workshop::new();
    std::fs::write(workshop.path("broken.safetensors"), b"\x10\0\0\0\0\0\0\0not json").unwrap();
    let ended = workshop.run("models add broken.safetensors");
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        workshop.json("models list")["models"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["state"] != "here")
    );
}
