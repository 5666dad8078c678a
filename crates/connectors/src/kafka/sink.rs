//! Records to a topic: enqueued by `write`, acknowledged by all replicas when `commit` returns.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicI32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arrow_array::Array;
use async_trait::async_trait;
use base::{
    Batch, Body, Extent, Fault, Load, Position, Receipt, Reject, Rejects, Saved, Sink, Split, Writer, code,
};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode as Kafka,
};

use super::{
    Create, Error, Partitioner, SinkConfig,
    errors::{expect_anybody, fault, is_denied},
    source::blocking,
    transaction::Transactions,
};

/// An idempotent producer for one topic, shared by the writers of all splits.
pub struct KafkaSink {
    shared: Arc<Shared>,
}

struct Shared {
    config: SinkConfig,
    producer: BaseProducer<Failures>,
    transactions: Option<Transactions>,
    /// Of the topic, since `begin`.
    partitions_count: AtomicI32,
    /// Whose turn it is, where partitions take turns.
    turn: AtomicU64,
    records_turn: AtomicU64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(transactions) = &self.transactions {
            transactions.abort(&self.producer);
        }
    }
}

/// What was not delivered. Librdkafka tells only failures here (`delivery.report.only.error`).
#[derive(Default)]
struct Failures {
    count: AtomicU64,
    first: Mutex<Option<KafkaError>>,
}

impl ClientContext for Failures {
    fn error(&self, error: KafkaError, reason: &str) {
        // It goes on trying by itself; what it gives up comes back from the call.
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.count.fetch_add(1, Relaxed);
            self.first.lock().get_or_insert_with(|| error.clone());
        }
    }
}

/// A question to the cluster.
const CALL_MS: u64 = 10_000;
/// How long one wait for acknowledgements lasts before they are counted again: success makes no event.
const WAIT_MS: u64 = 5;
/// A connection is up after some of them.
const ASK_AGAIN_MS: [u64; 6] = [2, 3, 5, 10, 20, 40];
const ASK_CALL_MS: u64 = 1_000;
/// Longer than `message.timeout.ms`, after which the client itself gives a record up.
const FLUSH_MS_MAX: u64 = 180_000;

