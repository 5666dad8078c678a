//! Partition logs on the disk: segments in Kafka's record-batch format, sparse indices, recovery, retention, compaction
//! and the state of idempotent and transactional producers.
//!
//! It knows no protocol request, topic setting text, group or socket. Batches are stored as they came: only base offset
//! and leader epoch are patched (and the time, where the topic stamps records itself), unless the topic has a codec of its own.

mod aborted;
mod appender;
mod clock_watch;
mod compaction;
mod descriptors;
mod errors;
mod files;
mod index;
mod options;
mod partition;
mod producers;
mod reader;
mod recovery;
mod retention;
mod segment;
mod set;
mod slice;
mod writer;

#[cfg(test)]
mod tests;

pub use aborted::Aborted;
pub use clock_watch::ClockJumped;
pub use errors::LogError;
pub use options::{Cleanup, Durability, LogOptions, LogsOptions, TimestampType};
pub use partition::{Appended, Log, Pending, Writer};
pub use producers::{Ending, ProducerState};
pub use reader::{Fetched, Located, ReadLimit, TimedOffset};
pub use set::{Logs, Tended};
pub use slice::Slice;
