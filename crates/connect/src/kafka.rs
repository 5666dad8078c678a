//! The worker's own Kafka clients: few, small, and as far as can be short-lived. Each librdkafka client costs threads.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
    producer::{FutureProducer, FutureRecord},
};

use crate::Error;

/// How long a broker may take to answer before the worker says it is not there.
pub(crate) const ANSWER_MS_MAX: u64 = 10_000;

/// Where Kafka is and how to speak to it.
#[derive(Clone)]
pub(crate) struct Kafka {
    pub servers: String,
    pub properties: BTreeMap<String, String>,
}

/// A record of an internal topic as it was read back.
pub(crate) struct Entry {
    pub key: String,
    /// `None`: a tombstone.
    pub value: Option<Vec<u8>>,
}

/// A topic to make sure of.
pub(crate) struct Wanted<'a> {
    pub name: &'a str,
    pub partitions_count: i32,
    pub replication_factor: i32,
    pub compacted: bool,
}

impl Kafka {
    /// The properties that every client of the worker has.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "tidemill-connect")
            .set("socket.nagle.disable", "true")
            .set("log.connection.close", "false")
            .set("reconnect.backoff.ms", "50");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    pub fn failed(&self, doing: impl Into<String>) -> impl FnOnce(KafkaError) -> Error {
        let (kafka, doing) = (self.servers.clone(), doing.into());
        move |source| Error::Kafka { kafka, doing, source: Box::new(source) }
    }

    pub fn producer(&self) -> Result<FutureProducer, Error> {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", "30000")
            .set("queue.buffering.max.kbytes", "16384");
        config.create().map_err(self.failed("create the producer"))
    }

    /// A consumer that is in no group's membership: for metadata, for reading back and for a group's offsets.
    pub fn reader(&self, group_id: &str) -> Result<BaseConsumer, Error> {
        let mut config = self.client();
        config
            .set("group.id", group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10")
            .set("queued.max.messages.kbytes", "4096");
        config.create().map_err(self.failed("create a consumer"))
    }

    /// Creates those of the topics that are missing; `present` is what metadata showed. Returns the created ones.
    pub async fn create_missing(
        &self,
        wanted: &[Wanted<'_>],
        present: &BTreeMap<String, i32>,
    ) -> Result<Vec<String>, Error> {
        let missing: Vec<&Wanted> = wanted.iter().filter(|topic| !present.contains_key(topic.name)).collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let admin: AdminClient<DefaultClientContext> =
            self.client().create().map_err(self.failed("create the admin client"))?;
        let topics = missing.iter().map(|topic| {
            let replication = TopicReplication::Fixed(topic.replication_factor);
            let new = NewTopic::new(topic.name, topic.partitions_count, replication);
            if topic.compacted { new.set("cleanup.policy", "compact") } else { new }
        });
        let topics: Vec<NewTopic> = topics.collect();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_millis(ANSWER_MS_MAX)));
        let results = admin.create_topics(&topics, &options).await.map_err(self.failed("create topics"))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(Error::InternalTopic {
                        topic,
                        reason: format!("it could not be created: {code}"),
                    });
                }
            }
        }
        // Dropping an admin client joins its thread, which may take as long as its poll: not on this thread.
        drop(tokio::task::spawn_blocking(move || drop(admin)));
        Ok(missing.iter().map(|topic| topic.name.to_owned()).collect())
    }
}

/// Partition counts by topic, of all topics: asking for one by name could create it.
pub(crate) fn topics(consumer: &BaseConsumer) -> Result<BTreeMap<String, i32>, KafkaError> {
    let metadata = patiently(|left| consumer.fetch_metadata(None, left))?;
    let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
    Ok(metadata
        .topics()
        .iter()
        .map(|topic| (topic.name().to_owned(), count(topic.partitions().len())))
        .collect())
}

/// Asks until there is an answer, for up to `ANSWER_MS_MAX`. librdkafka drops its bootstrap connection once it knows the
/// brokers, and whatever was asked on it then fails at once: the next try goes to the broker itself.
pub(crate) fn patiently<T>(mut ask: impl FnMut(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    const WAIT: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + Duration::from_millis(ANSWER_MS_MAX);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask(left) {
            Err(error) if is_passing(&error) && left > WAIT => std::thread::sleep(WAIT),
            answer => return answer,
        }
    }
}

/// Reads whole topics from their beginning to what is their end now, in the order of each partition.
pub(crate) fn read_to_end(
    consumer: &BaseConsumer,
    topics: &[(String, i32)],
    mut take: impl FnMut(&str, Entry),
) -> Result<(), KafkaError> {
    let mut assignment = TopicPartitionList::new();
    for (topic, partitions_count) in topics {
        for partition in 0..*partitions_count {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&assignment)?;
    let mut open_count = assignment.count();
    let mut patience_ms = 3 * ANSWER_MS_MAX;
    while open_count > 0 {
        const TURN_MS: u64 = 100;
        match consumer.poll(Duration::from_millis(TURN_MS)) {
            Some(Ok(message)) => {
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                take(message.topic(), Entry { key, value: message.payload().map(<[u8]>::to_vec) });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open_count -= 1,
            // Brokers come and go, and a topic just created is not known at once.
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(error),
            None => {
                patience_ms = patience_ms.saturating_sub(TURN_MS);
                if patience_ms == 0 {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
            }
        }
    }
    consumer.unassign()
}

fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::BrokerDestroy
                | RDKafkaErrorCode::DestroyBroker
                | RDKafkaErrorCode::WaitingForCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}

/// Sends one record and waits until the brokers have it.
pub(crate) async fn send(
    producer: &FutureProducer,
    topic: &str,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), KafkaError> {
    let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic).key(key);
    record.payload = value;
    let sent = producer.send(record, Duration::from_millis(ANSWER_MS_MAX)).await;
    sent.map(|_| ()).map_err(|(error, _)| error)
}
