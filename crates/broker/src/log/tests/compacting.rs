//! Compaction: of each key the latest stays at its offset, whatever the log looks like and wherever the process dies.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;

use super::*;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 300,
        index_interval_bytes: 100,
        cleanup: Cleanup::COMPACT,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1_000,
        ..LogOptions::default()
    }
}

type Found = BTreeMap<String, (i64, Option<String>)>;

fn latest(rows: impl IntoIterator<Item = (i64, String, Option<String>)>) -> Found {
    rows.into_iter().map(|(offset, key, value)| (key, (offset, value))).collect()
}

#[test]
fn the_latest_of_each_key_stays_at_its_offset() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    for round in 0..10 {
        for key in ["a", "b", "c"] {
            append(&log, batch_at(NOW_MS, &[(key, Some(&format!("{key}{round}"))), ("x", Some("y"))]))
                .unwrap();
        }
    }
    let before = read_from(&log, 0, ALL);
    log.set_options(LogOptions { segment_bytes: 1 << 20, ..options() });
    let (files, size) = (world.files(".log").len(), log.size_bytes());
    assert!(logs.tend().unwrap().segments_compacted > 0);
    let after = read_from(&log, 0, ALL);
    assert_eq!(latest(after.clone()), latest(before.clone()));
    assert!(after.len() < before.len() / 2 && log.size_bytes() < size && world.files(".log").len() < files);
    assert!(after.iter().all(|row| before.contains(row)));
    assert_eq!(log.high_watermark(), 60);
    assert_eq!(logs.tend().unwrap().segments_compacted, 0, "there is nothing more to do");
    for from in 0..=60 {
        assert_eq!(
            read_from(&log, from, ALL),
            after.iter().filter(|row| row.0 >= from).cloned().collect::<Vec<_>>()
        );
    }
    drop((log, logs));
    world.forget_boot();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    assert_eq!(read_from(&log, 0, ALL), after);
    assert_eq!(append(&log, batch(&["next"])).unwrap().base_offset, 60);
}

#[test]
fn a_tombstone_goes_after_its_time() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let put = |records| assert!(append(&log, records).is_ok());
    let fill = || (0..4).for_each(|_| put(batch_at(NOW_MS, &[("fill", Some(&"f".repeat(90)))])));
    append(&log, batch_at(NOW_MS, &[("gone", Some("v")), ("kept", Some("v"))])).unwrap();
    append(&log, batch_at(NOW_MS + 7, &[("gone", None)])).unwrap();
    let has_tombstone = || read_from(&log, 0, ALL).iter().any(|row| row.1 == "gone");
    fill();
    logs.tend().unwrap();
    assert_eq!(
        read_from(&log, 0, ALL)[..2],
        [(1, "kept".into(), Some("v".into())), (2, "gone".into(), None)]
    );
    // Its own time is not touched by the horizon that the batch carries now.
    assert_eq!(log.offset_for_time(NOW_MS + 7).unwrap().unwrap().timestamp_ms, NOW_MS + 7);
    fill();
    world.clock.advance_ms(999);
    logs.tend().unwrap();
    assert!(has_tombstone());
    fill();
    world.clock.advance_ms(2);
    logs.tend().unwrap();
    assert!(!has_tombstone());
    assert_eq!(read_from(&log, 0, ALL)[0].1, "kept");
}

#[test]
fn young_segments_and_clean_logs_are_left_alone() {
    let world = World::new();
    let logs = world.start();
    let options = LogOptions { min_compaction_lag_ms: 5_000, min_cleanable_dirty_ratio: 0.5, ..options() };
    let log = logs.log("t", 0, options.clone()).unwrap();
    let put = |records| assert!(append(&log, records).is_ok());
    let fill = |time_ms| (0..10).for_each(|_| put(batch_at(time_ms, &[("k", Some("v"))])));
    fill(NOW_MS);
    assert_eq!(logs.tend().unwrap().segments_compacted, 0);
    world.clock.advance_ms(5_001);
    assert!(logs.tend().unwrap().segments_compacted > 0);
    log.set_options(LogOptions { min_cleanable_dirty_ratio: 1.0, max_compaction_lag_ms: 60_000, ..options });
    fill(NOW_MS);
    assert_eq!(logs.tend().unwrap().segments_compacted, 0);
    world.clock.advance_ms(60_000);
    assert!(logs.tend().unwrap().segments_compacted > 0, "overdue");
}

