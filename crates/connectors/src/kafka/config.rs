//! Keys and their defaults: text -> config, nothing else.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use super::Error;
use crate::Settings;

/// How to take part in a group.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// `host:port`, several with commas.
    pub bootstrap: String,
    pub topics: Topics,
    pub group_id: String,
    /// librdkafka's keys (most of Kafka's consumer keys are among them); they win over the defaults here.
    pub properties: BTreeMap<String, String>,
    /// An error when a listed topic is not there, instead of waiting for it as Kafka's consumer does.
    pub topics_must_exist: bool,
    /// Bytes of fetched records that wait inside the client, for each partition.
    pub queue_bytes_max: u32,
}

#[derive(Debug, Clone)]
pub enum Topics {
    List(Vec<String>),
    /// A regular expression; begins with `^`, or gets one.
    Pattern(String),
}

/// Where and how to produce.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub bootstrap: String,
    pub topic: String,
    /// Makes the topic where it is not there.
    pub create: Option<Create>,
    pub partitioner: Partitioner,
    /// All records go there, whatever their keys.
    pub partition: Option<i32>,
    pub transaction: Option<Transaction>,
    /// librdkafka's keys; they win over the defaults here.
    pub properties: BTreeMap<String, String>,
    /// Bytes that wait inside the client for their acknowledgement.
    pub queue_bytes_max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    pub partitions_count: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// Kafka's own keys of a topic: `cleanup.policy`.
    pub config: BTreeMap<String, String>,
}

/// Records of a transfer as transactions, with the transfer's position in each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// `transactional.id`: a second life with the same one ends what the first has left open.
    pub id: String,
    /// The group whose committed offset is the position.
    pub group: String,
    pub scope: Scope,
}

/// How much is one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that the transfer brings, committed by `finish`.
    Transfer,
    Extent,
}

/// How a key becomes a partition. Records without a key are spread in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// Kafka's Java producer.
    #[default]
    Murmur2,
    /// CRC-32 of the key: librdkafka, and the clients that are built on it.
    Crc32,
    /// Sarama and other Go clients.
    Fnv1a,
    /// Whatever the key.
    Random,
    /// One after the other, whatever the key.
    RoundRobin,
    /// A batch in one, the next batch in the next, whatever the key.
    Sticky,
    /// Each record says so itself ([`base::Envelope::partitions`]).
    Given,
}

impl Partitioner {
    fn librdkafka(self) -> &'static str {
        match self {
            Partitioner::Murmur2 => "murmur2_random",
            Partitioner::Crc32 => "consistent_random",
            Partitioner::Fnv1a => "fnv1a_random",
            Partitioner::Random | Partitioner::RoundRobin | Partitioner::Sticky | Partitioner::Given => {
                "random"
            }
        }
    }
}

impl std::str::FromStr for Partitioner {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "murmur2" | "murmur2_random" => Ok(Partitioner::Murmur2),
            "crc32" | "consistent" | "consistent_random" => Ok(Partitioner::Crc32),
            "fnv1a" | "fnv1a_random" => Ok(Partitioner::Fnv1a),
            "random" => Ok(Partitioner::Random),
            "round-robin" => Ok(Partitioner::RoundRobin),
            "sticky" => Ok(Partitioner::Sticky),
            _ => {
                let words = "murmur2, crc32, fnv1a, random, round-robin, sticky or an expression in {{ }}";
                Err(Error::setting("partitioner", text, words))
            }
        }
    }
}

const QUEUE_BYTES: u32 = 1 << 20;
const PRODUCE_QUEUE_BYTES: u32 = 16 << 20;
/// After so long the client itself gives a record up.
const SEND_MS: u64 = 120_000;
/// The most that a broker allows where nobody set it otherwise (`transaction.max.timeout.ms`).
const WHOLE_TRANSFER_MS: u64 = 900_000;

impl Transaction {
    /// A record may not be tried for longer than its transaction lives.
    fn put(&self, client: &mut ClientConfig, given_ms: Option<&String>) {
        let timeout_ms = match (given_ms.and_then(|text| text.parse().ok()), self.scope) {
            (Some(given_ms), _) => given_ms,
            (None, Scope::Transfer) => WHOLE_TRANSFER_MS,
            (None, Scope::Extent) => SEND_MS,
        };
        client
            .set("transactional.id", &self.id)
            .set("transaction.timeout.ms", timeout_ms.to_string())
            .set("message.timeout.ms", timeout_ms.min(SEND_MS).to_string());
    }
}

