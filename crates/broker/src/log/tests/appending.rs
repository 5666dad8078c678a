//! Appends and reads in one life: order, limits, times, producers, waking, refusals.

use proptest::prelude::*;
use tokio::sync::Notify;
use wire::compression::{Compression, Packing};

use super::*;

fn small_segments() -> LogOptions {
    LogOptions { segment_bytes: 600, index_interval_bytes: 100, ..LogOptions::default() }
}

#[test]
fn what_is_appended_is_read_from_any_offset() {
    let (world, mut expected) = (World::new(), Vec::new());
    let logs = world.start();
    let log = logs.log("t", 0, small_segments()).unwrap();
    for number in 0..60 {
        let sent = [format!("a{number}"), format!("b{number}")];
        let appended = append(&log, batch(&[&sent[0], &sent[1]])).unwrap();
        assert_eq!((appended.base_offset, appended.last_offset), (number * 2, number * 2 + 1));
        expected.extend(sent);
    }
    assert!(world.files(".log").len() > 5, "it rolled");
    for from in 0..=120 {
        for limit in [
            ALL,
            ReadLimit { bytes_max: 1, at_least_one: true, ..ALL },
            ReadLimit { bytes_max: 250, at_least_one: true, ..ALL },
        ] {
            let found: Vec<_> =
                read_from(&log, from, limit).into_iter().map(|(_, _, value)| value.unwrap()).collect();
            assert_eq!(found, expected[from as usize..], "from {from} with {limit:?}");
        }
    }
    assert_eq!((log.start_offset(), log.high_watermark()), (0, 120));
    let beyond = log.read_blocking(121, ALL).unwrap_err();
    assert!(matches!(beyond, LogError::OffsetOutOfRange { offset: 121, start: 0, end: 120, .. }));
}

#[test]
fn a_reader_that_may_not_take_a_large_batch_gets_nothing() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    append(&log, batch(&[&"x".repeat(20_000)])).unwrap();
    let limit = ReadLimit { bytes_max: 1_000, at_least_one: false, ..ALL };
    assert!(log.read_blocking(0, limit).unwrap().records.is_empty());
    assert_eq!(read_from(&log, 0, ReadLimit { at_least_one: true, ..limit }).len(), 1);
    let read = wait(log.read(0, ALL)).unwrap();
    assert_eq!((read.records.len() > 20_000, read.high_watermark), (true, 1));
}

#[test]
fn who_goes_on_is_shown_where_records_lie() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    for number in 0..40 {
        append(&log, batch(&[&number.to_string().repeat(10_000)])).unwrap();
    }
    let limit = ReadLimit { bytes_max: 200_000, ..ALL };
    assert!(wait(log.locate(0, limit)).is_none(), "nobody stopped there");
    let mut offset = wait(log.read(0, limit)).unwrap().next_offset;
    let mut located_count = 0;
    while let Some(found) = wait(log.locate(offset, limit)) {
        let read = wait(log.read(offset, limit)).unwrap();
        assert_eq!((found.next_offset, found.slice.read().unwrap()), (read.next_offset, read.records));
        assert!(found.slice.len() <= limit.bytes_max && found.next_offset > offset);
        (offset, located_count) = (found.next_offset, located_count + 1);
    }
    assert!(located_count >= 2 && offset >= 36, "{located_count} times, to {offset}");
    // None that begins at the last stable offset.
    let stopped = wait(log.read(20, ReadLimit { bytes_max: 25_000, ..ALL })).unwrap().next_offset;
    let before = wait(log.locate(stopped, ReadLimit { before: stopped + 5, ..limit })).unwrap();
    assert_eq!(before.next_offset, stopped + 5);
}

