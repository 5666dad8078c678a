//! Aborted transactions: where each began and ended, kept beside the segment that holds its marker.
//!
//! `.txnindex` is Kafka's `TransactionIndex`: entries of 34 bytes, rising by the marker's offset, written at once, since an
//! abort is rare and must be known before its records can be read. Most segments have none and no file.

use std::{collections::HashMap, io, ops::Range, path::Path, sync::atomic::Ordering};

use super::{
    errors::LogError,
    files::{self, TXN_INDEX, offset_path},
    index::{Column, Entry},
    partition::Log,
    segment::Segment,
};

const ENTRY_VERSION: i16 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The marker's.
    pub last_offset: i64,
    /// Where the next open transaction began then; none that ends later begins before it.
    pub last_stable_offset: i64,
}

impl Entry for Aborted {
    const BYTES: usize = 34;

    fn parse(bytes: &[u8]) -> Self {
        let number =
            |at: usize| bytes[at..at + 8].iter().fold(0, |number, &byte| number << 8 | i64::from(byte));
        Self {
            producer_id: number(2),
            first_offset: number(10),
            last_offset: number(18),
            last_stable_offset: number(26),
        }
    }

    fn put(self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&ENTRY_VERSION.to_be_bytes());
        for number in [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset] {
            buffer.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The file of a segment, if it has one.
pub(crate) fn open(dir: &Path, base_offset: i64) -> io::Result<Option<Box<Column<Aborted>>>> {
    let column = Column::open(offset_path(dir, base_offset, TXN_INDEX))?;
    Ok((!column.is_empty()).then(|| Box::new(column)))
}

/// Puts these in the place of a segment's entries, in one step.
pub(crate) fn replace(dir: &Path, base_offset: i64, entries: &[Aborted]) -> Result<(), LogError> {
    let path = offset_path(dir, base_offset, TXN_INDEX);
    if entries.is_empty() {
        return files::remove(&path);
    }
    let mut bytes = Vec::with_capacity(entries.len() * Aborted::BYTES);
    entries.iter().for_each(|entry| entry.put(&mut bytes));
    files::write_atomically(&path, &bytes, true)
}

impl Segment {
    pub(crate) fn note_aborted(&self, entry: Aborted) -> io::Result<()> {
        let mut slot = self.aborted.lock();
        let column = match slot.take() {
            Some(column) => column,
            None => Box::new(Column::open(offset_path(&self.dir, self.base_offset, TXN_INDEX))?),
        };
        let column = slot.insert(column);
        column.push(entry);
        column.flush()
    }

    /// What recovery is going to find again.
    pub(crate) fn forget_aborted(&self, from_offset: i64) -> Result<(), LogError> {
        let mut slot = self.aborted.lock();
        let Some(column) = slot.as_mut() else { return Ok(()) };
        column.cut(|entry| entry.last_offset < from_offset).map_err(self.disk("cut the index of"))?;
        if column.is_empty() {
            *slot = None;
        }
        Ok(())
    }

    /// Calls `each` with the transactions whose marker lies here at or behind `offset`, until it says stop (false).
    fn each_aborted(&self, offset: i64, each: impl FnMut(Aborted) -> bool) -> Result<(), LogError> {
        match self.aborted.lock().as_ref() {
            Some(column) => {
                let walked = column.walk(|entry| entry.last_offset < offset, each);
                walked.map_err(self.disk("read the index of"))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn all_aborted(&self) -> Result<Vec<Aborted>, LogError> {
        let mut all = Vec::new();
        self.each_aborted(0, |entry| {
            all.push(entry);
            true
        })?;
        Ok(all)
    }
}

impl Log {
    /// The aborted transactions that have records in `range`, which lies below the last stable offset; for a reader that
    /// shall not show them. Asked after the records are read: compaction keeps an entry as long as its marker, and so
    /// longer than its records.
    pub fn aborted_in(&self, range: Range<i64>) -> Result<Vec<Aborted>, LogError> {
        if !self.has_aborted.load(Ordering::SeqCst) {
            return Ok(vec![]);
        }
        let segments = self.all_segments();
        let first = segments.partition_point(|segment| segment.base_offset <= range.start).saturating_sub(1);
        let (mut found, mut complete) = (Vec::new(), false);
        for segment in &segments[first..] {
            segment.each_aborted(range.start, |entry| {
                if entry.first_offset < range.end {
                    found.push(entry);
                }
                complete = entry.last_stable_offset >= range.end;
                !complete
            })?;
            if complete {
                break;
            }
        }
        Ok(found)
    }
}

/// All aborted transactions of a log, for compaction: which batches were never said.
pub(crate) struct AbortedBatches(HashMap<i64, Vec<(i64, i64)>>);

impl AbortedBatches {
    pub(crate) fn of(log: &Log) -> Result<Self, LogError> {
        let mut all: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
        for segment in log.all_segments().iter() {
            for entry in segment.all_aborted()? {
                all.entry(entry.producer_id).or_default().push((entry.first_offset, entry.last_offset));
            }
        }
        Ok(Self(all))
    }

    pub(crate) fn has(&self, header: &wire::batch::BatchHeader) -> bool {
        if !header.is_transactional() || header.is_control() {
            return false;
        }
        let Some(ranges) = self.0.get(&header.producer_id) else { return false };
        // A producer's transactions follow each other.
        let place = ranges.partition_point(|(_, last)| *last < header.base_offset);
        ranges.get(place).is_some_and(|(first, _)| *first <= header.base_offset)
    }
}
