//! What the log remembers of producers: epoch and last five batches, so that a retry is answered, not repeated; and where an
//! open transaction began, behind which nothing is stable.
//!
//! The rules are those of Kafka's ProducerStateManager (KIP-98). The snapshot is ours: a version byte, a count, per
//! producer its id, epoch, open transaction (version 2) and batches, and a CRC-32C over all of it; one that does not check
//! is as one that is not there.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    path::Path,
};

use bytes::{Buf, BufMut, BytesMut};
use wire::batch::{Batch, BatchHeader};

use super::{aborted::Aborted, errors::LogError, files};

/// As many as a client may have in flight.
const BATCHES_COUNT_MAX: usize = 5;
const SNAPSHOT_VERSION: u8 = 2;

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
    /// The first offset of its open transaction.
    open_from: Option<i64>,
}

/// What a marker says of the transaction that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Abort,
    Commit,
}

impl Ending {
    /// From the key of the one record of a control batch: a version, then 0 or 1; other control records are not for us.
    pub fn of(batch: &Batch<'_>) -> Option<Ending> {
        if !batch.header.is_control() {
            return None;
        }
        let records = batch.records(CONTROL_BYTES_MAX).ok()?;
        match records.iter().next()?.ok()?.key? {
            [_, _, 0, 0] => Some(Ending::Abort),
            [_, _, 0, 1] => Some(Ending::Commit),
            _ => None,
        }
    }
}

/// A control batch holds one record of some bytes.
const CONTROL_BYTES_MAX: usize = 4 << 10;

/// A producer as DescribeProducers shows it; -1 where there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    pub producer_id: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    pub last_timestamp_ms: i64,
    pub open_from: i64,
}

/// What `took` changed: what to `restore` should the write fail, and the transaction that ended in vain.
pub(crate) struct Took {
    pub(crate) before: Option<Producer>,
    pub(crate) aborted: Option<Aborted>,
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
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
    /// First offset of each open transaction, and whose it is.
    open: BTreeMap<i64, i64>,
}

impl Producers {
    pub(crate) fn check(&self, header: &BatchHeader) -> Verdict {
        // A producer that is not known (any more) may begin anywhere: retention may have removed all it sent.
        let Some(producer) = self.known.get(&header.producer_id) else { return Verdict::Fresh };
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

    /// Remembers a batch at its place in the log. `ending` is what it says if it is a marker.
    pub(crate) fn took(&mut self, header: &BatchHeader, ending: Option<Ending>, now_ms: i64) -> Took {
        let before = self.known.get(&header.producer_id).cloned();
        let producer = self.known.entry(header.producer_id).or_default();
        if before.is_none() || header.producer_epoch != producer.epoch {
            let open_from = producer.open_from;
            *producer = Producer { epoch: header.producer_epoch, open_from, ..Producer::default() };
        }
        producer.seen_ms = now_ms;
        if header.is_control() {
            let open_from = ending.and(producer.open_from.take());
            let aborted = open_from.and_then(|first| self.ended(first, ending, header));
            return Took { before, aborted };
        }
        if header.is_transactional() && producer.open_from.is_none() {
            producer.open_from = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
        if producer.sent.len() >= BATCHES_COUNT_MAX {
            producer.sent.pop_front();
        }
        producer.sent.push_back(Sent {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp_ms: header.max_timestamp_ms,
        });
        Took { before, aborted: None }
    }

    fn ended(&mut self, first_offset: i64, ending: Option<Ending>, header: &BatchHeader) -> Option<Aborted> {
        self.open.remove(&first_offset);
        (ending == Some(Ending::Abort)).then(|| Aborted {
            producer_id: header.producer_id,
            first_offset,
            last_offset: header.last_offset(),
            last_stable_offset: self.first_open().unwrap_or(header.next_offset()),
        })
    }

    pub(crate) fn restore(&mut self, producer_id: i64, before: Option<Producer>) {
        let now = self.known.remove(&producer_id);
        if let Some(first) = now.and_then(|producer| producer.open_from) {
            self.open.remove(&first);
        }
        if let Some(producer) = before {
            self.put(producer_id, producer);
        }
    }

    fn put(&mut self, producer_id: i64, producer: Producer) {
        if let Some(first) = producer.open_from {
            self.open.insert(first, producer_id);
        }
        self.known.insert(producer_id, producer);
    }

    /// Where the oldest open transaction begins.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(first, _)| *first)
    }

    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.known.retain(|_, producer| producer.seen_ms >= before_ms || producer.open_from.is_some());
    }

    pub(crate) fn states(&self) -> Vec<ProducerState> {
        let state = |(producer_id, producer): (&i64, &Producer)| {
            let last = producer.sent.back();
            ProducerState {
                producer_id: *producer_id,
                epoch: producer.epoch,
                last_sequence: last.map_or(-1, |sent| sent.last_sequence),
                last_timestamp_ms: last.map_or(producer.seen_ms, |sent| sent.timestamp_ms),
                open_from: producer.open_from.unwrap_or(-1),
            }
        };
        let mut states: Vec<ProducerState> = self.known.iter().map(state).collect();
        states.sort_unstable_by_key(|state| state.producer_id);
        states
    }

    /// Whether a batch is the last that its producer sent: compaction keeps it even when it is empty.
    pub(crate) fn is_last(&self, header: &BatchHeader) -> bool {
        let last = self.known.get(&header.producer_id).and_then(|producer| producer.sent.back());
        last.is_some_and(|sent| sent.last_offset == header.last_offset())
    }

    pub(crate) fn write(&self, path: &Path, sync: bool) -> Result<(), LogError> {
        let mut bytes = BytesMut::new();
        bytes.put_u8(SNAPSHOT_VERSION);
        bytes.put_u32(self.known.len() as u32);
        for (id, producer) in &self.known {
            bytes.put_i64(*id);
            bytes.put_i16(producer.epoch);
            bytes.put_i64(producer.seen_ms);
            bytes.put_i64(producer.open_from.unwrap_or(-1));
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
        let version = rest.try_get_u8().ok()?;
        if !(1..=SNAPSHOT_VERSION).contains(&version) {
            return None;
        }
        let mut producers = Self::default();
        for _ in 0..rest.try_get_u32().ok()? {
            let id = rest.try_get_i64().ok()?;
            let (epoch, seen_ms) = (rest.try_get_i16().ok()?, rest.try_get_i64().ok()?);
            let open_from = if version >= 2 { rest.try_get_i64().ok()? } else { -1 };
            let open_from = (open_from >= 0).then_some(open_from);
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
            producers.put(id, Producer { epoch, sent, seen_ms, open_from });
        }
        Some(producers)
    }
}
