//! Partition logs on the disk: segments in Kafka's record-batch format, sparse indices, recovery, retention, compaction
//! and the state of idempotent producers.
//!
//! It knows no protocol request, topic setting text, group or socket. Batches are stored as they came: only base offset
//! and leader epoch are patched (and the time, where the topic stamps records itself).

mod errors;
mod options;
mod partition;
mod set;

pub use errors::LogError;
pub use options::{Cleanup, Durability, LogOptions, LogsOptions, TimestampType};
pub use partition::{Appended, Fetched, Log, Pending, ReadLimit, TimedOffset, Writer};
pub use set::{Logs, Tended};
