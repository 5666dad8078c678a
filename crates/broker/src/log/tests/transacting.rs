//! Transactions in a log: what a reader of committed records sees, against a list of what was committed, through ends of every
//! kind, small segments and compaction.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wire::batch::control_batch;

use super::*;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 700, index_interval_bytes: 100, ..LogOptions::default() }
}

fn write(log: &Arc<Log>, producer_id: i64, sequence: i32, rows: &[Row<'_>]) -> Appended {
    let mut builder = BatchBuilder::new(0).producer(producer_id, 0, sequence).transactional();
    for (place, (key, value)) in (0..).zip(rows) {
        builder.push(place, NOW_MS, Some(key.as_bytes()), value.map(str::as_bytes), []);
    }
    wait(log.append(builder.finish().unwrap(), 0, Writer::Transaction)).unwrap()
}

fn end(log: &Arc<Log>, producer_id: i64, ending: Ending) -> Appended {
    let marker = control_batch(producer_id, 0, ending == Ending::Commit, 0, NOW_MS).unwrap();
    wait(log.append(marker, 0, Writer::Broker)).unwrap()
}

/// Reads as a client with `isolation.level=read_committed` does: up to the last stable offset, and without the batches of
/// transactions that the answer calls aborted.
fn committed(log: &Log, bytes_max: usize) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut found, mut next) = (Vec::new(), log.start_offset());
    loop {
        let limit = ReadLimit { bytes_max, at_least_one: true, before: log.last_stable_offset() };
        let fetched = log.read_blocking(next, limit).unwrap();
        if fetched.records.is_empty() {
            return found;
        }
        let mut aborted = log.aborted_in(next..fetched.next_offset).unwrap();
        aborted.sort_by_key(|entry| entry.first_offset);
        let (mut coming, mut inside) = (aborted.into_iter().peekable(), BTreeSet::new());
        for batch in batches(&fetched.records) {
            let batch = batch.unwrap();
            let header = &batch.header;
            assert!(header.base_offset < log.last_stable_offset());
            while let Some(entry) = coming.next_if(|entry| entry.first_offset <= header.last_offset()) {
                inside.insert(entry.producer_id);
            }
            if header.is_control() {
                if Ending::of(&batch) == Some(Ending::Abort) {
                    inside.remove(&header.producer_id);
                }
            } else if !(header.is_transactional() && inside.contains(&header.producer_id)) {
                for record in &batch.records(1 << 20).unwrap() {
                    let record = record.unwrap();
                    if record.offset >= next {
                        found.push((record.offset, text(record.key.unwrap_or(b"")), record.value.map(text)));
                    }
                }
            }
        }
        next = fetched.next_offset;
    }
}

fn committed_values(log: &Log) -> Vec<String> {
    let all = committed(log, 1 << 20);
    for bytes_max in [1, 300] {
        assert_eq!(committed(log, bytes_max), all, "in pieces of {bytes_max} bytes");
    }
    all.into_iter().map(|(_, _, value)| value.unwrap_or_default()).collect()
}

#[test]
fn nothing_is_stable_behind_an_open_transaction() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    append(&log, batch(&["plain"])).unwrap();
    assert_eq!(log.last_stable_offset(), 1);
    write(&log, 1, 0, &[("k", Some("one")), ("k", Some("two"))]);
    append(&log, batch(&["behind"])).unwrap();
    write(&log, 2, 0, &[("k", Some("other"))]);
    assert_eq!((log.last_stable_offset(), log.high_watermark()), (1, 5));
    assert_eq!(committed_values(&log), ["plain"]);
    end(&log, 1, Ending::Commit);
    assert_eq!(log.last_stable_offset(), 4);
    assert_eq!(committed_values(&log), ["plain", "one", "two", "behind"]);
    end(&log, 2, Ending::Abort);
    assert_eq!(log.last_stable_offset(), 7);
    assert_eq!(committed_values(&log), ["plain", "one", "two", "behind"]);
    let entry = Aborted { producer_id: 2, first_offset: 4, last_offset: 6, last_stable_offset: 7 };
    assert_eq!(log.aborted_in(0..7).unwrap(), [entry]);
    assert_eq!(log.aborted_in(0..4).unwrap(), []);
    assert_eq!(log.aborted_in(6..7).unwrap(), [entry], "who reads from here meets the marker");
    assert_eq!(log.producers().iter().map(|one| one.open_from).collect::<Vec<_>>(), [-1, -1]);
}

