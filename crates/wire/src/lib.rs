//! Kafka's words as bytes: request frames, record batches, the partitioners' hashes.
//!
//! Bytes in, bytes out: no socket, no file, no clock. Nothing is allocated for a size that was not checked before.
//! The protocol's messages themselves are the `kafka-protocol` crate's.

pub mod batch;
pub mod compression;
pub mod frame;
pub mod group;
pub mod partition;