impl KafkaSink {
    /// Sets the producer up; the topic is looked at by `begin`.
    ///
    /// # Errors
    /// `Error::Client`: a setting that librdkafka does not take.
    pub fn connect(config: SinkConfig) -> Result<Self, Error> {
        let bootstrap = config.bootstrap.clone();
        let created = config.client().create_with_context(Failures::default());
        let producer = created.map_err(|source| Error::Client { bootstrap, source })?;
        let transactions =
            config.transaction.as_ref().map(|one| Transactions::new(&config, one)).transpose()?;
        let (partitions_count, turn, records_turn) =
            (AtomicI32::new(1), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Shared { config, producer, transactions, partitions_count, turn, records_turn };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// How many partitions the topic has, where it is there. Asks for all topics, since asking for one may create it.
    fn partitions(&self) -> Result<Option<i32>, Fault> {
        expect_anybody(&self.config.bootstrap).map_err(|error| Fault::Fatal(Box::new(error)))?;
        let topics = self.producer.client().fetch_metadata(None, Duration::from_millis(CALL_MS));
        let topics = topics.map_err(|source| {
            let code = source.clone();
            let bootstrap = self.config.bootstrap.clone();
            match source.rdkafka_error_code() {
                Some(denied) if is_denied(denied) => {
                    fault(&code, Error::Denied { subject: format!("the client at {bootstrap}"), source })
                }
                _ => Fault::Fatal(Box::new(Error::Unreachable { bootstrap, source })),
            }
        })?;
        let topic = topics.topics().iter().find(|topic| topic.name() == self.config.topic);
        Ok(topic.map(|topic| i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX).max(1)))
    }

    async fn create_topic(&self, create: &Create) -> Result<(), Fault> {
        let topic = self.config.topic.clone();
        let refuse =
            |source: KafkaError| Fault::Fatal(Box::new(Error::CreateTopic { topic: topic.clone(), source }));
        let admin: AdminClient<DefaultClientContext> = self.config.plain_client().create().map_err(refuse)?;
        let replication = TopicReplication::Fixed(create.replication_factor);
        let new = NewTopic::new(&self.config.topic, create.partitions_count, replication);
        let new = create.config.iter().fold(new, |new, (key, value)| new.set(key, value));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_millis(CALL_MS)));
        for answer in admin.create_topics([&new], &options).await.map_err(refuse)? {
            match answer {
                Ok(_) | Err((_, Kafka::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(refuse(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// Enqueues the rows; waits where the client's queue is full.
    fn send(&self, batch: &Batch) -> Result<Rejects, Fault> {
        let Body::Raw(values) = &batch.body else {
            return Err(Fault::Fatal(
                "a topic takes bytes: this transfer needs a serializer before its sink".into(),
            ));
        };
        if let Some(transactions) = &self.transactions {
            transactions.open(&self.producer)?;
        }
        let (mut rejects, first_turn) = (Rejects::default(), self.turn.fetch_add(1, Relaxed));
        for row in 0..values.len() {
            let (key, value) = (batch.envelope.key(row), values.is_valid(row).then(|| values.value(row)));
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.config.topic);
            record.key = key;
            record.partition = self.partition(batch, row, first_turn);
            record.payload = value;
            record.timestamp = batch.envelope.timestamp_ms(row).filter(|time| *time >= 0);
            record.headers = batch
                .envelope
                .headers
                .as_ref()
                .map(|rows| &rows[row])
                .filter(|one| !one.is_empty())
                .map(headers);
            let record_partition = record.partition;
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Kafka::QueueFull), back)) => {
                        record = back;
                        // Room comes as the broker acknowledges; a failure would come by this call.
                        self.producer.poll(Duration::from_millis(1));
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err((KafkaError::MessageProduction(Kafka::UnknownPartition), _)) => {
                        let reason = self.no_partition(record_partition.unwrap_or(-1));
                        rejects.0.push(refused(batch, row, code::TM1482, reason));
                        break;
                    }
                    Err((KafkaError::MessageProduction(Kafka::MessageSizeTooLarge), _)) => {
                        rejects.0.push(too_large(batch, row, key, value));
                        break;
                    }
                    Err((source, _)) => return Err(self.not_delivered(1, &source)),
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        self.check()?;
        Ok(rejects)
    }

    /// Which one the record goes to; `None`: as its key says.
    fn partition(&self, batch: &Batch, row: usize, turn: u64) -> Option<i32> {
        let in_turn = |turn: u64| {
            let count = self.partitions_count.load(Relaxed).max(1).unsigned_abs();
            i32::try_from(turn % u64::from(count)).ok()
        };
        match (self.config.partition, self.config.partitioner) {
            (Some(partition), _) => Some(partition),
            (None, Partitioner::Given) => batch.envelope.partition(row),
            (None, Partitioner::RoundRobin) => in_turn(self.records_turn.fetch_add(1, Relaxed)),
            (None, Partitioner::Sticky) => in_turn(turn),
            (None, Partitioner::Random) => {
                let count = self.partitions_count.load(Relaxed).max(1);
                Some(fastrand::i32(0..count))
            }
            (None, Partitioner::Murmur2 | Partitioner::Crc32 | Partitioner::Fnv1a) => None,
        }
    }

    fn no_partition(&self, partition: i32) -> String {
        let (topic, count) = (&self.config.topic, self.partitions_count.load(Relaxed));
        format!("{topic} has {count} partitions, and none is number {partition}")
    }

    fn check(&self) -> Result<(), Fault> {
        let failures = self.producer.context();
        let Some(first) = failures.first.lock().take() else { return Ok(()) };
        Err(self.not_delivered(failures.count.swap(0, Relaxed).max(1), &first))
    }

    fn not_delivered(&self, failed_count: u64, first: &KafkaError) -> Fault {
        let topic = self.config.topic.clone();
        let reason = first.rdkafka_error_code().map_or_else(|| first.to_string(), |code| code.to_string());
        fault(first, Error::Deliver { topic, failed_count, reason })
    }

    fn flush(&self) -> Result<(), Fault> {
        let until = Instant::now() + Duration::from_millis(FLUSH_MS_MAX);
        while self.producer.in_flight_count() > 0 {
            match self.producer.flush(Duration::from_millis(WAIT_MS)) {
                Ok(()) => {}
                Err(error)
                    if error.rdkafka_error_code() == Some(Kafka::OperationTimedOut)
                        && Instant::now() < until => {}
                Err(error) => return Err(self.not_delivered(1, &error)),
            }
        }
        self.check()
    }
}

/// An idempotent producer sends nothing before it has an id. librdkafka asks for it whenever it is told of the cluster; where its
/// connection to a broker of the cluster was not up by then, it waits for half a second. So it is told again, as soon as that can be.
async fn ask_again(shared: Weak<Shared>) {
    for wait_ms in ASK_AGAIN_MS {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let Some(shared) = shared.upgrade() else { return };
        let asked = tokio::task::spawn_blocking(move || {
            let call = Duration::from_millis(ASK_CALL_MS);
            shared.producer.client().fetch_metadata(Some(&shared.config.topic), call).map(drop)
        });
        if let Ok(Err(error)) = asked.await {
            tracing::debug!(%error, "the cluster did not answer");
        }
    }
}

fn headers(headers: &base::Headers) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |list, header| {
        list.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
    })
}

fn refused(batch: &Batch, row: usize, code: base::Code, reason: String) -> Reject {
    let value = match &batch.body {
        Body::Raw(values) if values.is_valid(row) => Some(bytes::Bytes::copy_from_slice(values.value(row))),
        _ => None,
    };
    Reject { code, reason, value, ..too_large(batch, row, batch.envelope.key(row), None) }
}

pub(super) fn too_large(batch: &Batch, row: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> Reject {
    let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    Reject {
        origin: batch.origin(row),
        code: code::TM0710,
        reason: format!("{size} bytes are more than the producer's message.max.bytes"),
        stage: "TASK_PUT",
        key: key.map(bytes::Bytes::copy_from_slice),
        value: value.map(bytes::Bytes::copy_from_slice),
        headers: batch.envelope.headers.as_ref().map(|rows| rows[row].clone()).unwrap_or_default(),
        timestamp_ms: batch.envelope.timestamp_ms(row),
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        let shared = self.shared.clone();
        let partitions_count =
            match (blocking(move || shared.partitions()).await?, &self.shared.config.create) {
                (Some(count), _) => count,
                (None, Some(create)) => {
                    self.shared.create_topic(create).await?;
                    let shared = self.shared.clone();
                    blocking(move || shared.partitions()).await?.unwrap_or(create.partitions_count)
                }
                (None, None) => {
                    let (topic, bootstrap) =
                        (self.shared.config.topic.clone(), self.shared.config.bootstrap.clone());
                    return Err(Fault::Fatal(Box::new(Error::TopicMissing { topic, bootstrap })));
                }
            };
        self.shared.partitions_count.store(partitions_count, Relaxed);
        if let Some(partition) = self.shared.config.partition.filter(|one| *one >= partitions_count) {
            let topic = self.shared.config.topic.clone();
            return Err(Fault::Fatal(Box::new(Error::NoPartition { topic, partition, partitions_count })));
        }
        if self.shared.transactions.is_none() {
            tokio::spawn(ask_again(Arc::downgrade(&self.shared)));
            return Ok(());
        }
        let shared = self.shared.clone();
        blocking(move || match &shared.transactions {
            Some(transactions) => transactions.begin(&shared.producer),
            None => Ok(()),
        })
        .await
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(TopicWriter { shared: self.shared.clone(), split: split.id.clone() }))
    }

    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        let shared = self.shared.clone();
        blocking(move || match &shared.transactions {
            Some(transactions) => transactions.finish(&shared.producer),
            None => Ok(()),
        })
        .await
    }
}

struct TopicWriter {
    shared: Arc<Shared>,
    split: Arc<str>,
}

#[async_trait]
impl Writer for TopicWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(self.shared.transactions.as_ref().and_then(|one| one.position(&self.split)))
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let (shared, batch) = (self.shared.clone(), batch.clone());
        blocking(move || shared.send(&batch)).await
    }

    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        let (shared, split, end) = (self.shared.clone(), self.split.clone(), extent.end.clone());
        blocking(move || {
            shared.flush()?;
            match &shared.transactions {
                Some(transactions) => transactions.commit(&shared.producer, &split, &end),
                None => Ok(()),
            }
        })
        .await?;
        Ok(Receipt::default())
    }
}
