//! One partition's log: what readers and writers call.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::{errors::LogError, options::LogOptions};

/// One partition's log. Shared; every call is safe from any thread.
pub struct Log {
    name: Arc<str>,
}

/// Who appends: a client's batches are checked more strictly (one batch, no control batch, whole offsets).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Client,
    Broker,
}

/// Where an append landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// -1 unless the topic stamps records itself (`LogAppendTime`).
    pub log_append_time_ms: i64,
    pub start_offset: i64,
    /// The producer had sent this batch before; the offsets are those of the first time.
    pub duplicate: bool,
}

/// An append that is queued: await it for the answer. Dropping it does not undo the append.
#[must_use = "an append may fail: await it"]
pub struct Pending {
    answer: oneshot::Receiver<Result<Appended, LogError>>,
    log: Arc<str>,
}

/// Bytes of whole record batches as they lie in the file; the first may begin before the offset asked for.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub records: Bytes,
    pub high_watermark: i64,
    pub start_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    pub bytes_max: usize,
    /// Gives the first batch whole even where it is larger than `bytes_max`, so that a reader gets on.
    pub at_least_one: bool,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub leader_epoch: i32,
}

impl Log {
    /// `topic-partition`, the folder's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Queues `records` (checked here: CRC, sizes, counts), in the order of the calls; waits only while the queue is full.
    pub async fn submit(
        self: &Arc<Self>,
        records: Bytes,
        leader_epoch: i32,
        writer: Writer,
    ) -> Result<Pending, LogError> {
        let _ = (records, leader_epoch, writer);
        unimplemented!("being built")
    }

    /// `submit`, and the answer: the records are visible to readers, and on the disk with `Durability::Fsync`.
    pub async fn append(
        self: &Arc<Self>,
        records: Bytes,
        leader_epoch: i32,
        writer: Writer,
    ) -> Result<Appended, LogError> {
        self.submit(records, leader_epoch, writer).await?.answer().await
    }

    /// Reads from `offset` to at most the end of its segment. Empty at the end of the log. Never waits for new
    /// records; waits for the disk only on a thread made for that.
    pub async fn read(self: &Arc<Self>, offset: i64, limit: ReadLimit) -> Result<Fetched, LogError> {
        let _ = (offset, limit);
        unimplemented!("being built")
    }

    /// The same on this thread, which the disk may hold up: for start-up (group offsets) and tests.
    pub fn read_blocking(&self, offset: i64, limit: ReadLimit) -> Result<Fetched, LogError> {
        let _ = (offset, limit);
        unimplemented!("being built")
    }

    /// Notifies `reader` once after the next append that readers can see (or the log's end). Register, then read, then
    /// wait: so nothing is missed. One `Notify` may be registered with many logs; dropping it is enough to leave.
    pub fn wake_on_append(&self, reader: &Arc<Notify>) {
        let _ = reader;
        unimplemented!("being built")
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        unimplemented!("being built")
    }

    /// The offset after the last record that readers see.
    pub fn high_watermark(&self) -> i64 {
        unimplemented!("being built")
    }

    /// The same as the high watermark as long as there are no transactions.
    pub fn last_stable_offset(&self) -> i64 {
        self.high_watermark()
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!("being built")
    }

    /// The first record at or after this time (ListOffsets). Blocks on the disk.
    pub fn offset_for_time(&self, timestamp_ms: i64) -> Result<Option<TimedOffset>, LogError> {
        let _ = timestamp_ms;
        unimplemented!("being built")
    }

    /// The record with the largest timestamp (ListOffsets -3, KIP-734). Blocks on the disk.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimedOffset>, LogError> {
        unimplemented!("being built")
    }

    /// Makes `offset` the first one (DeleteRecords; -1: the high watermark). Gives the new start. Blocks on the disk.
    pub fn truncate_prefix(&self, offset: i64) -> Result<i64, LogError> {
        let _ = offset;
        unimplemented!("being built")
    }

    pub fn options(&self) -> Arc<LogOptions> {
        unimplemented!("being built")
    }

    /// From the next append and the next round of tending on.
    pub fn set_options(&self, options: LogOptions) {
        let _ = options;
        unimplemented!("being built")
    }
}

impl Pending {
    pub async fn answer(self) -> Result<Appended, LogError> {
        self.answer.await.unwrap_or(Err(LogError::Closed { log: self.log }))
    }
}
