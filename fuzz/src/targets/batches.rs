//! Record batches: as a producer sends them, as the log reads them back, and as a topic's codec and compaction write them anew.

use wire::{
    batch::{BATCH_HEADER_BYTES, Batch, BatchBuilder, BatchError, BatchHeader, Patch, Repacked, batches},
    compression::{Compression, Packing},
};

/// What the records of a batch may become when they are unpacked.
pub(super) const RECORDS_BYTES_MAX: usize = 256 << 10;

/// The first byte says whether length and checksum are made right first, so that what lies behind them is reached.
pub(super) fn read(input: &[u8]) {
    let [mend, rest @ ..] = input else { return };
    let mut bytes = rest.to_vec();
    if mend & 1 == 1 && bytes.len() >= BATCH_HEADER_BYTES {
        let length = (bytes.len() - 12) as u32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2; // magic
        let crc = crc_of(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    for batch in batches(&bytes) {
        let Ok(batch) = batch else { return };
        one(&batch);
    }
}

fn crc_of(bytes: &[u8]) -> u32 {
    // Castagnoli's polynomial, bit by bit: inputs are short.
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (!(crc & 1)).wrapping_add(1)))
    })
}

fn one(batch: &Batch<'_>) {
    let sound = batch.check_crc().is_ok();
    let header = &batch.header;
    assert_eq!(header.to_bytes().len(), BATCH_HEADER_BYTES);
    let patch = Patch { base_offset: 5, leader_epoch: 1, append_time_ms: sound.then_some(7) };
    let patched = patch.header_of(batch);
    BatchHeader::parse(&[&patched[..], batch.body()].concat()).expect("a patched header is one");
    if batch.walk::<BatchError>(RECORDS_BYTES_MAX, |_| Ok(())).is_ok() {
        // The sizes before the records are not counted.
        let records = batch.records(2 * RECORDS_BYTES_MAX).expect("what a broker takes can be unpacked");
        let count = records.iter().filter(Result::is_ok).count();
        assert_eq!(count as i32, header.records_count, "what a broker takes can be read");
        repacked(batch, records.body());
    }
    let Ok(records) = batch.records(RECORDS_BYTES_MAX) else { return };
    assert!(records.body().len() <= RECORDS_BYTES_MAX.max(batch.bytes.len()));
    let mut builder = BatchBuilder::rewriting(header, Some(9));
    for record in &records {
        let Ok(record) = record else { return };
        let inside = header.base_offset..=header.last_offset();
        assert!(inside.contains(&record.offset), "{} is outside {inside:?}", record.offset);
        builder.push(record.offset, record.timestamp_ms, record.key, record.value, record.headers());
    }
    let rebuilt = builder.finish().expect("memory does not fail");
    let again = Batch::first(&rebuilt).expect("what is written is a batch");
    again.check_crc().expect("what is written has its checksum");
    let count =
        again.records(usize::MAX >> 1).expect("it can be unpacked").iter().filter(Result::is_ok).count();
    assert_eq!(count as i32, again.header.records_count, "compaction would lose records");
}

/// By one of the codecs, whose number the checksum draws.
fn repacked(batch: &Batch<'_>, records: &[u8]) {
    let codec = Compression::from_attributes((batch.header.crc % 5) as i16).expect("there are five");
    let packing = Packing { codec, level: None };
    let repacked = batch.repacked(packing, 2 * RECORDS_BYTES_MAX, usize::MAX);
    let Ok(Repacked::Batch(anew)) = repacked else { panic!("{codec:?}: {repacked:?}") };
    let anew = Batch::first(&anew).expect("what is packed anew is a batch");
    anew.check_crc().expect("what is packed anew has its checksum");
    assert_eq!(anew.header.compression(), Ok(codec));
    assert_eq!(anew.records(2 * RECORDS_BYTES_MAX).expect("it can be unpacked").body(), records);
}
