//! The 61 bytes before the records, what can be checked without decompressing, and patches.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};

use super::BatchError;
use crate::compression::Compression;

/// Bytes of a batch's header; the records follow.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Base offset and length: what the length does not count.
pub const PREFIX_BYTES: usize = 12;

/// A record of seven bytes has neither key nor value nor headers; a smaller one cannot be.
const RECORD_BYTES_MIN: usize = 7;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

pub(super) const TIMESTAMP_TYPE: i16 = 0x08;
pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;
pub(super) const DELETE_HORIZON: i16 = 0x40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field; the whole batch has `PREFIX_BYTES` more.
    pub length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// With `delete_horizon_ms` it is that; the records' deltas count from it either way.
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    /// -1: not an idempotent producer.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

/// The size of the batch that `bytes` begins with, from its first twelve bytes; `None` while those are not there.
pub fn batch_size(bytes: &[u8]) -> Result<Option<usize>, BatchError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let length = i32_at(prefix, 8);
    match usize::try_from(length) {
        Ok(length) if length >= BATCH_HEADER_BYTES - PREFIX_BYTES => Ok(Some(PREFIX_BYTES + length)),
        // Old messages are shorter than our header: say what they are if their magic can be seen.
        _ => match bytes.get(16).map(|&magic| magic as i8) {
            Some(magic @ (0 | 1)) if length > 0 => Err(BatchError::Magic { magic }),
            _ => Err(BatchError::Field { field: "length", value: i64::from(length) }),
        },
    }
}

impl BatchHeader {
    /// Reads the header; whether the batch is whole and sound is `Batch`'s to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if let Some(magic) = bytes.get(16).map(|&magic| magic as i8)
            && magic != 2
        {
            return Err(BatchError::Magic { magic });
        }
        let short = BatchError::Short { needed: BATCH_HEADER_BYTES as u64, found: bytes.len() as u64 };
        let Some(head) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else { return Err(short) };
        batch_size(head)?;
        Ok(Self {
            base_offset: i64_at(head, 0),
            length: i32_at(head, 8),
            leader_epoch: i32_at(head, 12),
            magic: head[16] as i8,
            crc: i32_at(head, CRC_AT) as u32,
            attributes: i16_at(head, ATTRIBUTES_AT),
            last_offset_delta: i32_at(head, 23),
            base_timestamp_ms: i64_at(head, 27),
            max_timestamp_ms: i64_at(head, MAX_TIMESTAMP_AT),
            producer_id: i64_at(head, 43),
            producer_epoch: i16_at(head, 51),
            base_sequence: i32_at(head, 53),
            records_count: i32_at(head, 57),
        })
    }

    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut head = [0; BATCH_HEADER_BYTES];
        head[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        head[8..12].copy_from_slice(&self.length.to_be_bytes());
        head[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        head[16] = self.magic as u8;
        head[17..21].copy_from_slice(&self.crc.to_be_bytes());
        head[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        head[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp_ms.to_be_bytes());
        head[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        head[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        head[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch.
    pub fn size_bytes(&self) -> usize {
        PREFIX_BYTES + usize::try_from(self.length).unwrap_or(0)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequences go from 0 to `i32::MAX` and round again.
    pub fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    pub fn compression(&self) -> Result<Compression, BatchError> {
        let id = self.attributes & 7;
        Compression::from_attributes(self.attributes).ok_or(BatchError::Compression { id })
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// The records' time is when the log took them: the batch's maximum is the time of each.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }

    /// From when on compaction may drop the batch's tombstones (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp_ms)
    }

    /// Fields that cannot be so in any batch, before anything is allocated by them.
    fn check(&self) -> Result<(), BatchError> {
        let field = |field, value| Err(BatchError::Field { field, value });
        let body_bytes = self.size_bytes() - BATCH_HEADER_BYTES;
        if self.base_offset < 0 {
            return field("base offset", self.base_offset);
        }
        if self.last_offset_delta < 0
            || self.base_offset.checked_add(i64::from(self.last_offset_delta)).is_none()
        {
            return field("last offset delta", i64::from(self.last_offset_delta));
        }
        let records_count = match usize::try_from(self.records_count) {
            Ok(count) if count <= 1 + self.last_offset_delta as usize => count,
            _ => return field("records count", i64::from(self.records_count)),
        };
        if self.compression()? == Compression::None
            && records_count.saturating_mul(RECORD_BYTES_MIN) > body_bytes
        {
            return field("records count", i64::from(self.records_count));
        }
        Ok(())
    }
}

/// One whole batch lying in somebody's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The first batch of `bytes`: whole, of magic 2, its sizes and counts possible. The CRC is `check_crc`'s.
    pub fn first(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let short = |needed: usize| BatchError::Short { needed: needed as u64, found: bytes.len() as u64 };
        let size = batch_size(bytes)?.ok_or_else(|| short(BATCH_HEADER_BYTES))?;
        let header = BatchHeader::parse(bytes)?;
        let bytes = bytes.get(..size).ok_or_else(|| short(size))?;
        header.check()?;
        Ok(Self { header, bytes })
    }

    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (expected, found) = (self.header.crc, crc32c(&self.bytes[ATTRIBUTES_AT..]));
        if expected == found { Ok(()) } else { Err(BatchError::Crc { expected, found }) }
    }

    /// The same batch with the latest time of its records in its header, which is under the CRC.
    pub fn with_max_timestamp(&self, time_ms: i64) -> Bytes {
        let mut header = BatchHeader { max_timestamp_ms: time_ms, ..self.header };
        header.crc = crc_of(&header, self.body());
        Bytes::from([&header.to_bytes()[..], self.body()].concat())
    }

    /// The records' bytes, compressed as they are.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[BATCH_HEADER_BYTES..]
    }
}

/// The batches of a produce request or of a stretch of a log, one after the other; ends after the first error.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::first(self.rest);
        self.rest = batch.as_ref().map_or(&[], |batch| &self.rest[batch.bytes.len()..]);
        Some(batch)
    }
}

/// What the log writes over a batch that it takes.
#[derive(Debug, Clone, Copy)]
pub struct Patch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    /// Stamps all records with this time, which is under the CRC: that is made anew.
    pub append_time_ms: Option<i64>,
}

impl Patch {
    /// The header that goes before the batch's untouched body.
    pub fn header_of(&self, batch: &Batch<'_>) -> [u8; BATCH_HEADER_BYTES] {
        let mut header =
            BatchHeader { base_offset: self.base_offset, leader_epoch: self.leader_epoch, ..batch.header };
        if let Some(time_ms) = self.append_time_ms {
            header.attributes |= TIMESTAMP_TYPE;
            header.max_timestamp_ms = time_ms;
            header.crc = crc32c_append(crc32c(&header.to_bytes()[ATTRIBUTES_AT..]), batch.body());
        }
        header.to_bytes()
    }

    /// The same, written over the batch's bytes where they lie.
    pub fn apply(&self, bytes: &mut [u8]) -> Result<(), BatchError> {
        let header = self.header_of(&Batch::first(bytes)?);
        bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header);
        Ok(())
    }
}

/// The CRC that belongs to a header and the body behind it.
pub(super) fn crc_of(header: &BatchHeader, body: &[u8]) -> u32 {
    crc32c_append(crc32c(&header.to_bytes()[ATTRIBUTES_AT..]), body)
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from(i32_at(bytes, at)) << 32 | i64::from(i32_at(bytes, at + 4) as u32)
}
