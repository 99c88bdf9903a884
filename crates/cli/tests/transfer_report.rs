//! `transfer-report`: the answer, the document, and what can be done with its folder.

mod workshop;
use workshop::{Workshop, keys};

const LINE: &str = "transfer-report photos --models random:digits_usps --shares 50,100 --seeds 2 \
                    --epochs 2 --name worth";

#[test]
fn a_report_is_a_page_a_document_and_a_run() {
    let workshop = Workshop::new();
    let dry = workshop.json(&format!("{LINE} --dry-run"));
    insta::assert_snapshot!("transfer-report-dry-run-keys", keys(&dry));
    assert!(!workshop.path("runs/worth").exists());

    let document = workshop.json(LINE);
    insta::assert_snapshot!("transfer-report-keys", keys(&document));
    for file in ["report.html", "report.json", "curves.csv", "equivalents.csv", "matrix.csv"] {
        assert!(workshop.path("runs/worth").join(file).is_file(), "{file}");
    }
    // The same command has nothing left to do and says the same.
    assert_eq!(workshop.json(LINE), document);
    assert_eq!(workshop.json("runs resume worth"), document);
    let text = workshop.good(LINE);
    assert!(
        text.contains("random:digits_usps") && text.contains("runs/worth/report.html"),
        "{text}"
    );

    let runs = workshop.json("runs list");
    assert_eq!(runs["runs"][0]["name"], "worth");
    assert_eq!(runs["runs"][0]["state"], "complete");
    assert_eq!(workshop.good("report worth").trim(), "runs/worth/report.html");
    let refused = workshop.run("predict worth new.png");
    assert!([2, 4].contains(&refused.code), "{refused:?}");
}

#[test]
fn what_cannot_be_compared_is_refused_with_advice() {
    let workshop = Workshop::new();
    for (line, advice) in [
        ("transfer-report photos --methods probe", "name at least one of `scratch` and `pixels`"),
        ("transfer-report photos --methods probe,scrach", "unknown method `scrach`"),
        ("transfer-report photos --shares 0,50", "shares lie above 0 %"),
        ("transfer-report photos --seeds 0", "3 is usual"),
        ("transfer-report nothing", "nothing"),
    ] {
        let ended = workshop.run(line);
        assert!([2, 3].contains(&ended.code) && ended.stderr.contains(advice), "{line}: {ended:?}");
        assert!(!workshop.path("runs").exists(), "{line}");
    }
}
