use std::fs;

use offshoot_transfer::{Event, ExtractPlan, TransferError, extract};

use super::data::*;

fn plan(place: &Place) -> ExtractPlan {
    ExtractPlan {
        size: None,
        precision: offshoot_transfer::Precision::Auto,
        data: place.path("data"),
        columns: Default::default(),
        model: "random:digits_usps".into(),
        layer: None,
        pooling: None,
        shard: None,
        out: None,
        batch: 8,
        seed: 0,
        cache: place.cache(),
    }
}

fn is_progress(event: &Event<'_>) -> bool {
    matches!(event, Event::Progress { .. })
}

#[test]
fn the_second_extraction_does_no_network_work() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let first = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!((first.computed, first.cached, first.rows), (30, 0, 30));
    let second = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!((second.computed, second.cached, second.rows), (0, 30, 30));
    // One new picture costs one row.
    fs::write(place.path("data/plain/new.pgm"), picture(2, 77)).unwrap();
    let third = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!((third.computed, third.cached), (1, 30));
}

#[test]
fn a_stopped_extraction_keeps_what_is_finished() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    for batches in 1..4 {
        let error = extract(&plan(&place), &mut stop_after(1, is_progress)).unwrap_err();
        assert!(matches!(error, TransferError::Stopped { run: None }));
        assert_eq!(error.exit_code(), 75);
        let probe = extract(&plan(&place), &mut stop_after(batches + 1, is_progress));
        if let Ok(done) = probe {
            assert!(done.cached >= 8 * batches);
            break;
        }
    }
    let whole = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!(whole.computed + whole.cached, 30);
    assert!(whole.cached >= 8);
}

#[test]
fn resumed_features_equal_uninterrupted_ones_bit_for_bit() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let whole = Place::new();
    let out = |name: &str| Some(whole.path(name));
    let uninterrupted = ExtractPlan { cache: whole.cache(), out: out("a.npz"), ..plan(&place) };
    extract(&uninterrupted, &mut ()).unwrap();
    extract(&plan(&place), &mut stop_after(2, is_progress)).unwrap_err();
    extract(&ExtractPlan { out: out("b.npz"), batch: 5, ..plan(&place) }, &mut ()).unwrap();
    assert_eq!(fs::read(whole.path("a.npz")).unwrap(), fs::read(whole.path("b.npz")).unwrap());
}

#[test]
fn damaged_chunks_are_computed_again_and_said_so() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 4, 0);
    let with_out = |name| ExtractPlan { out: Some(place.path(name)), ..plan(&place) };
    extract(&with_out("a.npz"), &mut ()).unwrap();
    let chunks = files(&place.path("cache")).into_iter().filter(|f| f.ends_with(".rows"));
    for chunk in chunks {
        let path = place.path("cache").join(chunk);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() - 100;
        bytes[middle] ^= 0x40;
        fs::write(&path, bytes).unwrap();
    }
    let mut said = Vec::new();
    let again = extract(&with_out("b.npz"), &mut |event: &Event<'_>| {
        if let Event::Warning(text) = event {
            said.push(text.to_string());
        }
        offshoot_transfer::Flow::Continue
    })
    .unwrap();
    assert_eq!((again.computed, again.cached), (12, 0));
    assert!(said.iter().any(|w| w.contains("damaged")), "{said:?}");
    assert_eq!(fs::read(place.path("a.npz")).unwrap(), fs::read(place.path("b.npz")).unwrap());
}

#[test]
fn more_than_a_fifth_unreadable_is_refused_and_less_is_listed() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    for i in 0..6 {
        fs::write(place.path("data/plain").join(format!("{i:04}.pgm")), b"<html>").unwrap();
    }
    let report = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!((report.rows, report.unreadable.len()), (24, 6));
    assert!(report.unreadable[0].path.ends_with("plain/0000.pgm"), "{:?}", report.unreadable[0]);
    fs::write(place.path("data/plain/0006.pgm"), b"").unwrap();
    let error = extract(&plan(&place), &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("7 of 30"), "{error}");
}

#[test]
fn shards_make_up_the_whole() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 5, 0);
    let rows = |shard| extract(&ExtractPlan { shard, ..plan(&place) }, &mut ()).unwrap().rows;
    assert_eq!((0..4).map(|i| rows(Some((i, 4)))).sum::<usize>(), 15);
    let whole = extract(&plan(&place), &mut ()).unwrap();
    assert_eq!(whole.computed, 0);
    let wrong = extract(&ExtractPlan { shard: Some((4, 4)), ..plan(&place) }, &mut ());
    assert_eq!(wrong.unwrap_err().exit_code(), 2);
}

#[test]
fn safetensors_and_npz_hold_the_same_numbers() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 3, 0);
    let out = |name: &str| {
        extract(&ExtractPlan { out: Some(place.path(name)), ..plan(&place) }, &mut ()).unwrap();
        fs::read(place.path(name)).unwrap()
    };
    let tensors = out("f.safetensors");
    let archive = out("f.npz");
    let header = u64::from_le_bytes(tensors[..8].try_into().unwrap()) as usize;
    let features = &tensors[8 + header..][..9 * 128 * 4];
    assert!(archive.windows(features.len()).any(|w| w == features));
    assert!(features.iter().any(|&b| b != 0));
}

#[test]
fn the_cap_holds_after_extraction() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut small = plan(&place);
    small.cache.max_bytes = 4000;
    let report =
        extract(&ExtractPlan { out: Some(place.path("f.npz")), ..small }, &mut ()).unwrap();
    assert_eq!(report.rows, 30);
    let chunks = files(&place.path("cache"));
    let size = |f: &String| fs::metadata(place.path("cache").join(f)).unwrap().len();
    assert!(chunks.iter().map(size).sum::<u64>() <= 4000, "{chunks:?}");
}
