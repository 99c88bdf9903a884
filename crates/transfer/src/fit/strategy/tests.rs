#![allow(clippy::unwrap_used, reason = "a test may panic")]

use offshoot_nn::backbones;

use super::*;

fn facts<'a>(groups: &'a Groups, settings: &'a Finetune) -> Facts<'a> {
    let sensitivity = Some((0..groups.len()).map(|g| g as f64).collect());
    Facts { groups, settings, samples: 500, classes: 10, epochs: 6, sensitivity, is_text: false }
}

/// Laws of every strategy on every network of pictures.
#[test]
fn every_strategy_plans_for_every_network() {
    let settings = Finetune::default();
    for entry in backbones::pictures() {
        let groups = Groups::new(&(entry.recipe)());
        for strategy in all() {
            let name = format!("{} on {}", strategy.name, entry.name);
            let schedule = match (strategy.plan)(&facts(&groups, &settings)) {
                Ok(schedule) => schedule,
                // Networks without norms have none to tune, and those without matrices no products.
                Err(error) if ["norm-tune", "lora"].contains(&strategy.name) => {
                    assert_eq!(error.exit_code(), 2, "{name}");
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            assert_eq!(schedule.phases.is_empty(), strategy.name == "probe", "{name}");
            let all = groups.keys(|_| true);
            for phase in &schedule.phases {
                assert!(!phase.learns.is_empty() && phase.learns.is_subset(&all), "{name}");
                assert_eq!(phase.rates.len(), groups.len() + 1, "{name}");
                assert!(phase.rates.iter().all(|r| (0.0..=1.0).contains(r)), "{name}");
                assert!(phase.lr > 0.0 && phase.epochs > 0, "{name}");
            }
            let epochs: usize = schedule.phases.iter().map(|phase| phase.epochs).sum();
            assert!(schedule.phases.is_empty() || epochs == 6, "{name}: {epochs} epochs");
        }
    }
}

#[test]
fn names_are_the_words_of_their_files() {
    for strategy in all() {
        assert!(strategy.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        assert!(std::ptr::eq(find(strategy.name).unwrap(), strategy));
        assert!(strategy.paper.contains("arXiv"), "{}", strategy.name);
    }
    assert_eq!(find("finetune").unwrap_err().exit_code(), 2);
}

#[test]
fn gradual_unfreezing_ends_with_everything() {
    let groups = Groups::new(&backbones::find("mobilenet_v2").unwrap());
    let settings = Finetune::default();
    for epochs in 1..25 {
        let facts = Facts { epochs, ..facts(&groups, &settings) };
        let phases = (find("gradual").unwrap().plan)(&facts).unwrap().phases;
        assert_eq!(phases.last().unwrap().learns, groups.keys(|_| true));
        for pair in phases.windows(2) {
            assert!(pair[0].learns.is_subset(&pair[1].learns));
            assert!(pair[0].learns.len() < pair[1].learns.len());
        }
        assert_eq!(phases.iter().map(|p| p.epochs).sum::<usize>(), epochs);
    }
}

#[test]
fn surgery_follows_the_gradient_or_the_user() {
    let groups = Groups::new(&backbones::find("resnet18").unwrap());
    let plan = |block: &str| {
        let settings = Finetune { block: block.into(), ..Finetune::default() };
        (find("surgical").unwrap().plan)(&facts(&groups, &settings))
            .map(|s| s.phases[0].name.clone())
    };
    assert_eq!(plan("first").unwrap(), "only stem");
    assert_eq!(plan("layer2").unwrap(), "only layer2");
    assert_eq!(plan("auto").unwrap(), plan("last").unwrap());
    assert!(plan("layer9").unwrap_err().hint().unwrap().contains("layer4"));
}

#[test]
fn the_automatic_choice_follows_its_rule() {
    let groups = Groups::new(&backbones::find("resnet18").unwrap());
    let settings = Finetune::default();
    let choice = |samples| {
        let facts = Facts { samples, ..facts(&groups, &settings) };
        let schedule = (find("auto").unwrap().plan)(&facts).unwrap();
        schedule.phases.first().map(|phase| phase.name.clone())
    };
    assert_eq!(choice(39), None);
    assert_eq!(choice(40).unwrap(), "everything");
    let schedule = (find("auto").unwrap().plan)(&facts(&groups, &settings)).unwrap();
    let names: Vec<Option<String>> =
        schedule.cheaper.iter().map(|s| s.phases.first().map(|p| p.name.clone())).collect();
    assert_eq!(names, [Some("last 2".into()), None]);
}

#[test]
fn few_texts_leave_the_words_alone() {
    for entry in backbones::texts() {
        let recipe = (entry.recipe)();
        let groups = Groups::new(&recipe);
        let plan = |samples, epochs| {
            let settings = Finetune { epochs, ..Finetune::default() };
            let facts = Facts { samples, is_text: true, ..facts(&groups, &settings) };
            (find("auto").unwrap().plan)(&facts).unwrap().phases[0].clone()
        };
        let few = plan(999, None);
        if groups.len() == 1 {
            // Words are all that there is.
            assert_eq!((few.learns, few.epochs), (groups.keys(|_| true), 6), "{}", entry.name);
            continue;
        }
        assert_eq!(few.learns, groups.keys(|group| group > 0), "{}", entry.name);
        assert!(few.learns.iter().all(|key| !key.contains("word_embeddings")), "{}", entry.name);
        assert_eq!((few.epochs, plan(999, Some(6)).epochs), (3, 6));
        let many = plan(1000, None);
        assert_eq!((many.learns, many.epochs), (groups.keys(|_| true), 6), "{}", entry.name);
    }
}