#[test]
fn of_small_batches_the_index_says_where_they_lie() {
    let world = World::new();
    let logs = world.start();
    let limit = ReadLimit { bytes_max: 200_000, ..ALL };
    // Of the indices, the first is in memory as a whole, of the second 512 entries are in the file, and the third has none.
    for (name, index_interval_bytes, ends_at) in
        [("few", 4_096, 800), ("all", 0, 1_100), ("none", u64::MAX, 0)]
    {
        let log = logs.log(name, 0, LogOptions { index_interval_bytes, ..LogOptions::default() }).unwrap();
        for _ in 0..1_200 {
            append(&log, batch(&[&"x".repeat(1_000)])).unwrap();
        }
        let first = wait(log.read(0, limit)).unwrap().next_offset;
        let mut offset = first;
        while let Some(found) = wait(log.locate(offset, limit)) {
            let read = wait(log.read(offset, limit)).unwrap();
            assert!(read.records.starts_with(&found.slice.read().unwrap()), "{name}: {offset}");
            assert!(
                (0..16).contains(&(read.next_offset - found.next_offset)),
                "{name}: {found:?}, {}",
                read.next_offset
            );
            offset = found.next_offset;
        }
        assert!(if ends_at == 0 { offset == first } else { offset > ends_at }, "{name}: {offset}");
    }
}

#[test]
fn only_offset_and_epoch_differ_from_what_came() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    append(&log, batch(&["first"])).unwrap();
    let sent = batch(&["second", "third"]);
    append(&log, sent.clone()).unwrap();
    let stored = log.read_blocking(1, ALL).unwrap().records;
    assert_eq!(stored[16..], sent[16..]);
    assert_eq!((stored[7], stored[15]), (1, 3));
}

#[test]
fn appends_that_wait_together_keep_their_order() {
    let world = World { durability: Durability::Fsync, ..World::new() };
    let logs = world.start();
    let log = logs.log("t", 0, small_segments()).unwrap();
    let offsets = wait(async {
        let mut pending = Vec::new();
        for number in 0..50 {
            pending.push(log.submit(batch(&[&format!("{number}")]), 0, Writer::Client).await.unwrap());
        }
        let mut offsets = Vec::new();
        for pending in pending {
            offsets.push(pending.answer().await.unwrap().base_offset);
        }
        offsets
    });
    assert_eq!(offsets, (0..50).collect::<Vec<i64>>());
    assert_eq!(values(&log), (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_waiting_reader_is_woken_by_an_append() {
    let world = World::new();
    let logs = world.start();
    let (one, two) =
        (logs.log("t", 0, LogOptions::default()).unwrap(), logs.log("t", 1, LogOptions::default()).unwrap());
    wait(async {
        let reader = Arc::new(Notify::new());
        one.wake_on_append(&reader);
        two.wake_on_append(&reader);
        two.append(batch(&["x"]), 0, Writer::Client).await.unwrap();
        reader.notified().await;
        logs.delete("t", 0).unwrap();
        reader.notified().await;
    });
    // Readers that left are forgotten.
    (0..5_000).for_each(|_| two.wake_on_append(&Arc::new(Notify::new())));
}

#[test]
fn the_first_record_of_a_time_is_found() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, small_segments()).unwrap();
    for number in 0..40 {
        append(&log, batch_at(NOW_MS + number * 100, &[("a", None), ("b", None)])).unwrap();
    }
    let found =
        |time_ms| log.offset_for_time(time_ms).unwrap().map(|found| (found.offset, found.timestamp_ms));
    assert_eq!(found(0), Some((0, NOW_MS)));
    for number in 0..40 {
        let time_ms = NOW_MS + number * 100;
        assert_eq!(found(time_ms), Some((number * 2, time_ms)));
        assert_eq!(found(time_ms + 1), Some((number * 2 + 1, time_ms + 1)));
    }
    assert_eq!(found(NOW_MS + 39 * 100 + 2), None);
    assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 79);
}

#[test]
fn a_topic_that_stamps_gives_the_time_of_the_append() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log(
        "t",
        0,
        LogOptions { timestamp_type: TimestampType::LogAppendTime, ..LogOptions::default() },
    );
    let log = log.unwrap();
    world.clock.advance_ms(5);
    let appended = append(&log, batch_at(1, &[("k", None)])).unwrap();
    assert_eq!(appended.log_append_time_ms, NOW_MS + 5);
    assert_eq!(log.offset_for_time(NOW_MS).unwrap().unwrap().timestamp_ms, NOW_MS + 5);
    assert_eq!(read_from(&log, 0, ALL).len(), 1);
}