#[test]
fn a_transactional_batch_needs_a_transaction() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, options()).unwrap();
    let mut builder = BatchBuilder::new(0).producer(1, 0, 0).transactional();
    builder.push(0, NOW_MS, Some(b"k"), Some(b"v"), []);
    let refused = append(&log, builder.finish().unwrap()).unwrap_err();
    assert!(matches!(refused, LogError::NoTransaction { producer_id: 1, .. }), "{refused}");
    end(&log, 1, Ending::Abort); // one that nothing was written in
    assert_eq!((log.last_stable_offset(), log.aborted_in(0..1).unwrap()), (1, vec![]));
}

/// The index of aborted transactions lies beside the segment of the marker, in Kafka's format.
#[test]
fn aborted_transactions_are_kept_as_kafka_keeps_them() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    write(&log, 0x0102, 0, &[("k", Some("v"))]);
    end(&log, 0x0102, Ending::Abort);
    let bytes = std::fs::read(world.path("00000000000000000000.txnindex")).unwrap();
    let numbers = [0x0102_i64, 0, 1, 2].map(i64::to_be_bytes).concat();
    assert_eq!(bytes, [&[0, 0][..], &numbers].concat());
}

#[test]
fn transactions_survive_every_end() {
    for (clean, reboot) in [(true, false), (false, false), (true, true), (false, true)] {
        let world = World::new();
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        let mut expected = Vec::new();
        for number in 0..20 {
            let value = format!("value {number}");
            let ending = if number % 3 == 0 { Ending::Abort } else { Ending::Commit };
            write(&log, number, 0, &[("k", Some(&value))]);
            end(&log, number, ending);
            if ending == Ending::Commit {
                expected.push(value);
            }
        }
        write(&log, 100, 0, &[("k", Some("open"))]);
        let stable = log.last_stable_offset();
        let aborted = log.aborted_in(0..stable).unwrap();
        assert_eq!((stable, aborted.len()), (40, 7));
        if clean {
            logs.close().unwrap();
        }
        drop((log, logs));
        for life in 0..2 {
            if reboot {
                world.forget_boot();
            }
            let logs = world.start();
            let log = logs.log("t", 0, options()).unwrap();
            let when = format!("clean: {clean}, reboot: {reboot}, life {life}");
            assert_eq!(log.last_stable_offset(), stable, "{when}");
            assert_eq!(log.aborted_in(0..stable).unwrap(), aborted, "{when}");
            assert_eq!(committed_values(&log), expected, "{when}");
        }
        let logs = world.start();
        let log = logs.log("t", 0, options()).unwrap();
        end(&log, 100, Ending::Abort);
        assert_eq!((log.last_stable_offset(), committed_values(&log)), (42, expected));
    }
}

#[test]
fn a_lost_index_is_made_anew_after_a_kill() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    write(&log, 1, 0, &[("k", Some("gone"))]);
    end(&log, 1, Ending::Abort);
    let aborted = log.aborted_in(0..2).unwrap();
    drop((log, logs));
    let path = world.path("00000000000000000000.txnindex");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let logs = world.start();
        let log = logs.log("t", 0, LogOptions::default()).unwrap();
        assert_eq!(log.aborted_in(0..2).unwrap(), aborted, "{length} bytes were left");
    }
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn compaction_forgets_what_was_aborted_and_then_its_marker() {
    let world = World::new();
    let logs = world.start();
    let options = LogOptions {
        segment_bytes: 300,
        cleanup: Cleanup::COMPACT,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1_000,
        ..LogOptions::default()
    };
    let log = logs.log("t", 0, options).unwrap();
    let fill =
        || (0..6).for_each(|_| drop(append(&log, batch_at(NOW_MS, &[("fill", Some(&"f".repeat(90)))]))));
    append(&log, batch_at(NOW_MS, &[("a", Some("kept"))])).unwrap();
    write(&log, 1, 0, &[("a", Some("aborted"))]);
    end(&log, 1, Ending::Abort);
    write(&log, 1, 1, &[("b", Some("committed"))]);
    end(&log, 1, Ending::Commit);
    write(&log, 1, 2, &[("c", Some("last"))]); // what a producer sent last stays for its sequence's sake
    end(&log, 1, Ending::Commit);
    write(&log, 2, 0, &[("a", Some("undecided"))]);
    fill();
    logs.tend().unwrap();
    let keys = |log: &Log| committed(log, 1 << 20).into_iter().map(|row| row.1).collect::<Vec<_>>();
    assert_eq!(keys(&log), ["a", "b", "c"]);
    assert_eq!(log.aborted_in(0..2).unwrap().len(), 1, "nothing that is undecided is touched");
    end(&log, 2, Ending::Abort);
    fill();
    logs.tend().unwrap();
    assert!(read_from(&log, 0, ALL).iter().all(|row| row.2.as_deref() != Some("aborted")));
    assert_eq!(log.aborted_in(0..9).unwrap().len(), 2, "as long as the markers");
    let start: Vec<_> = committed(&log, 1 << 20).into_iter().take(3).map(|row| (row.1, row.2)).collect();
    let kept = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    assert_eq!(start, [kept("a", "kept"), kept("b", "committed"), kept("c", "last")]);
    world.clock.advance_ms(1_001);
    fill();
    logs.tend().unwrap();
    assert_eq!(log.aborted_in(0..4).unwrap(), [], "the marker's time is over");
    assert_eq!(keys(&log)[..3], ["a", "b", "c"]);
    drop((log, logs));
    world.files(".snapshot").iter().for_each(|name| std::fs::remove_file(world.path(name)).unwrap());
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    assert_eq!(log.last_stable_offset(), log.high_watermark(), "no marker went before what it ends");
}

