//! The settings of the REST proxy: plain data. Every bound has a name here; what it defaults to stands in the settings.

use std::{collections::BTreeMap, net::SocketAddr};

#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API answers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bootstrap servers, `host:port,…`.
    pub kafka: String,
    /// More properties for Kafka's clients, by librdkafka's names: `security.protocol`, `sasl.username`, …
    pub kafka_properties: BTreeMap<String, String>,
    /// The registry of formats with schemas, `http://host:port`; none, and those formats are refused.
    pub registry: Option<String>,
    /// What links begin with, `http://host:port`; none, and it is the host that the request names.
    pub advertised: Option<String>,
    /// The largest request, or, where records come as a stream, the largest record.
    pub request_bytes_max: usize,
    /// Records of one request that is no stream.
    pub request_records_max: usize,
    /// What the bodies of all requests, and records on their way into answers, may hold together.
    pub request_memory_bytes_max: usize,
    /// Records that the producer may hold until Kafka has them.
    pub producer_buffer_bytes_max: usize,
    pub consumer_instances_max: usize,
    /// How long an instance may be left alone before it is closed.
    pub consumer_instance_timeout_ms: u64,
    /// How long reading records waits for the first one; an instance may ask for less.
    pub consumer_request_timeout_ms: u64,
    /// What one answer with records may hold, unless the request says less.
    pub consumer_request_bytes_max: usize,
    /// Records that one instance may hold before they are asked for.
    pub consumer_buffer_bytes_max: usize,
}

impl Options {
    /// The defaults of the settings, without a registry.
    pub fn at(listen: SocketAddr, kafka: impl Into<String>) -> Self {
        Self {
            listen,
            kafka: kafka.into(),
            kafka_properties: BTreeMap::new(),
            registry: None,
            advertised: None,
            request_bytes_max: 16 << 20,
            request_records_max: 10_000,
            request_memory_bytes_max: 64 << 20,
            producer_buffer_bytes_max: 32 << 20,
            consumer_instances_max: 100,
            consumer_instance_timeout_ms: 300_000,
            consumer_request_timeout_ms: 1_000,
            consumer_request_bytes_max: 16 << 20,
            consumer_buffer_bytes_max: 4 << 20,
        }
    }
}