pub(super) fn sequenced(epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(0).producer(7, epoch, sequence);
    builder.push(0, NOW_MS, Some(b"k"), Some(sequence.to_string().as_bytes()), []);
    builder.push(1, NOW_MS, Some(b"k"), None, []);
    builder.finish().unwrap()
}

#[test]
fn a_producer_s_batch_is_taken_once() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    for place in 0..7 {
        assert_eq!(append(&log, sequenced(0, place * 2)).unwrap().base_offset, i64::from(place) * 2);
    }
    let again = append(&log, sequenced(0, 6)).unwrap();
    assert_eq!((again.base_offset, again.last_offset, again.duplicate), (6, 7, true));
    // Six batches ago: no longer known, so it can only be refused.
    let error = append(&log, sequenced(0, 0)).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrderSequence { sequence: 0, expected: 14, .. }));
    let error = append(&log, sequenced(0, 16)).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrderSequence { sequence: 16, expected: 14, .. }));
    let error = append(&log, sequenced(1, 14)).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrderSequence { expected: 0, .. }));
    assert_eq!(append(&log, sequenced(1, 0)).unwrap().base_offset, 14);
    let error = append(&log, sequenced(0, 14)).unwrap_err();
    assert!(matches!(error, LogError::ProducerFenced { epoch: 0, current: 1, .. }));
    assert_eq!(log.high_watermark(), 16);
}

#[test]
fn what_does_not_fit_the_topic_is_refused() {
    let world = World::new();
    let logs = world.start();
    let options = LogOptions { message_bytes_max: 500, cleanup: Cleanup::COMPACT, ..LogOptions::default() };
    let log = logs.log("t", 0, options).unwrap();
    let refused = |records: Bytes| append(&log, records).unwrap_err().answer();
    use kafka_protocol::ResponseError::*;
    assert_eq!(refused(Bytes::new()), InvalidRecord);
    assert_eq!(refused(Bytes::from_static(b"garbage")), CorruptMessage);
    assert_eq!(refused(batch(&[&"x".repeat(500)])), MessageTooLarge);
    let mut bytes = batch(&["x"]).to_vec();
    bytes[16] = 1;
    assert_eq!(refused(bytes.into()), UnsupportedForMessageFormat);
    let mut bytes = batch(&["x"]).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(refused(bytes.into()), CorruptMessage);
    let two = [batch(&["x"]), batch(&["y"])].concat();
    assert_eq!(refused(two.into()), InvalidRecord);
    assert_eq!(refused(wire::batch::control_batch(1, 0, true, 0, NOW_MS).unwrap()), InvalidRecord);
    assert_eq!(refused(batch_at(NOW_MS + 4_000_000, &[("k", None)])), InvalidTimestamp);
    let mut keyless = BatchBuilder::new(0);
    keyless.push(0, NOW_MS, None, Some(b"v"), []);
    assert_eq!(refused(keyless.finish().unwrap()), InvalidRecord);
    assert_eq!(log.high_watermark(), 0);
    let large = batch_at(NOW_MS, &[("k", Some(&"x".repeat(500)))]);
    wait(log.append(large, 0, Writer::Broker)).expect("what the broker keeps itself");
}

