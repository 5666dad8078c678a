//! Records that end: retention by time and size, DeleteRecords, and starts that stay where they were.

use super::*;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 400, index_interval_bytes: 100, retention_ms: -1, ..LogOptions::default() }
}

fn filled(logs: &Logs, options: LogOptions) -> Arc<Log> {
    let log = logs.log("t", 0, options).unwrap();
    for number in 0..20 {
        append(&log, batch_at(NOW_MS + number * 1_000, &[("k", Some(&format!("{number:08}")))])).unwrap();
    }
    log
}

#[test]
fn old_segments_go_and_the_end_stays() {
    let world = World::new();
    let logs = world.start();
    let log = filled(&logs, LogOptions { retention_ms: 10_000, ..options() });
    world.clock.advance_ms(20_000);
    let tended = logs.tend().unwrap();
    assert!(tended.segments_deleted > 0);
    let start = log.start_offset();
    assert!((4..=10).contains(&start), "{start}");
    assert_eq!(read_from(&log, start, ALL).len() as i64, 20 - start);
    assert!(matches!(log.read_blocking(0, ALL), Err(LogError::OffsetOutOfRange { .. })));
    world.clock.advance_ms(60_000);
    logs.tend().unwrap();
    assert_eq!((log.start_offset(), log.high_watermark(), log.size_bytes()), (20, 20, 0));
    assert_eq!(world.files(".log").len(), 1);
    drop((log, logs));
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    assert_eq!(append(&log, batch_at(NOW_MS + 80_000, &[("k", None)])).unwrap().base_offset, 20);
}

#[test]
fn the_log_stays_as_large_as_it_may() {
    let world = World::new();
    let logs = world.start();
    let log = filled(&logs, LogOptions { retention_bytes: 800, ..options() });
    let before = log.size_bytes();
    logs.tend().unwrap();
    let after = log.size_bytes();
    assert!(before > 1_200 && (800..1_200).contains(&after), "{before} -> {after}");
    assert_eq!(values(&log).last().unwrap(), "00000019");
}

#[test]
fn a_segment_is_rolled_by_its_age() {
    let world = World::new();
    let logs = world.start();
    let log = filled(&logs, LogOptions { segment_bytes: 1 << 20, segment_ms: 5_500, ..options() });
    assert_eq!(world.files(".log").len(), 4);
    assert_eq!(values(&log).len(), 20);
}

#[test]
fn deleted_records_stay_deleted() {
    let world = World::new();
    let logs = world.start();
    let log = filled(&logs, options());
    assert_eq!(log.truncate_prefix(7).unwrap(), 7);
    assert!(log.truncate_prefix(21).is_err());
    assert_eq!(log.truncate_prefix(3).unwrap(), 7, "a start does not fall");
    assert_eq!(read_from(&log, 7, ALL).len(), 13);
    assert_eq!(log.offset_for_time(0).unwrap().unwrap().offset, 7);
    drop((log, logs));
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    assert_eq!((log.start_offset(), log.high_watermark()), (7, 20));
    assert_eq!(log.truncate_prefix(-1).unwrap(), 20);
    assert_eq!(append(&log, batch(&["x"])).unwrap().base_offset, 20);
}

#[test]
fn idle_files_are_closed_and_opened_again() {
    let world = World::new();
    let logs = world.start();
    let log = filled(&logs, options());
    (0..3).for_each(|_| assert_eq!(logs.tend().unwrap(), Tended::default()));
    assert_eq!(values(&log).len(), 20);
    assert_eq!(append(&log, batch(&["x"])).unwrap().base_offset, 20);
}

#[test]
fn an_idle_producer_is_forgotten() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    append(&log, super::appending::sequenced(0, 0)).unwrap();
    world.clock.advance_ms(86_400_001);
    logs.tend().unwrap();
    assert_eq!(append(&log, super::appending::sequenced(0, 500)).unwrap().base_offset, 2);
}
