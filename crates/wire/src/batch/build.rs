//! Batches of our own: internal topics, compaction's leftovers, control records, tests; and clients' that are packed anew.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Batch, BatchError,
    header::{
        BATCH_HEADER_BYTES, BatchHeader, CONTROL, DELETE_HORIZON, PREFIX_BYTES, TIMESTAMP_TYPE,
        TRANSACTIONAL, crc_of,
    },
};
use crate::compression::{Compression, Packed, Packing};

/// Collects records and closes them into one batch. Offsets must rise; the first push sets the base timestamp.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    base_timestamp_set: bool,
    records: BytesMut,
    record: BytesMut,
}

impl BatchBuilder {
    pub fn new(base_offset: i64) -> Self {
        let header = BatchHeader {
            base_offset,
            length: 0,
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp_ms: -1,
            max_timestamp_ms: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: 0,
        };
        Self {
            header,
            compression: Compression::None,
            base_timestamp_set: false,
            records: BytesMut::new(),
            record: BytesMut::new(),
        }
    }

    /// A batch that stands where `original` stood, with fewer records: offsets, producer and times stay.
    /// With `delete_horizon_ms` it carries that (KIP-534).
    pub fn rewriting(original: &BatchHeader, delete_horizon_ms: Option<i64>) -> Self {
        let mut builder = Self::new(original.base_offset);
        builder.compression = original.compression().unwrap_or_default();
        let horizon_ms = original.delete_horizon_ms().or(delete_horizon_ms);
        builder.header = BatchHeader {
            records_count: 0,
            base_timestamp_ms: horizon_ms.unwrap_or(original.base_timestamp_ms),
            attributes: original.attributes | if horizon_ms.is_some() { DELETE_HORIZON } else { 0 },
            ..*original
        };
        builder.base_timestamp_set = true;
        builder
    }

    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.leader_epoch = leader_epoch;
        self
    }

    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        (self.header.producer_id, self.header.producer_epoch) = (producer_id, producer_epoch);
        self.header.base_sequence = base_sequence;
        self
    }

    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL;
        self
    }

    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL;
        self
    }

    pub fn records_count(&self) -> i32 {
        self.header.records_count
    }

    /// Bytes so far, before compression.
    pub fn size_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// Puts a record behind the others. The offset must not be before the batch's base, nor 2^31 beyond it.
    pub fn push<'h>(
        &mut self,
        offset: i64,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'h [u8], Option<&'h [u8]>), IntoIter: Clone>,
    ) {
        let header = &mut self.header;
        let offset_delta =
            i32::try_from(offset - header.base_offset).expect("a batch spans less than 2^31 offsets");
        assert!(offset_delta >= 0, "offset {offset} is before the batch's base {}", header.base_offset);
        if !self.base_timestamp_set {
            self.base_timestamp_set = true;
            header.base_timestamp_ms = timestamp_ms;
        }
        let headers = headers.into_iter();
        let record = &mut self.record;
        record.clear();
        record.put_u8(0);
        put_signed(record, timestamp_ms.wrapping_sub(header.base_timestamp_ms));
        put_signed(record, i64::from(offset_delta));
        put_nullable(record, key);
        put_nullable(record, value);
        put_signed(record, headers.clone().count() as i64);
        for (name, value) in headers {
            put_nullable(record, Some(name));
            put_nullable(record, value);
        }
        put_signed(&mut self.records, record.len() as i64);
        self.records.put_slice(record);
        header.records_count += 1;
        header.last_offset_delta = header.last_offset_delta.max(offset_delta);
        if header.attributes & TIMESTAMP_TYPE == 0 {
            header.max_timestamp_ms = header.max_timestamp_ms.max(timestamp_ms);
        }
    }

    /// The batch's bytes. One without records is possible: it keeps the place of offsets and of a producer's sequence.
    pub fn finish(mut self) -> io::Result<Bytes> {
        let compression = if self.header.records_count == 0 { Compression::None } else { self.compression };
        let body: Bytes = match compression {
            Compression::None => self.records.freeze(),
            codec => codec.compress(&self.records)?.into(),
        };
        self.header.attributes = self.header.attributes & !7 | compression.attribute_bits();
        self.header.length = i32::try_from(BATCH_HEADER_BYTES - PREFIX_BYTES + body.len())
            .map_err(|_| io::Error::other("a record batch cannot be larger than 2 GiB"))?;
        self.header.crc = crc_of(&self.header, &body);
        let mut bytes = BytesMut::with_capacity(BATCH_HEADER_BYTES + body.len());
        bytes.put_slice(&self.header.to_bytes());
        bytes.put_slice(&body);
        Ok(bytes.freeze())
    }
}

/// A batch that was packed anew, where it is not too large for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repacked {
    Batch(Bytes),
    TooLarge { bytes: usize },
}

impl Batch<'_> {
    /// The same records, offsets, times and producer, packed as `packing` says, where that gives at most `bytes_max` bytes. The records
    /// are ones that `walk` has passed, with its bound.
    pub fn repacked(
        &self,
        packing: Packing,
        records_bytes_max: usize,
        bytes_max: usize,
    ) -> Result<Repacked, BatchError> {
        let room = bytes_max.min(i32::MAX as usize).saturating_sub(BATCH_HEADER_BYTES);
        let codec = self.header.compression()?;
        Ok(match codec.repack(self.body(), records_bytes_max, packing, room)? {
            Packed::Fits(body) => {
                let attributes = self.header.attributes & !7 | packing.codec.attribute_bits();
                let length = (BATCH_HEADER_BYTES - PREFIX_BYTES + body.len()) as i32; // bounded by `room`
                let mut header = BatchHeader { attributes, length, ..self.header };
                header.crc = crc_of(&header, &body);
                Repacked::Batch([&header.to_bytes()[..], &body].concat().into())
            }
            Packed::TooLarge { bytes } => Repacked::TooLarge { bytes: BATCH_HEADER_BYTES + bytes },
        })
    }
}

/// The marker that ends a transaction: a control batch of one record (KIP-98).
pub fn control_batch(
    producer_id: i64,
    producer_epoch: i16,
    commit: bool,
    coordinator_epoch: i32,
    timestamp_ms: i64,
) -> io::Result<Bytes> {
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let key = [0, 0, 0, u8::from(commit)];
    let mut builder =
        BatchBuilder::new(0).producer(producer_id, producer_epoch, -1).transactional().control();
    builder.push(0, timestamp_ms, Some(&key), Some(&value), []);
    builder.finish()
}

fn put_nullable(buffer: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_signed(buffer, -1),
        Some(bytes) => {
            put_signed(buffer, bytes.len() as i64);
            buffer.put_slice(bytes);
        }
    }
}

/// Zigzag, then seven bits a byte; for 32 and 64 bits alike, since a small number is the same in both.
fn put_signed(buffer: &mut BytesMut, number: i64) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest >= 0x80 {
        buffer.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.put_u8(rest as u8);
}