#[test]
fn a_topic_with_a_codec_packs_what_comes() {
    let world = World::new();
    let logs = world.start();
    let packing = Packing { codec: Compression::Lz4, level: None };
    let options = LogOptions { compression: Some(packing), message_bytes_max: 500, ..LogOptions::default() };
    let log = logs.log("t", 0, options.clone()).unwrap();
    let packed = |codec, times: usize| {
        let mut builder = BatchBuilder::new(0).producer(7, 0, 0).compression(codec);
        builder.push(0, NOW_MS, None, Some("word ".repeat(times).as_bytes()), []);
        builder.finish().unwrap()
    };
    let first = append(&log, packed(Compression::Zstd, 200)).unwrap();
    // Sent again it is the same batch, whatever became of its bytes.
    let again = append(&log, packed(Compression::Zstd, 200)).unwrap();
    assert_eq!((first.duplicate, again.duplicate, again.base_offset), (false, true, 0));
    append(&log, batch(&["plain"])).unwrap();
    wait(log.append(batch(&["the broker's"]), 0, Writer::Broker)).unwrap();
    let codecs = |log: &Arc<Log>| {
        let read = log.read_blocking(0, ALL).unwrap().records;
        batches(&read).map(|batch| batch.unwrap().header.compression().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(codecs(&log), [Compression::Lz4, Compression::Lz4, Compression::None]);
    let values: Vec<_> = read_from(&log, 0, ALL).into_iter().map(|(_, _, value)| value.unwrap()).collect();
    assert_eq!(values, ["word ".repeat(200).as_str(), "plain", "the broker's"]);
    // What fits as it comes and not as it would lie there.
    let compression = Some(Packing { codec: Compression::None, level: None });
    log.set_options(LogOptions { compression, ..options });
    let refused = append(&log, packed(Compression::Zstd, 400)).unwrap_err();
    assert!(matches!(refused, LogError::BatchTooLarge { bytes: 2_070, bytes_max: 500, .. }), "{refused}");
}

/// The CRC that belongs to what was changed.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn what_its_client_has_packed_wrongly_is_refused() {
    use wire::compression::Compression;
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    let mut builder = BatchBuilder::new(0);
    (0..50).for_each(|place| builder.push(place, NOW_MS + place, None, Some(&[7; 100]), []));
    let (mut ends, mut taken) = (vec![], 0);
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for codec in codecs {
        let sound = builder.clone().compression(codec).finish().unwrap();
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = sound.to_vec();
            change(&mut bytes);
            let error = append(&log, sealed(bytes)).unwrap_err();
            assert_eq!(base::Problem::code(&error).id, "TM0354");
            error.answer()
        };
        // One record less than there are, one more, and nothing that unpacks.
        let count = |count: i32| {
            move |bytes: &mut Vec<u8>| {
                bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
                bytes[57..61].copy_from_slice(&count.to_be_bytes());
            }
        };
        ends.push(with(&count(49)));
        ends.push(with(&count(51)));
        ends.push(with(&|bytes| bytes[61..].fill(0xff)));
        assert_eq!(append(&log, sound.clone()).unwrap().base_offset, taken);
        taken += 50;
    }
    assert!(ends.iter().all(|answer| *answer == kafka_protocol::ResponseError::InvalidRecord), "{ends:?}");
    assert_eq!(log.high_watermark(), taken);
}

#[test]
fn one_record_out_of_time_is_enough() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    let mut builder = BatchBuilder::new(0);
    for (place, time_ms) in (0..).zip([NOW_MS, NOW_MS + 4_000_000, -1]) {
        builder.push(place, time_ms, None, None, []);
    }
    let mut bytes = builder.finish().unwrap().to_vec();
    // The header says that none is so late.
    bytes[35..43].copy_from_slice(&NOW_MS.to_be_bytes());
    let error = append(&log, sealed(bytes)).unwrap_err();
    assert!(
        matches!(error, LogError::InvalidTimestamp { timestamp_ms, .. } if timestamp_ms == NOW_MS + 4_000_000)
    );
}

#[test]
fn a_time_that_no_record_has_is_put_right() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    let mut bytes = batch(&["a", "b"]).to_vec();
    bytes[35..43].copy_from_slice(&(NOW_MS + 500).to_be_bytes());
    append(&log, sealed(bytes)).unwrap();
    append(&log, batch_at(NOW_MS + 100, &[("k", None)])).unwrap();
    assert_eq!(log.offset_for_time(NOW_MS + 50).unwrap().unwrap().offset, 2);
    assert_eq!(read_from(&log, 0, ALL).len(), 3); // whose CRCs are checked there
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let world = World::new();
        let logs = world.start();
        let log = logs.log("t", 0, LogOptions::default()).unwrap();
        prop_assert!(append(&log, bytes.into()).is_err());
    }
}
