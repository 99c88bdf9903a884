//! `rl train`, `rl transfer` and `rl report`: documents, refusals, and what can be done with their runs.

mod workshop;
use workshop::{Workshop, keys};

#[test]
fn a_policy_is_learnt_and_reused() {
    let workshop = Workshop::new();
    let learnt = workshop.json("rl train cart-pole --steps 2048 --seeds 2 --name light");
    insta::assert_snapshot!("rl-train-keys", keys(&learnt));
    assert_eq!(learnt["constants"]["gravity"], 9.8);
    assert_eq!(workshop.json("runs resume light"), learnt);

    let line = "rl transfer light --to cart-pole --set gravity=15 --steps 2048 --seeds 2 \
                --method warm-start,shaping --name heavy";
    let moved = workshop.json(line);
    insta::assert_snapshot!("rl-transfer-keys", keys(&moved));
    assert_eq!(moved["target"]["constants"]["gravity"], 15.0);
    assert_eq!(workshop.json("runs resume heavy"), moved);
    assert_eq!(workshop.good("rl report heavy").trim(), "runs/heavy/report.html");
    assert!(workshop.path("runs/heavy/report.html").is_file());

    let text = workshop.good("runs resume heavy");
    assert!(text.contains("warm-start") && text.contains("runs/heavy/report.html"), "{text}");
    let runs = workshop.json("runs list");
    assert_eq!(runs["runs"][0]["data"], "cart-pole with gravity 15");
    let refused = workshop.run("predict heavy new.png");
    assert!(refused.code == 2 && refused.stderr.contains("holds no classifier"), "{refused:?}");
    let refused = workshop.run("report heavy");
    assert!(refused.code == 2 && refused.stderr.contains("rl report"), "{refused:?}");
    let refused = workshop.run("rl report light");
    assert!(refused.code == 2 && refused.stderr.contains("rl transfer"), "{refused:?}");
}

#[test]
fn what_cannot_be_learnt_is_refused_with_advice() {
    let workshop = Workshop::new();
    for (line, advice) in [
        ("rl train cartpole", "`cart-pole`"),
        ("rl train cart-pole --set graviti=15", "`gravity`"),
        ("rl train cart-pole --set gravity=1000", "0 to 100"),
        ("rl train cart-pole --set gravity", "`constant=number`"),
        ("rl train cart-pole --learner a2c", "`ppo`"),
        ("rl train pendulum --learner dqn", "`ppo` learns both"),
        ("rl train cart-pole --seeds 0", "10 is usual"),
        ("rl transfer nothing --to cart-pole", "no run `nothing`"),
    ] {
        let ended = workshop.run(line);
        assert!(ended.code == 2 && ended.stderr.contains(advice), "{line}: {ended:?}");
        assert!(!workshop.path("runs").exists(), "{line}");
    }
}
