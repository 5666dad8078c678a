//! All logs under one data folder, and the threads that serve them.

use std::{path::Path, sync::Arc};

use base::Clock;

use super::{
    errors::LogError,
    options::{LogOptions, LogsOptions},
    partition::Log,
};

/// All logs of a broker. Owns the appender's and the tending thread; `close` ends both.
pub struct Logs {
    options: LogsOptions,
}

/// What a round of tending did, for tests and the broker's log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    pub segments_deleted: usize,
    pub segments_compacted: usize,
}

impl Logs {
    /// Locks the folder (made if missing) and starts the threads. No log is open yet.
    pub fn open(options: LogsOptions, clock: Arc<dyn Clock>) -> Result<Logs, LogError> {
        let _ = clock;
        Ok(Logs { options })
    }

    /// Opens the log, or makes it, or gives the one that is open. Recovers it after an unclean end. Blocks on the disk.
    pub fn log(&self, topic: &str, partition: i32, options: LogOptions) -> Result<Arc<Log>, LogError> {
        let _ = (topic, partition, options);
        unimplemented!("being built")
    }

    /// The partitions that have a folder, by topic and number: what the broker may open at start.
    pub fn found(&self) -> Result<Vec<(String, i32)>, LogError> {
        unimplemented!("being built")
    }

    /// Deletes a log and its files; who still reads or appends gets `Deleted`. Blocks on the disk.
    pub fn delete(&self, topic: &str, partition: i32) -> Result<(), LogError> {
        let _ = (topic, partition);
        unimplemented!("being built")
    }

    /// One round of retention, compaction, producer expiry and closing of idle files, now. Blocks on the disk.
    pub fn tend(&self) -> Result<Tended, LogError> {
        unimplemented!("being built")
    }

    /// Bytes of all open logs.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!("being built")
    }

    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Writes what is queued, syncs, snapshots producers, leaves the mark of a clean end. Blocks on the disk. A second
    /// call does nothing. Dropping without it is a crash, and recovered as one.
    pub fn close(&self) -> Result<(), LogError> {
        Ok(())
    }
}
