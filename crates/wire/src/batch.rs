//! Kafka's record batches of magic 2 as bytes: headers, checks, patches in place, records without copies, a builder.
//!
//! The layout is that of <https://kafka.apache.org/documentation/#recordbatch>. All numbers are big-endian; the CRC-32C
//! covers everything from the attributes on, so base offset and leader epoch are patched without touching it.

mod build;
mod header;
mod records;
#[cfg(test)]
mod tests;
mod walk;

pub use build::{BatchBuilder, Repacked, control_batch};
pub use header::{BATCH_HEADER_BYTES, Batch, BatchHeader, Batches, PREFIX_BYTES, Patch, batch_size, batches};
pub use records::{HeaderIter, Record, RecordIter, Records};
pub use walk::Passed;

use crate::compression::CompressionError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("the bytes end inside a record batch: {found} of {needed}")]
    Short { needed: u64, found: u64 },
    #[error("records have magic {magic}; only magic 2 is supported")]
    Magic { magic: i8 },
    #[error("the checksum is {found:08x}, the batch says {expected:08x}")]
    Crc { expected: u32, found: u32 },
    #[error("the field {field} of the batch has the impossible value {value}")]
    Field { field: &'static str, value: i64 },
    #[error("the compression codec {id} is not known")]
    Compression { id: i16 },
    #[error("record {index} of the batch is malformed: {what}")]
    Record { index: i32, what: &'static str },
    #[error(transparent)]
    Decompress(#[from] CompressionError),
}
