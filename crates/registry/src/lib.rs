//! Confluent's Schema Registry API over a compacted Kafka topic, for Avro and JSON Schema.
//!
//! `http/` speaks the REST API, `state` holds what the topic says, `journal` reads and writes the topic, `records` is the
//! topic's format, which is Confluent's own: a real registry can take over, and hand back. It reaches Kafka as a client
//! only and knows neither the embedded broker nor any other part. One registry writes a topic at a time.

mod errors;
mod http;
mod journal;
mod options;
mod records;
mod service;
mod state;

pub use errors::Error;
pub use options::Options;
pub use service::Service;
