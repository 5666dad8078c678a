//! What a worker is told: plain data. Names and defaults follow Kafka Connect's `connect-distributed.properties`.

use std::{collections::BTreeMap, net::SocketAddr};

use base::Secret;

/// The settings of one worker. `Options::at` gives the defaults.
#[derive(Clone)]
pub struct Options {
    /// Where the REST API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Kafka's bootstrap servers, `host:port,host:port`.
    pub kafka: String,
    /// Client properties of librdkafka for every client the worker opens: `security.protocol`, `sasl.username`, …
    pub kafka_properties: BTreeMap<String, String>,
    /// The registry that a converter uses whose own `schema.registry.url` is not set.
    pub registry: Option<String>,
    /// Connect's `group.id`: the cluster that this worker belongs to.
    pub group_id: String,
    pub config_topic: String,
    pub offset_topic: String,
    pub status_topic: String,
    /// Partitions of the offset topic where it has to be created.
    pub offset_partitions_count: i32,
    /// Partitions of the status topic where it has to be created.
    pub status_partitions_count: i32,
    /// Replication factor of the internal topics where they have to be created; -1 is the broker's default.
    pub replication_factor: i32,
    /// What all tasks together may hold of records and open objects.
    pub memory_bytes_max: u64,
    /// `host:port` that status shows as the worker's id; the bound address where it is not given.
    pub advertised: Option<String>,
    /// The environment's own S3, whose keys no AWS configuration has: a connector whose `store.url` is this endpoint and
    /// that gives no keys itself gets these.
    pub own_store: Option<OwnStore>,
    /// Connect's worker properties that connectors inherit: `key.converter`, `value.converter` and their settings.
    pub converters: BTreeMap<String, String>,
}

/// An S3 endpoint and its keys.
#[derive(Clone)]
pub struct OwnStore {
    /// `http://127.0.0.1:9000`
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: Secret,
}

/// Enough for a few tasks that fill 5 MiB parts, and small beside the 80 MB that the whole environment may take.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

impl Options {
    /// The defaults of a worker that listens at `listen` and whose Kafka is at `kafka`.
    pub fn at(listen: SocketAddr, kafka: impl Into<String>) -> Self {
        Self {
            listen,
            kafka: kafka.into(),
            kafka_properties: BTreeMap::new(),
            registry: None,
            group_id: "connect-cluster".to_owned(),
            config_topic: "connect-configs".to_owned(),
            offset_topic: "connect-offsets".to_owned(),
            status_topic: "connect-status".to_owned(),
            offset_partitions_count: 25,
            status_partitions_count: 5,
            replication_factor: 1,
            memory_bytes_max: MEMORY_BYTES_MAX,
            advertised: None,
            own_store: None,
            converters: BTreeMap::from([
                ("key.converter".to_owned(), "org.apache.kafka.connect.json.JsonConverter".to_owned()),
                ("value.converter".to_owned(), "org.apache.kafka.connect.json.JsonConverter".to_owned()),
            ]),
        }
    }
}
