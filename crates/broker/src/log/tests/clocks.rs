//! A clock that somebody sets, back and forward: what follows it and what does not.

use super::{appending::sequenced, *};

const DAY_MS: i64 = 86_400_000;

fn stamping() -> LogOptions {
    LogOptions {
        timestamp_type: TimestampType::LogAppendTime,
        segment_bytes: 600,
        index_interval_bytes: 100,
        ..LogOptions::default()
    }
}

#[test]
fn a_clock_that_goes_back_loses_nothing_and_finds_times_still() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, stamping()).unwrap();
    for number in 0..20 {
        append(&log, batch(&[&format!("{number}")])).unwrap();
        world.clock.jump_ms(if number == 9 { -DAY_MS } else { 1_000 });
    }
    assert_eq!(values(&log).len(), 20);
    let found = log.offset_for_time(NOW_MS + 9_000).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp_ms), (9, NOW_MS + 9_000));
    assert_eq!(log.offset_for_time(NOW_MS - DAY_MS).unwrap().unwrap().offset, 0);
    assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 9);
    logs.tend().unwrap();
    assert_eq!(values(&log).len(), 20, "nothing is older for it");
    drop((log, logs));
    let log = world.start().log("t", 0, stamping()).unwrap();
    assert_eq!(values(&log).len(), 20);
}

#[test]
fn a_clock_ahead_makes_records_old_and_one_behind_refuses_those_of_the_future() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions { retention_ms: DAY_MS, ..stamping() }).unwrap();
    append(&log, batch(&["kept"])).unwrap();
    world.clock.jump_ms(2 * DAY_MS);
    logs.tend().unwrap();
    assert_eq!(log.start_offset(), 1, "by this clock it is two days old");
    world.clock.jump_ms(-2 * DAY_MS);
    assert_eq!(append(&log, batch(&["next"])).unwrap().base_offset, 1);
    let strict = logs.log("u", 0, LogOptions::default()).unwrap();
    world.clock.jump_ms(-DAY_MS);
    let refused = append(&strict, batch(&["of tomorrow"])).unwrap_err();
    assert_eq!(refused.answer(), kafka_protocol::ResponseError::InvalidTimestamp);
}

#[test]
fn a_clock_ahead_forgets_no_producer() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    append(&log, sequenced(0, 0)).unwrap();
    world.clock.jump_ms(30 * DAY_MS);
    logs.tend().unwrap();
    assert!(append(&log, sequenced(0, 0)).unwrap().duplicate);
    world.clock.advance_ms(2 * DAY_MS);
    logs.tend().unwrap();
    assert_eq!(log.producers(), [], "a day of silence is one by any clock");
}
