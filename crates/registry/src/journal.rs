//! The topic: made where it is missing, read to its end before the registry answers, and written with the answer waiting
//! until the record has come back and was applied. So a request that follows sees it, and a restart reads the same.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base::BoxError;
use parking_lot::RwLock;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};
use tokio::sync::{Mutex, OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    election::{Election, Leader},
    records::Entry,
    state::State,
};

/// How long the start waits for Kafka to answer.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
/// Confluent's `kafkastore.init.timeout.ms`: reading the topic to its end.
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(60);
/// From a write to its coming back.
const WRITE_TIMEOUT_MS: u64 = 10_000;
const CATCH_UP_TIMEOUT_MS: u64 = 1_000;
/// Copies of the topic where there are as many brokers, as Confluent asks for.
const REPLICAS_COUNT_MAX: i32 = 3;
const PARTITION: i32 = 0;

pub(crate) struct Journal {
    topic: String,
    cluster_id: Option<String>,
    config: ClientConfig,
    /// Made with the first write: a registry that is only read holds one client.
    producer: OnceCell<FutureProducer>,
    shared: Arc<Shared>,
    /// One change at a time: what is decided from the state is written before anything else changes it. Within: the term of
    /// the last write, since the first one of a term has to see what the leader before it has written.
    writing: Mutex<u64>,
    election: Arc<Election>,
}

#[derive(Default)]
struct Shared {
    state: RwLock<State>,
    /// The offset of the next record to apply.
    next: watch::Sender<i64>,
}

/// The half that reads, owned by the service's task.
pub(crate) struct Reader {
    consumer: StreamConsumer,
    shared: Arc<Shared>,
    topic: String,
}

impl Journal {
    /// Ready means: the topic is there and everything that was in it is applied.
    pub(crate) async fn open(options: &Options, url: String) -> Result<(Journal, Reader), Error> {
        let config = client(options);
        let (kafka, topic) = (options.kafka.clone(), options.topic.clone());
        let opening = {
            let (config, kafka, topic) = (config.clone(), kafka.clone(), topic.clone());
            tokio::task::spawn_blocking(move || connect(&config, &kafka, &topic))
        };
        let Opened { consumer, brokers, cluster_id } =
            opening.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        if let Some(brokers) = brokers {
            create(&config, &kafka, &topic, brokers).await?;
        }
        let unreachable =
            |error: KafkaError| Error::Kafka { kafka: kafka.clone(), reason: error.to_string() };
        let starting = {
            let topic = topic.clone();
            tokio::task::spawn_blocking(move || {
                let ends = watermarks(&consumer, &topic)?;
                let mut assignment = TopicPartitionList::with_capacity(1);
                assignment.add_partition_offset(&topic, PARTITION, Offset::Beginning)?;
                consumer.assign(&assignment)?;
                Ok::<_, KafkaError>((consumer, ends))
            })
        };
        let started = starting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let (consumer, (low, high)) = started.map_err(unreachable)?;
        let shared = Arc::new(Shared::default());
        let reader = Reader { consumer, shared: shared.clone(), topic: topic.clone() };
        if low < high {
            let reading = tokio::time::timeout(READ_BACK_TIMEOUT, reader.read_until(high));
            reading
                .await
                .map_err(|_| Error::StoreTimeout { timeout_ms: READ_BACK_TIMEOUT.as_millis() as u64 })??;
        }
        let election = Arc::new(Election::new(&config, &topic, &options.group, url, shared.next.subscribe()));
        let (producer, writing) = (OnceCell::new(), Mutex::new(0));
        Ok((Journal { topic, cluster_id, config, producer, shared, writing, election }, reader))
    }

    /// Which of the registries on the topic writes.
    pub(crate) fn election(&self) -> &Arc<Election> {
        &self.election
    }

    /// What Kafka calls itself, where it says so.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Asks the state.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&State) -> T) -> T {
        ask(&self.shared.state.read())
    }

    /// Decides on the state and writes what was decided; the answer comes when it has been applied.
    pub(crate) async fn change<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<(T, Vec<Entry>), Error>,
    ) -> Result<T, Error> {
        let mut written = self.writing.lock().await;
        let Leader::Me { term } = self.election.leader().await? else {
            return Err(Error::NoLeader { reason: "another registry has just taken over".to_owned() });
        };
        if *written != term {
            // Once it has come back, all that was written before it has too.
            self.append(&[Entry::Noop]).await?;
            *written = term;
        }
        let (answer, entries) = self.read(decide)?;
        if !entries.is_empty() {
            self.append(&entries).await?;
        }
        Ok(answer)
    }

    /// Waits until what another registry has written so far is applied here too; for a moment only, as a topic may end in
    /// what is no record.
    pub(crate) async fn catch_up(&self) {
        let Some(end) = self.election.topic_end().await else { return };
        let mut next = self.shared.next.subscribe();
        let applied = next.wait_for(|next| *next >= end);
        let _ = tokio::time::timeout(Duration::from_millis(CATCH_UP_TIMEOUT_MS), applied).await;
    }

    async fn append(&self, entries: &[Entry]) -> Result<(), Error> {
        let refused = |error: KafkaError| Error::Store { reason: error.to_string() };
        let create = || async { self.config.create::<FutureProducer>().map_err(refused) };
        let producer = self.producer.get_or_try_init(create).await?;
        let mut sent = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = entry.write();
            let record = FutureRecord::<[u8], [u8]>::to(&self.topic).partition(PARTITION).key(&key);
            let record = FutureRecord { payload: value.as_deref(), ..record };
            sent.push(producer.send_result(record).map_err(|(error, _)| refused(error))?);
        }
        let mut last = -1;
        for delivery in sent {
            let delivered =
                delivery.await.map_err(|_| Error::Store { reason: "the client stopped".to_owned() })?;
            last = delivered.map_err(|(error, _)| refused(error))?.offset.max(last);
        }
        let mut next = self.shared.next.subscribe();
        let applied = next.wait_for(|next| *next > last);
        match tokio::time::timeout(Duration::from_millis(WRITE_TIMEOUT_MS), applied).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Store { reason: "the reader of the topic has stopped".to_owned() }),
            Err(_) => Err(Error::StoreTimeout { timeout_ms: WRITE_TIMEOUT_MS }),
        }
    }
}

