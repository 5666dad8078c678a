//! What the log remembers of idempotent producers: epoch and last five batches, so that a retry is answered, not repeated.
//!
//! The rules are those of Kafka's ProducerStateManager (KIP-98). The snapshot is ours: a version byte, a count, per
//! producer its id, epoch and batches, and a CRC-32C over all of it; one that does not check is as one that is not there.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    path::Path,
};

use bytes::{Buf, BufMut, BytesMut};
use wire::batch::BatchHeader;

use super::{errors::LogError, files};

/// As many as a client may have in flight.
const BATCHES_COUNT_MAX: usize = 5;
const SNAPSHOT_VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    base_sequence: i32,
    last_sequence: i32,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    timestamp_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Producer {
    epoch: i16,
    sent: VecDeque<Sent>,
    seen_ms: i64,
}

/// What to do with a batch of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fresh,
    Duplicate(Sent),
    OutOfOrder { expected: i32 },
    Fenced { current: i16 },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<i64, Producer>);

impl Producers {
    pub(crate) fn check(&self, header: &BatchHeader) -> Verdict {
        // A producer that is not known (any more) may begin anywhere: retention may have removed all it sent.
        let Some(producer) = self.0.get(&header.producer_id) else { return Verdict::Fresh };
        if header.producer_epoch < producer.epoch {
            return Verdict::Fenced { current: producer.epoch };
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 {
                Verdict::Fresh
            } else {
                Verdict::OutOfOrder { expected: 0 }
            };
        }
        let sequences = (header.base_sequence, header.last_sequence());
        let again = producer.sent.iter().find(|sent| (sent.base_sequence, sent.last_sequence) == sequences);
        if let Some(sent) = again {
            return Verdict::Duplicate(*sent);
        }
        let Some(last) = producer.sent.back() else { return Verdict::Fresh };
        let expected = last.last_sequence.wrapping_add(1) & i32::MAX;
        if header.base_sequence == expected { Verdict::Fresh } else { Verdict::OutOfOrder { expected } }
    }

    /// Remembers a batch at its place in the log; gives what to `restore` should the write fail.
    pub(crate) fn took(&mut self, header: &BatchHeader, base_offset: i64, now_ms: i64) -> Option<Producer> {
        let known = self.0.get(&header.producer_id).cloned();
        let producer = self.0.entry(header.producer_id).or_default();
        if known.is_none() || header.producer_epoch != producer.epoch {
            *producer = Producer { epoch: header.producer_epoch, ..Producer::default() };
        }
        producer.seen_ms = now_ms;
        if header.is_control() {
            return known;
        }
        if producer.sent.len() >= BATCHES_COUNT_MAX {
            producer.sent.pop_front();
        }
        producer.sent.push_back(Sent {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
            last_offset: base_offset + i64::from(header.last_offset_delta),
            timestamp_ms: header.max_timestamp_ms,
        });
        known
    }

    pub(crate) fn restore(&mut self, producer_id: i64, before: Option<Producer>) {
        match before {
            Some(producer) => self.0.insert(producer_id, producer),
            None => self.0.remove(&producer_id),
        };
    }

    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.0.retain(|_, producer| producer.seen_ms >= before_ms);
    }

    /// Whether a batch is the last that its producer sent: compaction keeps it even when it is empty.
    pub(crate) fn is_last(&self, header: &BatchHeader) -> bool {
        let last = self.0.get(&header.producer_id).and_then(|producer| producer.sent.back());
        last.is_some_and(|sent| sent.last_offset == header.last_offset())
    }

    pub(crate) fn write(&self, path: &Path, sync: bool) -> Result<(), LogError> {
        let mut bytes = BytesMut::new();
        bytes.put_u8(SNAPSHOT_VERSION);
        bytes.put_u32(self.0.len() as u32);
        for (id, producer) in &self.0 {
            bytes.put_i64(*id);
            bytes.put_i16(producer.epoch);
            bytes.put_i64(producer.seen_ms);
            bytes.put_u8(producer.sent.len() as u8);
            for sent in &producer.sent {
                bytes.put_i32(sent.base_sequence);
                bytes.put_i32(sent.last_sequence);
                bytes.put_i64(sent.base_offset);
                bytes.put_i64(sent.last_offset);
                bytes.put_i64(sent.timestamp_ms);
            }
        }
        bytes.put_u32(crc32c::crc32c(&bytes));
        files::write_atomically(path, &bytes, sync)
    }

    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read(path).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = body;
        if rest.try_get_u8().ok()? != SNAPSHOT_VERSION {
            return None;
        }
        let mut producers = HashMap::new();
        for _ in 0..rest.try_get_u32().ok()? {
            let id = rest.try_get_i64().ok()?;
            let (epoch, seen_ms) = (rest.try_get_i16().ok()?, rest.try_get_i64().ok()?);
            let mut sent = VecDeque::new();
            for _ in 0..rest.try_get_u8().ok()? {
                sent.push_back(Sent {
                    base_sequence: rest.try_get_i32().ok()?,
                    last_sequence: rest.try_get_i32().ok()?,
                    base_offset: rest.try_get_i64().ok()?,
                    last_offset: rest.try_get_i64().ok()?,
                    timestamp_ms: rest.try_get_i64().ok()?,
                });
            }
            producers.insert(id, Producer { epoch, sent, seen_ms });
        }
        Some(Self(producers))
    }
}
