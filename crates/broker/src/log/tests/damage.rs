//! Files that something else has damaged: what start makes of them, and what a reader is told.

use std::fs;

use kafka_protocol::ResponseError;

use super::{
    recovering::{options, written},
    *,
};

/// Reads on from each offset as a consumer does, who goes past what cannot be read.
fn readable(log: &Log) -> (Vec<i64>, usize) {
    let (mut found, mut errors, mut next) = (Vec::new(), 0, log.start_offset());
    while next < log.high_watermark() {
        let limit = ReadLimit { bytes_max: 1, ..ALL };
        let sound = log.read_blocking(next, limit).map(|fetched| {
            let batch = batches(&fetched.records).next().unwrap().unwrap();
            batch.check_crc().is_ok()
        });
        match sound {
            Ok(true) => found.push(next),
            Ok(false) => errors += 1,
            Err(error) => {
                assert_eq!(error.answer(), ResponseError::KafkaStorageError);
                errors += 1;
            }
        }
        next += 1;
    }
    (found, errors)
}

#[test]
fn a_changed_byte_in_an_old_segment_spoils_its_batch_and_no_other() {
    for clean in [true, false] {
        let world = World::new();
        let expected = written(&world, clean);
        let first = world.path(&world.files(".log")[0]);
        let mut bytes = fs::read(&first).unwrap();
        let size = batch(&["value 0"]).len();
        bytes[size * 2 - 3] ^= 0x40; // in the second batch's record
        fs::write(&first, bytes).unwrap();
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        let (found, errors) = readable(&log);
        assert_eq!((found.len(), errors), (expected.len() - 1, 1), "clean: {clean}");
        assert_eq!(append(&log, batch(&["next"])).unwrap().base_offset, 30);
    }
}

#[test]
fn a_damaged_header_is_told_and_what_lies_behind_is_read() {
    let world = World::new();
    written(&world, true);
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let first = world.path(&world.files(".log")[0]);
    let size = batch(&["value 0"]).len();
    let mut bytes = fs::read(&first).unwrap();
    bytes[size + 8..size + 17].fill(0xff); // the second batch's length, epoch and magic
    fs::write(&first, bytes).unwrap();
    let refused = log.read_blocking(1, ALL).unwrap_err();
    assert!(matches!(refused, LogError::Damaged { .. }), "{refused}");
    assert_eq!(base::Problem::code(&refused).id, "TM0352");
    assert_eq!(refused.answer(), ResponseError::KafkaStorageError);
    let next_segment = log.all_segments()[1].base_offset;
    assert_eq!(read_from(&log, next_segment, ALL).len() as i64, 30 - next_segment);
    append(&log, batch(&["next"])).unwrap();
}

#[test]
fn a_tail_of_zeros_is_cut_off() {
    for reboot in [false, true] {
        let world = World::new();
        let expected = written(&world, false);
        let last = world.path(world.files(".log").last().unwrap());
        let mut bytes = fs::read(&last).unwrap();
        bytes.resize(bytes.len() + 5_000, 0);
        fs::write(&last, bytes).unwrap();
        if reboot {
            world.forget_boot();
        }
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        assert_eq!(values(&log), expected);
        assert_eq!(append(&log, batch(&["next"])).unwrap().base_offset, 30);
    }
}

#[test]
fn indices_full_of_nonsense_cost_no_record() {
    for (clean, reboot) in [(true, false), (false, false), (false, true)] {
        for filling in [0x00, 0x01, 0x7f, 0xff] {
            let world = World::new();
            let expected = written(&world, clean);
            for name in world.files("index") {
                let length = fs::read(world.path(&name)).unwrap().len();
                fs::write(world.path(&name), vec![filling; length]).unwrap();
            }
            if reboot {
                world.forget_boot();
            }
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            let when = format!("clean: {clean}, reboot: {reboot}, {filling:#x}");
            assert_eq!(values(&log), expected, "{when}");
            for offset in 0..30 {
                let found = log.read_blocking(offset, ALL).unwrap_or_else(|error| panic!("{when}: {error}"));
                let header = batches(&found.records).next().unwrap().unwrap().header;
                assert!(header.last_offset() >= offset, "{when}");
            }
            assert_eq!(log.offset_for_time(NOW_MS).unwrap().unwrap().offset, 0, "{when}");
        }
    }
}

#[test]
fn an_index_that_points_into_a_batch_cuts_nothing_off() {
    for clean in [true, false] {
        let world = World::new();
        let expected = written(&world, clean);
        for name in world.files(".index") {
            let mut bytes = fs::read(world.path(&name)).unwrap();
            bytes.chunks_exact_mut(8).for_each(|entry| entry[7] ^= 3); // the position
            fs::write(world.path(&name), bytes).unwrap();
        }
        let logs = world.start();
        assert_eq!(values(&logs.log("t", 0, options()).unwrap()), expected, "clean: {clean}");
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_a_gap_that_readers_pass() {
    let world = World::new();
    written(&world, true);
    let logs = world.files(".log");
    let base = |name: &str| name[..20].parse::<i64>().unwrap();
    let (gone, after) = (base(&logs[1]), base(&logs[2]));
    fs::remove_file(world.path(&logs[1])).unwrap();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let found: Vec<i64> = read_from(&log, 0, ALL).into_iter().map(|(offset, _, _)| offset).collect();
    assert_eq!(found, (0..gone).chain(after..30).collect::<Vec<i64>>());
}