impl Reader {
    /// Applies what comes until asked to stop.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                message = self.consumer.recv() => match message {
                    Ok(message) => self.apply(&message),
                    Err(KafkaError::PartitionEOF(_)) => {}
                    // librdkafka reconnects by itself; what is missing comes later.
                    Err(error) => {
                        tracing::warn!(%error, topic = self.topic, "the registry's reader has trouble with Kafka");
                    }
                }
            }
        }
    }

    /// Applies everything below `high`.
    async fn read_until(&self, high: i64) -> Result<(), Error> {
        let began = Instant::now();
        let mut trouble = None;
        while *self.shared.next.borrow() < high {
            match self.consumer.recv().await {
                Ok(message) => self.apply(&message),
                // The end, though the last offsets hold no record (compacted away, or a transaction's marker).
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) if began.elapsed() > KAFKA_TIMEOUT => {
                    let reason = error.to_string();
                    return Err(Error::Topic { topic: self.topic.clone(), reason });
                }
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble {
            tracing::info!(%error, "the registry's topic was read after trouble");
        }
        Ok(())
    }

    fn apply(&self, message: &impl Message) {
        let entry = message.key().and_then(|key| Entry::read(key, message.payload()));
        match entry {
            Some(entry) => self.shared.state.write().apply(entry),
            None => tracing::warn!(
                topic = self.topic,
                offset = message.offset(),
                "a record is not one of a schema registry and was passed over"
            ),
        }
        self.shared.next.send_replace(message.offset() + 1);
    }
}

/// Settings of both clients: small waits, since the registry's traffic is a record now and then.
fn client(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("client.id", "tidemill-registry"),
        ("group.id", "tidemill-registry"), // required by the client, never joined
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("allow.auto.create.topics", "false"),
        ("fetch.wait.max.ms", "500"),
        ("fetch.error.backoff.ms", "50"),
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "1000"),
        ("socket.nagle.disable", "true"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", "4096"),
        ("acks", "all"),
        ("linger.ms", "0"),
        ("message.timeout.ms", "10000"),
        ("queue.buffering.max.kbytes", "32768"),
        ("log_level", "3"),
    ] {
        config.set(key, value);
    }
    for (key, value) in &options.kafka_properties {
        config.set(key, value);
    }
    config.set("bootstrap.servers", &options.kafka);
    config
}

/// A consumer that has reached Kafka.
struct Opened {
    consumer: StreamConsumer,
    /// Their count, where the topic has to be made.
    brokers: Option<usize>,
    cluster_id: Option<String>,
}

fn connect(config: &ClientConfig, kafka: &str, topic: &str) -> Result<Opened, Error> {
    let unreachable = |error: KafkaError| Error::Kafka { kafka: kafka.to_owned(), reason: error.to_string() };
    let consumer: StreamConsumer = config.create().map_err(unreachable)?;
    let metadata = consumer.fetch_metadata(Some(topic), KAFKA_TIMEOUT).map_err(unreachable)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(0, |found| found.partitions().len());
    if partitions > 1 {
        let reason = format!("it has {partitions} partitions, and the registry needs the order of one");
        return Err(Error::Topic { topic: topic.to_owned(), reason });
    }
    let brokers = (partitions == 0).then(|| metadata.brokers().len());
    // It came with the metadata: nothing is asked again.
    let cluster_id = consumer.client().fetch_cluster_id(Duration::ZERO);
    Ok(Opened { consumer, brokers, cluster_id })
}

async fn create(config: &ClientConfig, kafka: &str, topic: &str, brokers: usize) -> Result<(), Error> {
    let unreachable = |error: KafkaError| Error::Kafka { kafka: kafka.to_owned(), reason: error.to_string() };
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(unreachable)?;
    let replicas = i32::try_from(brokers).unwrap_or(1).clamp(1, REPLICAS_COUNT_MAX);
    let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(replicas)).set("cleanup.policy", "compact");
    let asked = AdminOptions::new().operation_timeout(Some(KAFKA_TIMEOUT));
    for made in admin.create_topics([&wanted], &asked).await.map_err(unreachable)? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, error)) => {
                let reason = format!("it cannot be created: {error}");
                return Err(Error::Topic { topic: topic.to_owned(), reason });
            }
        }
    }
    Ok(())
}

/// The first and the next offset; a topic that was just made may need a moment until its leader is known.
fn watermarks(consumer: &StreamConsumer, topic: &str) -> Result<(i64, i64), KafkaError> {
    let began = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, PARTITION, KAFKA_TIMEOUT) {
            Ok(ends) => return Ok(ends),
            Err(error) if began.elapsed() > KAFKA_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
