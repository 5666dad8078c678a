//! Confluent's Schema Registry API over a compacted Kafka topic, for Avro, JSON Schema and Protobuf.
//!
//! `http/` speaks the REST API, `state` holds what the topic says, `journal` reads and writes the topic, `records` is the
//! topic's format, which is Confluent's own: a real registry can take over, and hand back. `names` has subjects and
//! contexts, `entities` what records and bodies have in common, `election` says which of several registries writes. It
//! reaches Kafka as a client only and knows neither the embedded broker nor any other part.

mod election;
mod entities;
mod errors;
mod http;
mod journal;
mod names;
mod options;
mod records;
mod service;
mod state;

pub use errors::Error;
pub use options::Options;
pub use service::Service;