#[test]
fn a_producer_s_last_batch_keeps_its_sequence() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    for sequence in 0..2 {
        let mut builder = BatchBuilder::new(0).producer(7, 0, sequence);
        builder.push(0, NOW_MS, Some(b"k"), Some(b"v"), []);
        append(&log, builder.finish().unwrap()).unwrap();
    }
    let put = |records| assert!(append(&log, records).is_ok());
    (0..9).for_each(|_| put(batch(&["newer"])));
    logs.tend().unwrap();
    drop((log, logs));
    world.files(".snapshot").iter().for_each(|name| fs::remove_file(world.path(name)).unwrap());
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let mut builder = BatchBuilder::new(0).producer(7, 0, 1);
    builder.push(0, NOW_MS, Some(b"k"), Some(b"v"), []);
    assert!(append(&log, builder.finish().unwrap()).unwrap().duplicate);
}

/// The files as a kill leaves them between the steps of a swap: nothing is lost and nothing comes back.
#[test]
fn a_swap_is_finished_or_forgotten() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let put = |records| assert!(append(&log, records).is_ok());
    (0..30).for_each(|number| {
        put(batch_at(NOW_MS, &[(["a", "b", "c"][number % 3], Some(&number.to_string()))]));
    });
    let before = read_from(&log, 0, ALL);
    drop((log, logs));
    let old: Vec<(String, Vec<u8>)> = world
        .files("")
        .into_iter()
        .map(|name| (name.clone(), fs::read(world.path(&name)).unwrap()))
        .collect();
    let logs = world.start();
    // One segment takes the place of all full ones.
    let log = logs.log("t", 0, LogOptions { segment_bytes: 1 << 20, ..options() }).unwrap();
    logs.tend().unwrap();
    let after = read_from(&log, 0, ALL);
    assert!(after.len() < before.len());
    let rewritten = fs::read(world.path("00000000000000000000.log")).unwrap();
    let next = log.all_segments()[1].base_offset;
    drop((log, logs));
    let check = |name: &str, content: &[u8], removed: usize, expected: &[(i64, String, Option<String>)]| {
        fs::remove_dir_all(world.path("")).unwrap();
        fs::create_dir(world.path("")).unwrap();
        for (name, bytes) in old.iter().skip(removed) {
            fs::write(world.path(name), bytes).unwrap();
        }
        fs::write(world.path(name), content).unwrap();
        for _ in 0..2 {
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            assert_eq!(read_from(&log, 0, ALL), expected, "{name}, {removed} removed");
        }
        assert_eq!(world.files("cleaned").len() + world.files("swap").len(), 0);
    };
    check("00000000000000000000.log.cleaned", &rewritten, 0, &before);
    let swap = format!("00000000000000000000.{next}.swap");
    for removed in 0..9 {
        check(&swap, &rewritten, removed, &after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn compaction_never_loses_a_latest_value(
        batches in proptest::collection::vec(proptest::collection::vec((0_u8..60, any::<Option<u8>>()), 1..6), 1..60),
        tend_every in 1_usize..20,
        codec in 0_i16..5,
    ) {
        let world = World::new();
        let logs = world.start();
        let log = logs.log("t", 0, LogOptions { delete_retention_ms: i64::MAX, ..options() }).unwrap();
        let compression = wire::compression::Compression::from_attributes(codec).unwrap();
        let mut expected = Found::new();
        let mut next = 0;
        for (place, rows) in batches.iter().enumerate() {
            let mut builder = BatchBuilder::new(0).compression(compression);
            for (delta, (key, value)) in (0..).zip(rows) {
                let (key, value) = (key.to_string(), value.map(|value| value.to_string()));
                builder.push(delta, NOW_MS, Some(key.as_bytes()), value.as_deref().map(str::as_bytes), []);
                expected.insert(key, (next, value));
                next += 1;
            }
            append(&log, builder.finish().unwrap()).unwrap();
            if place % tend_every == 0 {
                logs.tend().unwrap();
            }
        }
        logs.tend().unwrap();
        let rows = read_from(&log, 0, ALL);
        prop_assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(latest(rows), expected.clone());
        drop((log, logs));
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        prop_assert_eq!(latest(read_from(&log, 0, ALL)), expected);
        prop_assert_eq!(log.high_watermark(), next);
    }
}
