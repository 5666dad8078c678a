//! What a transfer has done so far, as counters that anyone may read while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Histogram;

/// Shared by the lanes and by whoever shows them. Counts only rise, but for `lanes`.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records and bytes that were read, before any stage.
    records_read: AtomicU64,
    bytes_read: AtomicU64,
    /// Records and bytes of values handed to the sink.
    records_written: AtomicU64,
    bytes_written: AtomicU64,
    /// Records that are committed and covered by a checkpoint.
    records_committed: AtomicU64,
    extents_committed: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    lanes: AtomicU64,
    commits: Histogram,
}

macro_rules! counters {
    ($($name:ident $add:ident;)*) => {
        impl Progress {
            $(
                pub fn $name(&self) -> u64 { self.$name.load(Relaxed) }
                /// For the engine, and for a source that counts what it reads beside batches.
                pub fn $add(&self, count: u64) { self.$name.fetch_add(count, Relaxed); }
            )*
        }
    };
}

counters! {
    records_read add_records_read;
    bytes_read add_bytes_read;
    records_written add_records_written;
    bytes_written add_bytes_written;
    records_committed add_records_committed;
    extents_committed add_extents_committed;
    rejected add_rejected;
    retries add_retries;
}

impl Progress {
    /// Lanes at work now.
    pub fn lanes(&self) -> u64 {
        self.lanes.load(Relaxed)
    }

    /// How long the target's commits took.
    pub fn commits(&self) -> &Histogram {
        &self.commits
    }

    pub(crate) fn set_lanes(&self, count: u64) {
        self.lanes.store(count, Relaxed);
    }
}