#[derive(Debug, Clone)]
enum Play {
    Write { producer: i64, keys: Vec<u8> },
    End { producer: i64, commit: bool },
    Plain(u8),
    Tend,
    Restart,
}

fn play() -> impl Strategy<Value = Play> {
    prop_oneof![
        6 => (0_i64..4, proptest::collection::vec(0_u8..6, 1..4))
            .prop_map(|(producer, keys)| Play::Write { producer, keys }),
        4 => (0_i64..4, any::<bool>()).prop_map(|(producer, commit)| Play::End { producer, commit }),
        2 => (0_u8..6).prop_map(Play::Plain),
        1 => Just(Play::Tend),
        1 => Just(Play::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The latest committed value of each key, after any play; without compaction all of them, in order.
    #[test]
    fn readers_see_what_was_committed_and_nothing_else(
        plays in proptest::collection::vec(play(), 1..80),
        compacts in any::<bool>(),
    ) {
        let cleanup = if compacts { Cleanup::COMPACT } else { Cleanup::DELETE };
        let options = LogOptions {
            segment_bytes: 400, cleanup, min_cleanable_dirty_ratio: 0.0, delete_retention_ms: 0, ..LogOptions::default()
        };
        let world = World::new();
        let mut logs = world.start();
        let mut log = logs.log("t", 0, options.clone()).unwrap();
        let mut decided: BTreeMap<i64, (String, String)> = BTreeMap::new();
        let mut open: BTreeMap<i64, Vec<(i64, String, String)>> = BTreeMap::new();
        let mut sequences = [0; 4];
        for (number, play) in plays.into_iter().enumerate() {
            match play {
                Play::Write { producer, keys } => {
                    let rows: Vec<_> = keys.iter().map(|key| (key.to_string(), format!("{number}"))).collect();
                    let views: Vec<Row<'_>> = rows.iter().map(|(key, value)| (&**key, Some(&**value))).collect();
                    let first = write(&log, producer, sequences[producer as usize], &views).base_offset;
                    sequences[producer as usize] += keys.len() as i32;
                    let placed = (first..).zip(rows).map(|(offset, (key, value))| (offset, key, value));
                    open.entry(producer).or_default().extend(placed);
                }
                Play::End { producer, commit } => {
                    end(&log, producer, if commit { Ending::Commit } else { Ending::Abort });
                    let rows = open.remove(&producer).unwrap_or_default();
                    if commit {
                        decided.extend(rows.into_iter().map(|(offset, key, value)| (offset, (key, value))));
                    }
                }
                Play::Plain(key) => {
                    let (key, value) = (key.to_string(), format!("{number}"));
                    let at = append(&log, batch_at(NOW_MS, &[(&key, Some(&value))])).unwrap().base_offset;
                    decided.insert(at, (key, value));
                }
                Play::Tend => {
                    logs.tend().unwrap();
                }
                Play::Restart => {
                    drop((log, logs));
                    logs = world.start();
                    log = logs.log("t", 0, options.clone()).unwrap();
                }
            }
            let undecided = open.values().flatten().map(|row| row.0).min();
            let stable = undecided.unwrap_or(log.high_watermark());
            prop_assert_eq!(log.last_stable_offset(), stable);
        }
        logs.tend().unwrap();
        let stable = log.last_stable_offset();
        let expected: Vec<_> = decided.range(..stable).map(|(at, (key, value))| (*at, key.clone(), Some(value.clone()))).collect();
        let found = committed(&log, 1 << 20);
        if compacts {
            let latest = |rows: &[(i64, String, Option<String>)]| {
                rows.iter().map(|row| (row.1.clone(), (row.0, row.2.clone()))).collect::<BTreeMap<_, _>>()
            };
            prop_assert_eq!(latest(&found), latest(&expected));
            prop_assert!(found.iter().all(|row| expected.contains(row)), "{:?}", found);
        } else {
            prop_assert_eq!(found, expected);
        }
    }
}
