//! Lives that end in the middle: torn tails at every byte, lost indices, producers, clean ends, the fixture of v1.

use std::fs;

use super::{appending::sequenced, *};

/// Segments of a few batches each.
pub(super) fn options() -> LogOptions {
    LogOptions { segment_bytes: 700, index_interval_bytes: 100, ..LogOptions::default() }
}

/// Appends 30 batches in one life, and ends it as asked.
pub(super) fn written(world: &World, clean: bool) -> Vec<String> {
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    for number in 0..30 {
        append(&log, batch(&[&format!("value {number}")])).unwrap();
    }
    if clean {
        logs.close().unwrap();
    }
    values(&log)
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let world = World::new();
    let expected = written(&world, false);
    let last = world.path(world.files(".log").last().unwrap());
    let whole = fs::read(&last).unwrap();
    let size = batch(&["value 29"]).len();
    let before: usize = expected.len() - whole.len() / size;
    for reboot in [false, true] {
        for length in (0..=whole.len()).rev() {
            fs::write(&last, &whole[..length]).unwrap();
            if reboot {
                world.forget_boot();
            }
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            let kept = before + length / size;
            assert_eq!(values(&log), expected[..kept], "cut to {length} bytes, reboot: {reboot}");
            assert_eq!(append(&log, batch(&["next"])).unwrap().base_offset, kept as i64);
            assert_eq!(values(&log).len(), kept + 1);
        }
    }
}

#[test]
fn a_changed_byte_ends_the_log_there_after_a_power_cut() {
    let world = World::new();
    let expected = written(&world, false);
    let first = world.path(&world.files(".log")[0]);
    let size = batch(&["value 0"]).len();
    let mut bytes = fs::read(&first).unwrap();
    bytes[size * 2 + 30] ^= 0x40;
    fs::write(&first, bytes).unwrap();
    world.forget_boot();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    assert_eq!(values(&log), expected[..2]);
    assert_eq!(world.files(".log").len(), 1, "what lay behind the damage is gone");
}

#[test]
fn lost_and_torn_indices_are_made_anew() {
    let world = World::new();
    let expected = written(&world, true);
    for index in world.files("index") {
        let path = world.path(&index);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len().saturating_sub(3)]).unwrap();
    }
    fs::remove_file(world.path(&world.files(".index")[0])).unwrap();
    fs::remove_file(world.path(&world.files(".timeindex")[1])).unwrap();
    for _ in 0..2 {
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        assert_eq!(values(&log), expected);
        for offset in 0..30 {
            assert_eq!(read_from(&log, offset, ALL).len() as i64, 30 - offset);
        }
        assert_eq!(log.offset_for_time(NOW_MS).unwrap().unwrap().offset, 0);
    }
}

#[test]
fn every_end_keeps_what_was_acknowledged() {
    for (clean, reboot, durability) in [
        (true, false, Durability::PageCache),
        (false, false, Durability::PageCache),
        (true, true, Durability::PageCache),
        (true, false, Durability::Fsync),
        (false, true, Durability::Fsync),
    ] {
        let world = World { durability, ..World::new() };
        let mut expected = written(&world, clean);
        if reboot {
            world.forget_boot();
            fs::remove_file(world.dir.path().join("data/.clean-end")).ok();
        }
        for life in 0..3 {
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            assert_eq!(
                values(&log),
                expected,
                "clean: {clean}, reboot: {reboot}, {durability:?}, life {life}"
            );
            assert_eq!(log.high_watermark(), expected.len() as i64);
            append(&log, batch(&["more"])).unwrap();
            expected.push("more".to_owned());
            if life == 1 {
                logs.close().unwrap();
            }
        }
    }
}

#[test]
fn a_clean_end_is_marked_for_one_start() {
    let world = World::new();
    written(&world, true);
    let mark = world.dir.path().join("data/.clean-end");
    assert!(mark.exists());
    let logs = world.start();
    assert!(!mark.exists());
    let locked = Logs::open(LogsOptions::at(world.dir.path().join("data")), Arc::new(world.clock.clone()));
    assert!(matches!(locked.err(), Some(LogError::Locked { .. })));
    let log = logs.log("t", 0, options()).unwrap();
    logs.close().unwrap();
    logs.close().unwrap();
    assert!(matches!(append(&log, batch(&["late"])), Err(LogError::Closed { .. })));
}

