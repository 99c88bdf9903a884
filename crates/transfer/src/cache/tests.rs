use super::*;

fn plan(dir: &Path) -> CachePlan {
    CachePlan { enabled: true, dir: Some(dir.into()), max_bytes: 1 << 30 }
}

fn scope() -> Scope {
    Scope {
        weights_sha256: "w".into(),
        preprocessing: "p".into(),
        stage: "s".into(),
        augmentation: "eval".into(),
    }
}

fn key(i: u32) -> Sha {
    Sha::of(&[&i.to_le_bytes()])
}

/// Writes rows `from..to` of two values (i, i + 0.5) as one chunk.
fn fill(cache: &Cache, from: u32, to: u32) {
    let mut rows = cache.rows(&scope(), 2).unwrap();
    for i in from..to {
        rows.push(&[key(i)], &[i as f32, i as f32 + 0.5]).unwrap();
    }
    rows.flush().unwrap();
}

#[test]
fn rows_come_back_in_the_callers_order() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    fill(&cache, 0, 3);
    fill(&cache, 3, 5);
    let rows = cache.rows(&scope(), 2).unwrap();
    assert!(rows.contains(&key(4)) && !rows.contains(&key(5)));
    let matrix = rows.gather(&[key(4), key(0), key(4)]).unwrap();
    assert_eq!(matrix.rows().data(), [4.0, 4.5, 0.0, 0.5, 4.0, 4.5]);
}

#[test]
fn seventy_thousand_rows_are_not_seventy_thousand_files() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    let mut rows = cache.rows(&scope(), 1).unwrap();
    for i in 0..70_000 {
        rows.push(&[key(i)], &[i as f32]).unwrap();
    }
    rows.flush().unwrap();
    assert!(files(cache.root()).len() < 100);
    let rows = cache.rows(&scope(), 1).unwrap();
    assert!((0..70_000).all(|i| rows.contains(&key(i))));
}

#[test]
fn another_scope_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    fill(&cache, 0, 3);
    for change in 0..4 {
        let mut other = scope();
        let fields = [
            &mut other.weights_sha256,
            &mut other.preprocessing,
            &mut other.stage,
            &mut other.augmentation,
        ];
        *fields.into_iter().nth(change).unwrap() = "other".into();
        assert!(!cache.rows(&other, 2).unwrap().contains(&key(0)));
    }
}

/// Whichever byte of a chunk is flipped, no row is ever read with a wrong value, and the damage is
/// reported.
#[test]
fn every_flipped_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    fill(&cache, 0, 2);
    let path =
        files(cache.root()).into_iter().map(|f| f.path).find(|p| p.extension().unwrap() == "rows");
    let path = path.unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let rows = cache.rows(&scope(), 2).unwrap();
        assert!(!rows.contains(&key(0)) && !rows.contains(&key(1)), "byte {at}");
        assert_eq!(rows.damaged().len(), 1, "byte {at}");
        assert!(!path.exists(), "byte {at}");
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let rows = cache.rows(&scope(), 2).unwrap();
        assert!(!rows.contains(&key(0)), "cut to {length}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(cache.rows(&scope(), 2).unwrap().contains(&key(1)));
    assert_eq!(cache.remove_damaged(), (0, 0));
    fs::write(&path, &whole[1..]).unwrap();
    assert_eq!(cache.remove_damaged().0, 1);
}

#[test]
fn the_least_recently_used_chunk_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut cache = Cache::open(&plan(dir.path())).unwrap().0;
    fill(&cache, 0, 10);
    fill(&cache, 10, 20);
    fill(&cache, 20, 30);
    // The first is old but was used last; the second is the oldest use.
    let ages = |i: u32| [0, 300, 200][i as usize / 10];
    let rows = cache.rows(&scope(), 2).unwrap();
    for file in files(cache.root()) {
        let Ok(chunk) = chunk::Chunk::open(&file.path, scope().sha(), 2) else { continue };
        let first = (0..30).find(|i| chunk.keys.contains(&key(*i))).unwrap();
        let used = SystemTime::now() - std::time::Duration::from_secs(ages(first));
        fs::File::options().append(true).open(&file.path).unwrap().set_modified(used).unwrap();
    }
    cache.max_bytes = cache.bytes() - 1;
    assert_eq!(cache.evict().0, 1);
    assert!(cache.bytes() <= cache.max_bytes);
    let left = cache.rows(&scope(), 2).unwrap();
    assert!(left.contains(&key(0)) && !left.contains(&key(10)) && left.contains(&key(20)));
    // A reader that had opened the evicted chunk still gets its rows.
    assert_eq!(rows.gather(&[key(15)]).unwrap().rows().data(), [15.0, 15.5]);
}

#[test]
fn reading_marks_as_used() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    fill(&cache, 0, 1);
    let path = files(cache.root()).into_iter().find(|f| f.path.extension().unwrap() == "rows");
    let path = path.unwrap().path;
    fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    cache.rows(&scope(), 2).unwrap().gather(&[key(0)]).unwrap();
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_cache_and_not_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let (cache, warning) = Cache::open(&plan(&file)).unwrap();
    assert!(warning.unwrap().contains("cannot be written"));
    fill(&cache, 0, 1);
    assert!(cache.rows(&scope(), 2).unwrap().contains(&key(0)));
}

#[test]
fn two_writers_of_the_same_rows_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| fill(&Cache::open(&plan(dir.path())).unwrap().0, 0, 50));
        }
    });
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    let rows = cache.rows(&scope(), 2).unwrap();
    assert!((0..50).all(|i| rows.contains(&key(i))));
    assert!(rows.damaged().is_empty());
}

/// A killed process runs no destructor and flushes nothing; full chunks are there all the same.
#[test]
fn a_killed_process_loses_only_the_unfinished_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&plan(dir.path())).unwrap().0;
    let mut rows = cache.rows(&scope(), 1).unwrap();
    let mut written = 0;
    for i in 0..2500 {
        if rows.push(&[key(i)], &[i as f32]).unwrap() {
            written = i + 1;
        }
    }
    std::mem::forget(rows);
    // What a write that was cut off leaves under its temporary name is not taken for a chunk.
    let folder = files(cache.root())[0].path.parent().unwrap().to_path_buf();
    fs::write(folder.join(".offshoot-tmp-x"), b"half a chunk").unwrap();
    assert!((2048..2500).contains(&written));
    let rows = cache.rows(&scope(), 1).unwrap();
    assert!((0..written).all(|i| rows.contains(&key(i))));
    assert!((written..2500).all(|i| !rows.contains(&key(i))));
    assert!(rows.damaged().is_empty());
}
