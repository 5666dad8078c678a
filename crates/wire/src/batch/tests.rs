//! Round trips against kafka-protocol's own encoder and decoder, patches, damage, and bytes that mean nothing.

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use kafka_protocol::{
    protocol::StrBytes,
    records::{
        Compression as TheirCompression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
        RecordEncodeOptions, TimestampType,
    },
};
use proptest::prelude::*;

use super::*;
use crate::compression::{Compression, CompressionError, Packing};

const BYTES_MAX: usize = 1 << 20;
const CODECS: [(Compression, TheirCompression); 5] = [
    (Compression::None, TheirCompression::None),
    (Compression::Gzip, TheirCompression::Gzip),
    (Compression::Snappy, TheirCompression::Snappy),
    (Compression::Lz4, TheirCompression::Lz4),
    (Compression::Zstd, TheirCompression::Zstd),
];

type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn plain_records() -> impl Strategy<Value = Vec<Plain>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50));
    let headers = proptest::collection::btree_map("[a-z]{0,8}", bytes(), 0..4);
    let record = (0_i64..2_000_000_000_000, bytes(), bytes(), headers);
    proptest::collection::vec(record, 1..30).prop_map(|records| {
        let number = |(offset, (time, key, value, headers)): (
            usize,
            (i64, _, _, std::collections::BTreeMap<_, _>),
        )| { (offset as i64, time, key, value, headers.into_iter().collect()) };
        records.into_iter().enumerate().map(number).collect()
    })
}

fn theirs(record: &Plain) -> TheirRecord {
    let (offset, timestamp, key, value, headers) = record.clone();
    let header =
        |(name, value): (String, Option<Vec<u8>>)| (StrBytes::from_string(name), value.map(Bytes::from));
    TheirRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 9,
        producer_epoch: 3,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: 100 + offset as i32,
        timestamp,
        key: key.map(Bytes::from),
        value: value.map(Bytes::from),
        headers: headers.into_iter().map(header).collect::<IndexMap<_, _>>(),
    }
}

