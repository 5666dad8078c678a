//! What can go wrong with a log, and Kafka's word for each.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
};

use base::{Code, Problem, code};
use kafka_protocol::ResponseError;
use wire::batch::BatchError;

#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("cannot {action} {path}")]
    Disk { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    #[error("another process holds {path}")]
    Locked { path: PathBuf },
    #[error("{path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the log {log} stopped after an earlier disk error: {reason}")]
    Failed { log: Arc<str>, reason: Arc<str> },
    #[error("the log {log} is closed")]
    Closed { log: Arc<str> },
    #[error("the log {log} is deleted")]
    Deleted { log: Arc<str> },
    #[error("offset {offset} is outside {log}, which has {start}..{end}")]
    OffsetOutOfRange { log: Arc<str>, offset: i64, start: i64, end: i64 },
    #[error("the records for {log} are not a sound record batch")]
    Batch { log: Arc<str>, source: BatchError },
    #[error("a record batch of {bytes} bytes for {log} is larger than max.message.bytes, {bytes_max}")]
    BatchTooLarge { log: Arc<str>, bytes: u64, bytes_max: u64 },
    #[error("the records for {log} cannot be taken: {why}")]
    InvalidRecord { log: Arc<str>, why: &'static str },
    #[error("the records for {log} cannot be taken: a compacted topic takes no record without a key")]
    NoKey { log: Arc<str>, records: Arc<[i32]> },
    #[error("a record for {log} has the timestamp {timestamp_ms}, outside {from_ms}..={to_ms}")]
    InvalidTimestamp { log: Arc<str>, timestamp_ms: i64, from_ms: i64, to_ms: i64, records: Arc<[i32]> },
    #[error("producer {producer_id} sent sequence {sequence} to {log}, which expected {expected}")]
    OutOfOrderSequence { log: Arc<str>, producer_id: i64, sequence: i32, expected: i32 },
    #[error("producer {producer_id} wrote to {log} with epoch {epoch}, but epoch {current} is in use")]
    ProducerFenced { log: Arc<str>, producer_id: i64, epoch: i16, current: i16 },
    #[error("producer {producer_id} has no transaction open in {log}")]
    NoTransaction { log: Arc<str>, producer_id: i64 },
}

/// The action that is final when it fails: the system may have dropped the pages, and a second one would hide that.
pub(crate) const SYNC: &str = "sync";

impl LogError {
    pub(crate) fn disk(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        LogError::Disk { action, path: path.into(), source: Arc::new(source) }
    }

    /// Whether the log has to end with it: nobody knows any more what the disk holds.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, LogError::Disk { action: SYNC, .. })
    }

    /// The places of the records that are refused, where the rest of their batch is not to blame (KIP-467).
    pub fn records(&self) -> &[i32] {
        if let LogError::NoKey { records, .. } | LogError::InvalidTimestamp { records, .. } = self {
            return records;
        }
        &[]
    }

    /// The error code that a Kafka client gets.
    pub fn answer(&self) -> ResponseError {
        match self {
            LogError::Disk { .. }
            | LogError::Locked { .. }
            | LogError::Damaged { .. }
            | LogError::Failed { .. } => ResponseError::KafkaStorageError,
            LogError::Closed { .. } => ResponseError::NotLeaderOrFollower,
            LogError::Deleted { .. } => ResponseError::UnknownTopicOrPartition,
            LogError::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
            LogError::Batch { source, .. } => match source {
                BatchError::Magic { .. } => ResponseError::UnsupportedForMessageFormat,
                BatchError::Compression { .. } => ResponseError::UnsupportedCompressionType,
                // What its client has packed wrongly is so the next time as well: final, where CORRUPT_MESSAGE is sent again.
                BatchError::Record { .. } | BatchError::Decompress(_) => ResponseError::InvalidRecord,
                BatchError::Short { .. } | BatchError::Crc { .. } | BatchError::Field { .. } => {
                    ResponseError::CorruptMessage
                }
            },
            LogError::BatchTooLarge { .. } => ResponseError::MessageTooLarge,
            LogError::InvalidRecord { .. } | LogError::NoKey { .. } => ResponseError::InvalidRecord,
            LogError::InvalidTimestamp { .. } => ResponseError::InvalidTimestamp,
            LogError::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
            LogError::ProducerFenced { .. } => ResponseError::InvalidProducerEpoch,
            LogError::NoTransaction { .. } => ResponseError::InvalidTxnState,
        }
    }
}