#[test]
fn producers_are_remembered_over_every_end() {
    for clean in [true, false] {
        for (reboot, segment_bytes) in [(false, 300), (true, 300), (false, 1 << 20), (true, 1 << 20)] {
            let world = World::new();
            let options = LogOptions { segment_bytes, index_interval_bytes: 100, ..LogOptions::default() };
            let logs = world.start();
            let log = logs.log("t", 0, options.clone()).unwrap();
            (0..9).for_each(|place| {
                assert_eq!(append(&log, sequenced(2, place * 2)).unwrap().base_offset, i64::from(place) * 2)
            });
            if clean {
                logs.close().unwrap();
            }
            drop((log, logs));
            if reboot {
                world.forget_boot();
            }
            let logs = world.start();
            let log = logs.log("t", 0, options).unwrap();
            for place in 4..9 {
                let again = append(&log, sequenced(2, place * 2)).unwrap();
                assert_eq!(
                    (again.base_offset, again.duplicate),
                    (i64::from(place) * 2, true),
                    "clean: {clean}"
                );
            }
            assert!(matches!(
                append(&log, sequenced(2, 20)),
                Err(LogError::OutOfOrderSequence { expected: 18, .. })
            ));
            assert_eq!(append(&log, sequenced(2, 18)).unwrap().base_offset, 18);
        }
    }
}

#[test]
fn a_snapshot_that_does_not_check_is_not_believed() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    append(&log, sequenced(0, 0)).unwrap();
    logs.close().unwrap();
    drop((log, logs));
    let snapshot = world.path(&world.files(".snapshot")[0]);
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[9] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    assert!(append(&log, sequenced(0, 0)).unwrap().duplicate);
}

#[test]
fn folders_are_found_and_deleted_ones_are_not() {
    let world = World::new();
    let logs = world.start();
    for (topic, partition) in [("a-b", 0), ("a-b", 11), ("_schemas", 0)] {
        logs.log(topic, partition, options()).unwrap();
    }
    let gone = logs.log("gone", 0, options()).unwrap();
    append(&gone, batch(&["x"])).unwrap();
    logs.delete("gone", 0).unwrap();
    assert!(matches!(append(&gone, batch(&["x"])), Err(LogError::Deleted { .. })));
    assert!(matches!(gone.read_blocking(0, ALL), Err(LogError::Deleted { .. })));
    fs::create_dir(world.dir.path().join("data/half-3.deleted")).unwrap();
    drop(logs);
    let logs = world.start();
    let found = logs.found().unwrap();
    assert_eq!(found, [("_schemas".to_owned(), 0), ("a-b".to_owned(), 0), ("a-b".to_owned(), 11)]);
    assert!(!world.dir.path().join("data/half-3.deleted").exists());
}

/// `fixtures/segment/v1` was written once by this code and is only read since: what is on disks stays readable.
#[test]
fn the_segment_of_version_1_is_readable() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/segment/v1");
    if std::env::var_os("TIDEMILL_WRITE_FIXTURE").is_some() {
        write_fixture(&fixture);
    }
    let world = World::new();
    fs::create_dir_all(world.path("")).unwrap();
    for entry in fs::read_dir(&fixture).expect("the fixture is in git") {
        let entry = entry.unwrap();
        fs::copy(entry.path(), world.path(entry.file_name().to_str().unwrap())).unwrap();
    }
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let rows = read_from(&log, 0, ALL);
    assert_eq!((rows.len(), log.high_watermark()), (25, 25));
    assert_eq!(rows[24], (24, "key 4".to_owned(), Some("value 24".to_owned())));
    assert_eq!(log.offset_for_time(NOW_MS + 13).unwrap().unwrap().offset, 13);
    assert!(append(&log, sequenced(2, 8)).is_err(), "producer 7 is known from the snapshot");
}

fn write_fixture(to: &std::path::Path) {
    use wire::compression::Compression::{Gzip, Lz4, None, Snappy, Zstd};
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    for (place, codec) in (0..).zip([None, Gzip, Snappy, Lz4, Zstd]) {
        let mut builder = BatchBuilder::new(0).compression(codec).producer(7, 2, place * 5);
        for offset in 0..5 {
            let number = i64::from(place) * 5 + offset;
            let (key, value) = (format!("key {offset}"), format!("value {number}"));
            let headers = [(&b"codec"[..], Some(&b"named"[..])), (&b"empty"[..], Option::None)];
            builder.push(offset, NOW_MS + number, Some(key.as_bytes()), Some(value.as_bytes()), headers);
        }
        append(&log, builder.finish().unwrap()).unwrap();
    }
    logs.close().unwrap();
    fs::create_dir_all(to).unwrap();
    for name in world.files("") {
        fs::copy(world.path(&name), to.join(&name)).unwrap();
    }
}