fn encoded_by_them(records: &[Plain], compression: TheirCompression) -> Bytes {
    let records: Vec<TheirRecord> = records.iter().map(theirs).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

fn plain_of(records: &Records<'_>) -> Vec<Plain> {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let plain = |record: Record<'_>| {
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let headers = record.headers().map(|(key, value)| (name(key), owned(value))).collect();
        (record.offset, record.timestamp_ms, owned(record.key), owned(record.value), headers)
    };
    records.iter().map(|record| plain(record.unwrap())).collect()
}

fn build(records: &[Plain], base_offset: i64, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(base_offset).compression(compression).producer(9, 3, 100);
    for (offset, time, key, value, headers) in records {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
        builder.push(base_offset + offset, *time, key.as_deref(), value.as_deref(), headers);
    }
    builder.finish().unwrap()
}

fn sample() -> Bytes {
    let record = |offset| (offset, 1_000 + offset, Some(vec![b'k']), Some(vec![b'v'; 20]), vec![]);
    build(&(0..3).map(record).collect::<Vec<Plain>>(), 0, Compression::None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn their_batches_are_read(records in plain_records()) {
        for (_, codec) in CODECS {
            let bytes = encoded_by_them(&records, codec);
            let batch = Batch::first(&bytes).unwrap();
            batch.check_crc().unwrap();
            prop_assert_eq!(batch.bytes.len(), bytes.len());
            prop_assert_eq!((batch.header.producer_id, batch.header.producer_epoch), (9, 3));
            prop_assert_eq!(plain_of(&batch.records(BYTES_MAX).unwrap()), records.clone());
            prop_assert_eq!(passed(&batch, BYTES_MAX).unwrap().len(), records.len());
        }
    }

    #[test]
    fn they_read_our_batches(records in plain_records()) {
        for (codec, _) in CODECS {
            let bytes = build(&records, 0, codec);
            let read = RecordBatchDecoder::decode(&mut bytes.clone()).unwrap().records;
            for (read, sent) in read.iter().zip(&records) {
                let sent = TheirRecord { ..theirs(sent) };
                prop_assert_eq!(read, &sent);
            }
            prop_assert_eq!(read.len(), records.len());
        }
    }

    #[test]
    fn a_header_comes_back_from_its_bytes(base in 0_i64..i64::MAX / 2, count in 1_i32..9) {
        let records: Vec<Plain> = (0..i64::from(count)).map(|at| (at, 5, None, None, vec![])).collect();
        let bytes = build(&records, base, Compression::None);
        let header = BatchHeader::parse(&bytes).unwrap();
        prop_assert_eq!(&header.to_bytes()[..], &bytes[..BATCH_HEADER_BYTES]);
        prop_assert_eq!((header.last_offset(), header.size_bytes()), (base + i64::from(count) - 1, bytes.len()));
    }

    #[test]
    fn random_bytes_never_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        walk(&bytes);
        // The same behind a sound prefix, so that the checks further in are reached.
        let mut framed = sample().to_vec();
        framed.truncate(BATCH_HEADER_BYTES);
        framed.extend_from_slice(&bytes);
        let length = (framed.len() - PREFIX_BYTES) as i32;
        framed[8..12].copy_from_slice(&length.to_be_bytes());
        walk(&framed);
        for codec in 0..8 {
            framed[22] = codec;
            walk(&framed);
        }
    }

    #[test]
    fn one_changed_byte_is_noticed_or_harmless(at in 0_usize..150, to in any::<u8>()) {
        let mut bytes = sample().to_vec();
        let at = at % bytes.len();
        let before = bytes[at];
        bytes[at] = to;
        walk(&bytes);
        let sound = Batch::first(&bytes).is_ok_and(|batch| batch.check_crc().is_ok());
        // Base offset and leader epoch lie outside the checksum.
        let outside = at < 8 || (12..16).contains(&at);
        prop_assert!(!sound || outside || before == to, "byte {at}: {before} -> {to}");
    }
}

fn walk(bytes: &[u8]) {
    for batch in batches(bytes) {
        let Ok(batch) = batch else { return };
        let _ = batch.check_crc();
        let passed = passed(&batch, 10_000);
        let Ok(records) = batch.records(10_000) else {
            assert!(passed.is_err());
            continue;
        };
        for record in records.iter().flatten() {
            record.headers().count();
        }
        if let Ok(passed) = passed {
            let kept: Vec<_> = records.iter().map(|record| place_of(record.unwrap())).collect();
            let passed: Vec<_> =
                passed.into_iter().map(|passed| (passed.timestamp_ms, passed.has_key)).collect();
            assert_eq!(passed, kept);
        }
    }
}

fn place_of(record: Record<'_>) -> (i64, bool) {
    (record.timestamp_ms, record.key.is_some())
}

/// What a walk shows, which does not depend on whether the batch is unpacked as a whole.
fn passed(batch: &Batch<'_>, bytes_max: usize) -> Result<Vec<Passed>, BatchError> {
    let (mut all, mut by_pieces) = (Vec::new(), Vec::new());
    let walked = batch.walk::<BatchError>(bytes_max, |record| {
        all.push(record);
        Ok(())
    });
    let walked_by_pieces = batch.walk_piecewise::<BatchError>(bytes_max, |record| {
        by_pieces.push(record);
        Ok(())
    });
    assert_eq!(walked.is_ok(), walked_by_pieces.is_ok(), "{walked:?} {walked_by_pieces:?}");
    assert!(walked.is_err() || all == by_pieces);
    walked.map(|()| all)
}

/// A batch of these records' bytes, packed; `change` may spoil the header before the CRC is made.
fn packed(codec: Compression, body: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let sample = sample();
    let mut header = Batch::first(&sample).unwrap().header;
    header.attributes = header.attributes & !7 | codec.attribute_bits();
    header.length = (BATCH_HEADER_BYTES - PREFIX_BYTES + body.len()) as i32;
    change(&mut header);
    header.crc = header::crc_of(&header, body);
    [&header.to_bytes()[..], body].concat()
}

#[test]
fn a_batch_is_packed_anew() {
    let plain = sample()[BATCH_HEADER_BYTES..].to_vec();
    for (from, _) in CODECS {
        let bytes = packed(from, &from.compress(&plain).unwrap(), |_| {});
        let batch = Batch::first(&bytes).unwrap();
        for (codec, level) in CODECS.into_iter().flat_map(|(codec, _)| [(codec, None), (codec, Some(7))]) {
            let packing = Packing { codec, level };
            let Ok(Repacked::Batch(anew)) = batch.repacked(packing, BYTES_MAX, BYTES_MAX) else {
                panic!("{from:?} as {packing:?}")
            };
            let repacked = Batch::first(&anew).unwrap();
            repacked.check_crc().unwrap();
            assert_eq!(repacked.header.compression(), Ok(codec));
            assert_eq!(passed(&repacked, BYTES_MAX), passed(&batch, BYTES_MAX));
            assert_eq!(repacked.records(BYTES_MAX).unwrap().body(), plain);
            let (length, crc, attributes) = (batch.header.length, batch.header.crc, batch.header.attributes);
            assert_eq!(BatchHeader { length, crc, attributes, ..repacked.header }, batch.header);
            // To the byte: as large as it is it fits, and one less it does not.
            let bytes = anew.len();
            assert_eq!(batch.repacked(packing, BYTES_MAX, bytes), Ok(Repacked::Batch(anew)));
            assert_eq!(batch.repacked(packing, BYTES_MAX, bytes - 1), Ok(Repacked::TooLarge { bytes }));
        }
    }
}

#[test]
fn a_walk_finds_what_is_packed_wrongly() {
    let plain = sample()[BATCH_HEADER_BYTES..].to_vec();
    let refused = |bytes: &[u8]| {
        let batch = Batch::first(bytes).unwrap();
        batch.check_crc().unwrap();
        passed(&batch, BYTES_MAX).unwrap_err()
    };
    for (codec, _) in CODECS {
        let whole = codec.compress(&plain).unwrap();
        assert_eq!(
            passed(&Batch::first(&packed(codec, &whole, |_| {})).unwrap(), BYTES_MAX).unwrap().len(),
            3
        );
        // The counts are lower or higher than what is packed; the records end too early; they are not packed at all.
        let fewer = packed(codec, &whole, |header| (header.records_count, header.last_offset_delta) = (2, 1));
        assert_eq!(
            refused(&fewer),
            BatchError::Record { index: 2, what: "it is one more than the batch counts" }
        );
        let more = packed(codec, &whole, |header| (header.records_count, header.last_offset_delta) = (4, 3));
        assert_eq!(refused(&more), BatchError::Record { index: 3, what: "it is cut off" });
        let cut = codec.compress(&plain[..plain.len() - 1]).unwrap();
        assert_eq!(
            refused(&packed(codec, &cut, |_| {})),
            BatchError::Record { index: 2, what: "it is cut off" }
        );
        if codec != Compression::None {
            let unpacked = refused(&packed(codec, &plain, |_| {}));
            assert!(
                matches!(unpacked, BatchError::Decompress(CompressionError::Corrupt { .. })),
                "{unpacked}"
            );
            let nothing = refused(&packed(codec, &codec.compress(b"").unwrap(), |_| {}));
            assert_eq!(nothing, BatchError::Record { index: 0, what: "it is cut off" }, "{codec:?}");
        }
        // The second record says that it is the third.
        let size = 1 + usize::from(plain[0] >> 1);
        let mut jumps = plain.clone();
        jumps[size + 3] += 2;
        let jumps = refused(&packed(codec, &codec.compress(&jumps).unwrap(), |_| {}));
        let what = "its offset does not follow the one before";
        assert_eq!(jumps, BatchError::Record { index: 1, what });
    }
}

#[test]
fn a_walk_ends_at_its_bound() {
    let mut builder = BatchBuilder::new(0);
    (0..8).for_each(|offset| builder.push(offset, 5, None, Some(&[0; 100_000]), []));
    for (codec, _) in CODECS {
        let bytes = builder.clone().compression(codec).finish().unwrap();
        let batch = Batch::first(&bytes).unwrap();
        assert_eq!(passed(&batch, BYTES_MAX).unwrap().len(), 8, "{codec:?}");
        let error = passed(&batch, 500_000).unwrap_err();
        let expected = CompressionError::TooLarge { codec, bytes_max: 500_000 };
        assert_eq!(error, BatchError::Decompress(expected));
    }
}

#[test]
fn a_batch_that_no_thread_keeps_room_for_is_walked() {
    let mut builder = BatchBuilder::new(0);
    (0..30).for_each(|offset| builder.push(offset, 5 + offset, Some(b"k"), Some(&[7; 100_000]), []));
    for (codec, _) in CODECS {
        let bytes = builder.clone().compression(codec).finish().unwrap();
        let passed = passed(&Batch::first(&bytes).unwrap(), 4 << 20).unwrap();
        let expected = |index| Passed { index, timestamp_ms: 5 + i64::from(index), has_key: true };
        assert_eq!(passed, (0..30).map(expected).collect::<Vec<_>>(), "{codec:?}");
    }
}

#[test]
fn a_walk_within_a_walk_has_its_own_room() {
    let build = |time_ms| {
        let mut builder = BatchBuilder::new(0).compression(Compression::Zstd);
        (0..3).for_each(|offset| builder.push(offset, time_ms, None, Some(&[7; 100]), []));
        builder.finish().unwrap()
    };
    let (outer, inner) = (build(1), build(2));
    let mut times_ms = Vec::new();
    let walked = Batch::first(&outer).unwrap().walk::<BatchError>(BYTES_MAX, |record| {
        times_ms.push(record.timestamp_ms);
        Batch::first(&inner)?.walk(BYTES_MAX, |record| {
            times_ms.push(record.timestamp_ms);
            Ok(())
        })
    });
    walked.unwrap();
    assert_eq!(times_ms, [1, 2, 2, 2, 1, 2, 2, 2, 1, 2, 2, 2]);
}

#[test]
fn zstd_of_several_frames_is_walked_and_one_of_a_huge_window_refused() {
    let plain = sample()[BATCH_HEADER_BYTES..].to_vec();
    let (first, second) = plain.split_at(20);
    let frames = [first, second].map(|part| Compression::Zstd.compress(part).unwrap()).concat();
    let batch = packed(Compression::Zstd, &frames, |_| {});
    assert_eq!(passed(&Batch::first(&batch).unwrap(), BYTES_MAX).unwrap().len(), 3);
    // Readers are not bound to have more than 2^27 bytes for what records may refer back to.
    for (window_log, is_taken) in [(26, true), (28, false)] {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        let batch = packed(Compression::Zstd, &encoder.finish().unwrap(), |_| {});
        let batch = Batch::first(&batch).unwrap();
        assert_eq!(passed(&batch, BYTES_MAX).is_ok(), is_taken, "2^{window_log}");
        assert_eq!(batch.records(BYTES_MAX).is_ok(), is_taken, "2^{window_log}");
    }
}

#[test]
fn a_payload_of_several_batches_is_walked() {
    let mut bytes = sample().to_vec();
    bytes.extend_from_slice(&sample());
    assert_eq!(batches(&bytes).filter(Result::is_ok).count(), 2);
    bytes.truncate(bytes.len() - 1);
    let found: Vec<_> = batches(&bytes).collect();
    assert_eq!(found.len(), 2);
    let (needed, found_bytes) = (sample().len() as u64, sample().len() as u64 - 1);
    assert_eq!(found[1].as_ref().unwrap_err(), &BatchError::Short { needed, found: found_bytes });
}

#[test]
fn a_patch_leaves_the_checksum_alone_unless_it_stamps_the_time() {
    let mut bytes = sample().to_vec();
    let crc = BatchHeader::parse(&bytes).unwrap().crc;
    Patch { base_offset: 700, leader_epoch: 4, append_time_ms: None }.apply(&mut bytes).unwrap();
    let batch = Batch::first(&bytes).unwrap();
    batch.check_crc().unwrap();
    assert_eq!((batch.header.base_offset, batch.header.leader_epoch, batch.header.crc), (700, 4, crc));
    Patch { base_offset: 700, leader_epoch: 4, append_time_ms: Some(9_999) }.apply(&mut bytes).unwrap();
    let batch = Batch::first(&bytes).unwrap();
    batch.check_crc().unwrap();
    assert_ne!(batch.header.crc, crc);
    let records = batch.records(BYTES_MAX).unwrap();
    let times: Vec<_> = records.iter().map(|record| record.unwrap().timestamp_ms).collect();
    assert_eq!(times, [9_999; 3]);
}

#[test]
fn old_messages_and_lying_headers_are_refused() {
    let with = |at: usize, bytes: &[u8]| {
        let mut batch = sample().to_vec();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        Batch::first(&batch).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(16, &[1]), BatchError::Magic { magic: 1 });
    assert_eq!(with(16, &[0]), BatchError::Magic { magic: 0 });
    assert_eq!(with(8, &(-5_i32).to_be_bytes()), BatchError::Field { field: "length", value: -5 });
    assert_eq!(with(22, &[7]), BatchError::Compression { id: 7 });
    assert_eq!(
        with(57, &i32::MAX.to_be_bytes()),
        BatchError::Field { field: "records count", value: 0x7fff_ffff }
    );
    assert_eq!(with(57, &(-1_i32).to_be_bytes()), BatchError::Field { field: "records count", value: -1 });
    assert_eq!(
        with(23, &(-1_i32).to_be_bytes()),
        BatchError::Field { field: "last offset delta", value: -1 }
    );
    // A count that fits the offsets but not the bytes.
    let mut both = sample().to_vec();
    both[23..27].copy_from_slice(&999_999_i32.to_be_bytes());
    both[57..61].copy_from_slice(&1_000_000_i32.to_be_bytes());
    assert_eq!(
        Batch::first(&both).unwrap_err(),
        BatchError::Field { field: "records count", value: 1_000_000 }
    );
}

#[test]
fn a_rewritten_batch_keeps_offsets_and_takes_a_delete_horizon() {
    let bytes = sample();
    let original = Batch::first(&bytes).unwrap();
    let mut builder = BatchBuilder::rewriting(&original.header, Some(50_000));
    let records = original.records(BYTES_MAX).unwrap();
    let second = records.iter().nth(1).unwrap().unwrap();
    builder.push(second.offset, second.timestamp_ms, second.key, None, []);
    let rewritten = builder.finish().unwrap();
    let batch = Batch::first(&rewritten).unwrap();
    batch.check_crc().unwrap();
    assert_eq!((batch.header.base_offset, batch.header.last_offset()), (0, 2));
    assert_eq!((batch.header.delete_horizon_ms(), batch.header.records_count), (Some(50_000), 1));
    let records = batch.records(BYTES_MAX).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!((record.offset, record.timestamp_ms, record.value), (1, 1_001, None));
    let empty = BatchBuilder::rewriting(&original.header, None).finish().unwrap();
    let batch = Batch::first(&empty).unwrap();
    assert_eq!((batch.header.records_count, batch.header.last_offset()), (0, 2));
    assert_eq!((batch.header.base_sequence, batch.header.last_sequence()), (100, 102));
}

#[test]
fn a_transaction_marker_is_a_control_batch() {
    let bytes = control_batch(5, 1, true, 7, 123).unwrap();
    let batch = Batch::first(&bytes).unwrap();
    assert!(batch.header.is_control() && batch.header.is_transactional());
    let records = batch.records(100).unwrap();
    let marker = records.iter().next().unwrap().unwrap();
    assert_eq!((marker.key, marker.value), (Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 0, 0, 7][..])));
}
