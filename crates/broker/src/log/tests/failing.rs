//! Disks that are full, read-only or broken: what is answered, that nothing acknowledged is lost, that it goes on afterwards.

use std::io::ErrorKind;

use kafka_protocol::ResponseError;

use super::{appending::sequenced, layer::Layer, *};
use crate::log::files::Act;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 700, index_interval_bytes: 100, ..LogOptions::default() }
}

fn disk_error(answer: Result<Appended, LogError>) -> LogError {
    let error = answer.unwrap_err();
    assert_eq!(error.answer(), ResponseError::KafkaStorageError, "{error}");
    error
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room_at_every_byte() {
    for durability in [Durability::PageCache, Durability::Fsync] {
        for room in (0..1_400).step_by(7) {
            let world = World { durability, ..World::new() };
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            let layer = Layer::over(&world.dir.path().join("data"));
            layer.set_room(Some(room));
            let (mut kept, mut refused) = (Vec::new(), 0);
            for number in 0..30 {
                let value = format!("value {number}");
                match append(&log, batch(&[&value])) {
                    Ok(_) => kept.push(value),
                    refusal => {
                        refused += 1;
                        assert_eq!(base::Problem::code(&disk_error(refusal)).id, "TM0224");
                    }
                }
                if number == 24 {
                    logs.tend().ok(); // it finds no room either
                    layer.set_room(None);
                }
            }
            assert!(refused > 0 && kept.len() >= 5, "room for {room}: {refused} refused");
            assert_eq!(values(&log), kept, "room for {room}");
            logs.tend().unwrap();
            logs.close().unwrap();
            drop((log, logs));
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            assert_eq!(values(&log), kept, "room for {room}, the next life");
            assert_eq!(log.offset_for_time(NOW_MS).unwrap().unwrap().offset, 0);
        }
    }
}

#[test]
fn a_full_disk_leaves_no_gap_in_a_producer_s_sequence() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let layer = Layer::over(&world.dir.path().join("data"));
    let mut sequence = 0;
    for room in (0..2_000).step_by(13) {
        layer.set_room(Some(room));
        let answers = wait(async {
            let mut pending = Vec::new();
            for place in 0..12 {
                let records = sequenced(0, sequence + place * 2);
                pending.push(log.submit(records, 0, Writer::Client).await.unwrap());
            }
            let mut answers = Vec::new();
            for pending in pending {
                answers.push(pending.answer().await.is_ok());
            }
            answers
        });
        let taken = answers.iter().take_while(|taken| **taken).count();
        assert!(answers[taken..].iter().all(|taken| !taken), "room for {room}: a gap in {answers:?}");
        sequence += taken as i32 * 2;
    }
    layer.set_room(None);
    let sent: Vec<String> = (0..sequence).step_by(2).map(|number| number.to_string()).collect();
    let found: Vec<String> = values(&log).into_iter().step_by(2).collect();
    assert_eq!(found, sent);
}

#[test]
fn a_write_that_cannot_be_cut_off_is_cut_off_later() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    append(&log, batch(&["first"])).unwrap();
    let layer = Layer::over(&world.dir.path().join("data"));
    layer.set_room(Some(30));
    layer.refuse(Some((Act::Cut, ErrorKind::Other)));
    disk_error(append(&log, batch(&["half"])));
    layer.set_room(None);
    disk_error(append(&log, batch(&["not yet"])));
    assert!(logs.close().is_err(), "half a batch is no clean end");
    drop((log, logs));
    layer.refuse(None);
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    assert_eq!(values(&log), ["first"]);
    layer.set_room(Some(30));
    layer.refuse(Some((Act::Cut, ErrorKind::Other)));
    disk_error(append(&log, batch(&["half"])));
    layer.set_room(None);
    layer.refuse(None);
    append(&log, batch(&["second"])).unwrap();
    assert_eq!(values(&log), ["first", "second"]);
    logs.close().unwrap();
}

#[test]
fn a_read_only_disk_is_read_and_goes_on_when_it_is_writable() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    append(&log, batch(&["before"])).unwrap();
    let layer = Layer::over(&world.dir.path().join("data"));
    layer.refuse(Some((Act::Write, ErrorKind::ReadOnlyFilesystem)));
    let error = disk_error(append(&log, batch(&["refused"])));
    assert_eq!(base::Problem::code(&error).id, "TM0225");
    assert_eq!(values(&log), ["before"]);
    layer.refuse(None);
    append(&log, batch(&["after"])).unwrap();
    assert_eq!(values(&log), ["before", "after"]);
}

#[test]
fn retention_frees_space_on_a_full_disk() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions { retention_bytes: 700, ..options() }).unwrap();
    for number in 0..30 {
        append(&log, batch(&[&format!("value {number}")])).unwrap();
    }
    let before = world.files(".log").len();
    let layer = Layer::over(&world.dir.path().join("data"));
    layer.set_room(Some(0));
    logs.tend().ok(); // what it cannot note it notes later
    assert!(world.files(".log").len() < before);
    layer.set_room(None);
    logs.tend().unwrap();
    append(&log, batch(&["more"])).unwrap();
}

#[test]
fn a_failed_sync_is_final_and_shows_nothing() {
    let world = World { durability: Durability::Fsync, ..World::new() };
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    append(&log, batch(&["safe"])).unwrap();
    let layer = Layer::over(&world.dir.path().join("data"));
    layer.refuse(Some((Act::Sync, ErrorKind::Other)));
    assert!(matches!(append(&log, batch(&["lost"])), Err(LogError::Disk { action: "sync", .. })));
    layer.refuse(None);
    assert!(matches!(append(&log, batch(&["later"])), Err(LogError::Failed { .. })));
    assert_eq!((values(&log), log.high_watermark()), (vec!["safe".to_owned()], 1));
    logs.close().unwrap();
    assert!(!world.dir.path().join("data/.clean-end").exists(), "a failed log is no clean end");
}

#[test]
fn segments_share_a_few_descriptors() {
    let world = World::new();
    let options = LogsOptions {
        tend_interval_ms: 0,
        open_files_count_max: 8,
        ..LogsOptions::at(world.dir.path().join("data"))
    };
    let logs = Logs::open(options, Arc::new(world.clock.clone())).unwrap();
    let all = logs.log_each(&[("t", 0..300, Arc::new(LogOptions::default()))]).unwrap();
    for round in 0..3 {
        for log in &all {
            append(log, batch(&[&format!("round {round}")])).unwrap();
        }
        assert!(all[0].descriptors.open_count() <= 8);
    }
    assert!(all.iter().all(|log| values(log) == ["round 0", "round 1", "round 2"]));
}