impl Problem for LogError {
    fn code(&self) -> Code {
        match self {
            LogError::Disk { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => code::TM0224,
                ErrorKind::ReadOnlyFilesystem => code::TM0225,
                _ => code::TM0350,
            },
            LogError::Failed { .. } => code::TM0350,
            LogError::Locked { .. } => code::TM0351,
            LogError::Damaged { .. } => code::TM0352,
            LogError::Closed { .. } | LogError::Deleted { .. } | LogError::OffsetOutOfRange { .. } => {
                code::TM0353
            }
            LogError::Batch { .. }
            | LogError::BatchTooLarge { .. }
            | LogError::InvalidRecord { .. }
            | LogError::NoKey { .. }
            | LogError::InvalidTimestamp { .. } => code::TM0354,
            LogError::OutOfOrderSequence { .. } | LogError::ProducerFenced { .. } => code::TM0355,
            LogError::NoTransaction { .. } => code::TM0241,
        }
    }

    fn help(&self) -> String {
        match self {
            LogError::Disk { path, .. } if self.code() == code::TM0224 => {
                let folder = path.parent().unwrap_or(path);
                format!(
                    "free space on the disk of {}, or lower retention.bytes; it goes on by itself then, and clients send again",
                    folder.display()
                )
            }
            LogError::Disk { .. } if self.code() == code::TM0225 => {
                "make the disk writable again (mount -o remount,rw) after looking why it is not; it goes on by itself then"
                    .to_owned()
            }
            LogError::Disk { .. } => {
                "see that the folder exists, belongs to this user and has free space; then start again".to_owned()
            }
            LogError::Failed { .. } => {
                "look after the disk, then start again: the log is recovered from what the disk holds".to_owned()
            }
            LogError::Locked { .. } => {
                "stop the other broker (tidemill down), or give this one another data folder".to_owned()
            }
            LogError::Damaged { path, .. } => {
                format!("move {} away; what was in it has to be loaded again", path.display())
            }
            LogError::Closed { .. } | LogError::Deleted { .. } => "ask for the topic's metadata again".to_owned(),
            LogError::OffsetOutOfRange { .. } => {
                "retention has removed the records: reset the offset to the earliest or latest".to_owned()
            }
            LogError::Batch { source: BatchError::Record { .. } | BatchError::Decompress(_), .. } => {
                "the client packs records wrongly: use another version of it, or another compression.type".to_owned()
            }
            LogError::Batch { .. } => "use a client that writes record batches of magic 2 (Kafka 0.11 or later)".to_owned(),
            LogError::BatchTooLarge { .. } => {
                "lower the producer's batch size, or raise max.message.bytes of the topic".to_owned()
            }
            LogError::NoKey { .. } => "give each record a key, or set cleanup.policy=delete of the topic".to_owned(),
            LogError::InvalidRecord { .. } => "mend the records: each needs what the topic's settings ask for".to_owned(),
            LogError::InvalidTimestamp { .. } => {
                "mend the record's timestamp, or message.timestamp.before.max.ms and .after.max.ms of the topic".to_owned()
            }
            LogError::NoTransaction { .. } => {
                "begin the transaction before its first record: the client's library does so".to_owned()
            }
            LogError::OutOfOrderSequence { .. } | LogError::ProducerFenced { .. } => {
                "start the producer anew: it gets a fresh id and epoch".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
