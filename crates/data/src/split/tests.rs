use super::*;
use crate::Input;

fn sample(id: &str, label: u32) -> Sample {
    Sample {
        id: id.to_owned(),
        input: Input::File(id.into()),
        label: Some(label),
        split: None,
        domain: None,
        group: None,
    }
}

fn dataset(sizes: &[usize]) -> Dataset {
    let samples = sizes
        .iter()
        .zip(0u32..)
        .flat_map(|(&n, class)| (0..n).map(move |i| sample(&format!("{class}/{i}.png"), class)));
    Dataset {
        name: "made".to_owned(),
        classes: (0..sizes.len()).map(|c| c.to_string()).collect(),
        samples: samples.collect(),
        notes: Vec::new(),
    }
}

fn count(data: &Dataset, class: u32, part: Split) -> usize {
    let of = |s: &&Sample| s.label == Some(class) && s.split == Some(part);
    data.samples.iter().filter(of).count()
}

fn divided(sizes: &[usize], spec: &SplitSpec) -> Dataset {
    let mut data = dataset(sizes);
    split(&mut data, spec).unwrap();
    data
}

#[test]
fn classes_keep_their_proportions() {
    let data = divided(&[100, 50, 10], &SplitSpec::default());
    assert_eq!([0, 1, 2].map(|c| count(&data, c, Split::Test)), [20, 10, 2]);
    assert_eq!([0, 1, 2].map(|c| count(&data, c, Split::Val)), [8, 4, 1]);
}

#[test]
fn many_tiny_classes_still_give_a_test_part_and_keep_one_to_train_on() {
    let data = divided(&[2; 50], &SplitSpec::default());
    let tests: usize = (0..50).map(|c| count(&data, c, Split::Test)).sum();
    assert_eq!(tests, 20);
    assert!((0..50).all(|c| count(&data, c, Split::Train) >= 1));
    let alone = divided(&[1, 1, 30], &SplitSpec::default());
    assert_eq!([0, 1].map(|c| count(&alone, c, Split::Train)), [1, 1]);
}

#[test]
fn the_order_of_samples_does_not_matter_and_the_seed_does() {
    let parts = |data: &Dataset| -> BTreeMap<String, Option<Split>> {
        let pairs = data.samples.iter().map(|s| (s.id.clone(), s.split));
        pairs.collect()
    };
    let spec = SplitSpec::default();
    let straight = divided(&[30, 20], &spec);
    let mut turned = dataset(&[30, 20]);
    turned.samples.reverse();
    split(&mut turned, &spec).unwrap();
    assert_eq!(parts(&straight), parts(&turned));
    let other = divided(&[30, 20], &SplitSpec { seed: 1, ..spec });
    assert_ne!(parts(&straight), parts(&other));
}

#[test]
fn groups_and_sets_never_straddle_parts() {
    let mut data = dataset(&[60, 60]);
    for (i, sample) in data.samples.iter_mut().enumerate() {
        sample.group = Some(format!("patient {}", i % 24));
    }
    let spec = SplitSpec { together: vec![vec![0, 1], vec![1, 2]], ..SplitSpec::default() };
    split(&mut data, &spec).unwrap();
    let mut parts: BTreeMap<String, BTreeSet<Option<Split>>> = BTreeMap::new();
    for sample in &data.samples {
        let group = sample.group.clone().unwrap();
        parts.entry(group).or_default().insert(sample.split);
    }
    assert!(parts.values().all(|p| p.len() == 1));
    assert_eq!(data.samples[0].split, data.samples[2].split);
    let tests = count(&data, 0, Split::Test) + count(&data, 1, Split::Test);
    assert!((16..=32).contains(&tests), "{tests} of 120 are tests");
}

#[test]
fn given_parts_stay_and_only_missing_ones_are_made() {
    let mut data = dataset(&[40]);
    for sample in &mut data.samples[..10] {
        sample.split = Some(Split::Test);
    }
    split(&mut data, &SplitSpec::default()).unwrap();
    assert!(data.samples[..10].iter().all(|s| s.split == Some(Split::Test)));
    assert_eq!(count(&data, 0, Split::Test), 10);
    assert_eq!(count(&data, 0, Split::Val), 3);
    let before: Vec<_> = data.samples.iter().map(|s| s.split).collect();
    split(&mut data, &SplitSpec::default()).unwrap();
    let after: Vec<_> = data.samples.iter().map(|s| s.split).collect();
    assert_eq!(before, after);
}

#[test]
fn a_fraction_outside_its_range_is_refused() {
    for fraction in [-0.1, 1.0, f64::NAN] {
        let spec = SplitSpec { test: fraction, ..SplitSpec::default() };
        assert!(split(&mut dataset(&[4]), &spec).is_err());
    }
}
