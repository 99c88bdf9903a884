//! `shift`: data against data, a finished run against new data, and texts; the document's keys are stable.

mod workshop;
use std::fs;

use workshop::{Workshop, keys};

#[test]
fn a_document_a_page_and_words() {
    let workshop = Workshop::new();
    let document = workshop.json("shift photos other");
    // Which classes and measures there are depends on the data; their keys do not.
    insta::assert_snapshot!("shift-keys", keys(&document));
    assert_eq!(
        (document["command"].as_str(), document["schema"].as_u64()),
        (Some("shift"), Some(1))
    );
    let p = document["p_value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&p));

    let text = workshop.good("shift photos other -o shift.html");
    assert!(text.contains(document["sentence"].as_str().unwrap()), "{text}");
    let page = fs::read_to_string(workshop.path("shift.html")).unwrap();
    assert!(page.contains("photos") && !page.contains("<script"));

    // Data against itself: nothing moved.
    let same = workshop.json("shift photos photos");
    assert_eq!(same["verdict"], serde_json::json!(["none"]), "{}", same["sentence"]);
}

#[test]
fn a_finished_run_stands_for_what_it_was_trained_on() {
    let workshop = Workshop::new();
    workshop.good("train photos --name seen --guard off");
    let document = workshop.json("shift seen other");
    assert_eq!(document["model"], "efficientnet_lite0");
    // Its head has an opinion, so there is an accuracy.
    assert!(document["accuracy"]["source"].is_number(), "{}", document["accuracy"]);
    assert!(document["source"]["used"].as_u64().unwrap() > 0);
}

#[test]
fn what_cannot_be_compared_is_refused_with_advice() {
    let workshop = Workshop::new();
    fs::write(workshop.path("texts.csv"), "text,label\nred,a\nblue,b\n").unwrap();
    for (line, advice) in [("shift photos nothing", "nothing"), ("shift photos texts.csv", "texts")]
    {
        let ended = workshop.run(line);
        assert!([2, 3].contains(&ended.code) && ended.stderr.contains(advice), "{line}: {ended:?}");
    }
}
