//! Settings of the logs: those of the whole data folder, and those that a topic may change while it runs.

use std::path::PathBuf;

use wire::compression::Packing;

/// What an acknowledged record has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is in the page cache, as with Kafka's defaults: it survives the process, not the machine.
    #[default]
    PageCache,
    /// It is on the disk: one fsync for all appends that waited together.
    Fsync,
}

/// Settings of all logs under one data folder.
#[derive(Debug, Clone)]
pub struct LogsOptions {
    pub data_dir: PathBuf,
    pub durability: Durability,
    /// Bytes of records that may wait for the appender; `submit` waits for room.
    pub queue_bytes_max: u32,
    /// Segment files that are open at once; the one that nobody used for longest gives way.
    pub open_files_count_max: u32,
    /// How often retention, compaction and closing of idle files run. 0: only when `Logs::tend` is called.
    pub tend_interval_ms: u64,
    /// Kafka's `producer.id.expiration.ms`: how long an idle producer's sequences are remembered.
    pub producer_expiration_ms: i64,
}

impl LogsOptions {
    pub fn at(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability: Durability::default(),
            queue_bytes_max: 64 << 20,
            open_files_count_max: 4_096,
            tend_interval_ms: 15_000,
            producer_expiration_ms: 86_400_000,
        }
    }
}

/// Kafka's `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    pub delete: bool,
    pub compact: bool,
}

impl Cleanup {
    pub const DELETE: Cleanup = Cleanup { delete: true, compact: false };
    pub const COMPACT: Cleanup = Cleanup { delete: false, compact: true };
    pub const COMPACT_DELETE: Cleanup = Cleanup { delete: true, compact: true };
}

/// Kafka's `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// Settings of one topic's logs, in Kafka's words and with Kafka's defaults (its "Topic Configs" page).
/// A limit of -1 is none.
#[derive(Debug, Clone, PartialEq)]
pub struct LogOptions {
    /// `segment.bytes`, at most `i32::MAX`.
    pub segment_bytes: u64,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `index.interval.bytes`
    pub index_interval_bytes: u64,
    /// `retention.ms`
    pub retention_ms: i64,
    /// `retention.bytes`
    pub retention_bytes: i64,
    /// `cleanup.policy`
    pub cleanup: Cleanup,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays after a first compaction saw it.
    pub delete_retention_ms: i64,
    /// `compression.type` and the level that belongs to it; nothing: as the producer packed it (`producer`).
    pub compression: Option<Packing>,
    /// `max.message.bytes`: of one record batch, as it came and as it is stored.
    pub message_bytes_max: u32,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_ms_max: i64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            index_interval_bytes: 4_096,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            cleanup: Cleanup::DELETE,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            compression: None,
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: i64::MAX,
            timestamp_after_ms_max: 3_600_000,
        }
    }
}
