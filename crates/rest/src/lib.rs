//! Confluent's REST Proxy API, v2 and v3, before any Kafka: records in and out over HTTP in five formats, and everything an
//! administrator asks of a cluster.
//!
//! `http/` speaks the two APIs, `kafka/` asks the cluster, `consumers/` holds the consumer instances of v2, `schemas` asks the
//! registry, `formats` turns JSON into a record's bytes and back, `produce` sends them, `room` bounds
//! the memory of all that. It reaches Kafka as a client and the
//! registry by its HTTP API, and knows neither the embedded broker nor any other part.

mod consumers;
mod errors;
mod formats;
mod http;
mod kafka;
mod options;
mod produce;
mod room;
mod schemas;
mod service;

pub use errors::Error;
pub use options::Options;
pub use service::Service;
