//! The settings of the registry: plain data.

use std::{collections::BTreeMap, net::SocketAddr};

#[derive(Debug, Clone)]
pub struct Options {
    /// Where the REST API answers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bootstrap servers, `host:port,…`.
    pub kafka: String,
    /// More properties for the Kafka client, by librdkafka's names: `security.protocol`, `sasl.username`, …
    pub kafka_properties: BTreeMap<String, String>,
    /// The compacted topic that keeps everything; made with one partition where it is missing.
    pub topic: String,
    /// What registries on one topic share: the consumer group in which they find out who writes.
    pub group: String,
    /// Where the other ones reach this one, `http://host:port`; none, and it is where it listens.
    pub advertised: Option<String>,
}

impl Options {
    /// The topic's usual name and no further properties.
    pub fn at(listen: SocketAddr, kafka: impl Into<String>) -> Self {
        Self {
            listen,
            kafka: kafka.into(),
            kafka_properties: BTreeMap::new(),
            topic: "_schemas".to_owned(),
            group: "schema-registry".to_owned(),
            advertised: None,
        }
    }
}
