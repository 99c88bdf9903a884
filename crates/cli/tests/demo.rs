//! The first command of the README.

mod workshop;
use workshop::Workshop;

#[test]
fn the_demo_measures_what_transfer_bought() {
    let workshop = Workshop::new();
    let document = workshop.json("demo --offline");
    let accuracy = |figures: &serde_json::Value| figures["accuracy"].as_f64().unwrap();
    let baselines = document["baselines"].as_array().unwrap();
    let names: Vec<&str> = baselines.iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["majority", "pixels", "random"]);
    for baseline in baselines {
        assert!(accuracy(&document) > accuracy(baseline) + 0.15, "{baseline}");
    }
    assert!(accuracy(&document["domains"]["twitter"]) > 0.5);
    assert_eq!(document["run"], "runs/demo");

    let page = std::fs::read_to_string(workshop.path("runs/demo/report.html")).unwrap();
    assert!(page.contains("so transfer bought +") && !page.contains("<script"));
    for plot in ["accuracy", "confusion", "reliability", "feature-map", "timing"] {
        assert!(workshop.path(&format!("runs/demo/plots/{plot}.svg")).is_file(), "{plot}");
    }
}
