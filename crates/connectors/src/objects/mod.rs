//! Objects in S3, Google Cloud Storage or a folder, named as Confluent's sinks name them.
//!
//! Promised: each record is in exactly one object, whatever is killed and when, as long as the partitioner is
//! deterministic (every one but a time from the wall clock). An object appears whole or not at all; several of one extent
//! appear one after the other. Not promised: that nobody sees an object that a later life writes again with the same
//! name and, for the same cuts, the same bytes.

mod boundary;
mod config;
mod errors;
mod names;
mod object;
mod partitioner;
mod pattern;
mod sink;
mod spill;
mod time;
mod upload;

pub use boundary::PartitionBoundary;
pub use config::{Config, Extractor, OnNull, Partitioner, StoreConfig, TimeRule};
pub use errors::Error;
pub use names::Names;
pub use pattern::Pattern;
pub use sink::ObjectSink;
pub use spill::Memory;
pub use upload::{Target, Upload};