impl SourceConfig {
    pub fn new(bootstrap: impl Into<String>, group_id: impl Into<String>, topics: Topics) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topics,
            group_id: group_id.into(),
            properties: BTreeMap::new(),
            topics_must_exist: false,
            queue_bytes_max: QUEUE_BYTES,
        }
    }

    /// `bootstrap.servers`, `group.id`, `topics` or `topics.regex`; all else goes to the client.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let mut rest = settings.clone();
        let mut take = |key: &str| rest.remove(key).ok_or_else(|| Error::setting(key, "", "a value"));
        let (bootstrap, group_id) = (take("bootstrap.servers")?, take("group.id")?);
        let topics = match (rest.remove("topics"), rest.remove("topics.regex")) {
            (Some(list), None) => {
                Topics::List(list.split(',').map(|topic| topic.trim().to_owned()).collect())
            }
            (None, Some(pattern)) => Topics::Pattern(pattern),
            _ => return Err(Error::setting("topics", "", "a list, or else topics.regex a pattern")),
        };
        Ok(Self { properties: rest, ..Self::new(bootstrap, group_id, topics) })
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut client = client(&self.bootstrap);
        let queue_kbytes = (self.queue_bytes_max >> 10).max(1).to_string();
        let fetch_bytes = self.queue_bytes_max.clamp(64 << 10, 1 << 20).to_string();
        client
            .set("group.id", &self.group_id)
            // The engine commits, after the sink has.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("partition.assignment.strategy", "range,roundrobin")
            .set("isolation.level", "read_committed")
            // Each queued record costs some 400 bytes beside its own; these two bound both.
            .set("queued.max.messages.kbytes", queue_kbytes)
            .set("queued.min.messages", "10000")
            .set("max.partition.fetch.bytes", fetch_bytes)
            .set("fetch.max.bytes", (8 << 20).to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "5")
            // CRCs are checked by the broker on the way in and by TCP on the way here.
            .set("check.crcs", "false");
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }
}

impl SinkConfig {
    pub fn new(bootstrap: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            create: None,
            partitioner: Partitioner::default(),
            partition: None,
            transaction: None,
            properties: BTreeMap::new(),
            queue_bytes_max: PRODUCE_QUEUE_BYTES,
        }
    }

    /// `bootstrap.servers`, `topic`, `partitioner`; all else goes to the client.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let mut rest = settings.clone();
        let mut take = |key: &str| rest.remove(key).ok_or_else(|| Error::setting(key, "", "a value"));
        let mut config = Self::new(take("bootstrap.servers")?, take("topic")?);
        if let Some(partitioner) = rest.remove("partitioner") {
            config.partitioner = partitioner.parse()?;
        }
        config.properties = rest;
        Ok(config)
    }

    /// What any client of the cluster needs, and nothing of a producer.
    pub(super) fn plain_client(&self) -> ClientConfig {
        let mut client = client(&self.bootstrap);
        for (key, value) in self.properties.iter().filter(|(key, _)| is_of_any_client(key)) {
            client.set(key, value);
        }
        client
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut client = client(&self.bootstrap);
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", self.partitioner.librdkafka())
            // Success is what a flush says; only failures are worth a word each.
            .set("delivery.report.only.error", "true")
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("batch.num.messages", "100000")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", (self.queue_bytes_max >> 10).max(1).to_string())
            .set("sticky.partitioning.linger.ms", "10")
            .set("message.timeout.ms", SEND_MS.to_string());
        if let Some(transaction) = &self.transaction {
            transaction.put(&mut client, self.properties.get("transaction.timeout.ms"));
        }
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }
}

/// Whether a property of librdkafka's says how a cluster is reached, and nothing of producing or consuming.
pub fn is_of_any_client(key: &str) -> bool {
    ["security.", "sasl.", "ssl.", "socket.", "broker.", "client.", "enable.ssl", "debug"]
        .iter()
        .any(|start| key.starts_with(start))
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "tidemill")
        .set("broker.address.family", "v4")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true");
    client
}
