//! Records to a topic: enqueued by `write`, acknowledged by all replicas when `commit` returns.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicI32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arrow_array::{Array, BinaryViewArray};
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
    enqueue::{self, RUN_RECORDS_MAX, Run, Topic},
    errors::{expect_anybody, fault, is_denied},
    identity::partitions_count,
    source::blocking,
    transaction::Transactions,
};

/// An idempotent producer for one topic, shared by the writers of all splits.
pub struct KafkaSink {
    shared: Arc<Shared>,
}

struct Shared {
    config: SinkConfig,
    /// Since the first record; it goes before the producer that it belongs to.
    topic: OnceLock<Topic>,
    producer: BaseProducer<Failures>,
    transactions: Option<Transactions>,
    /// Of the topic, since `begin`; looked at again now and then, as partitions may be added.
    partitions_count: AtomicI32,
    counted: Mutex<Instant>,
    /// librdkafka was told of another partitioner than ours.
    is_partitioner_given: bool,
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
/// How long one wait for acknowledgements lasts before what was given up is looked for.
const WAIT_MS: u64 = 10;
/// A connection is up after some of them.
const ASK_AGAIN_MS: [u64; 6] = [2, 3, 5, 10, 20, 40];
const ASK_CALL_MS: u64 = 1_000;
/// As often as librdkafka asks for the topic's partitions.
const COUNT_AGAIN_MS: u64 = 30_000;
/// `RD_KAFKA_PARTITION_UA` of rdkafka.h.
const ANY_PARTITION: i32 = -1;
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
        let producer: BaseProducer<Failures> =
            created.map_err(|source| Error::Client { bootstrap, source })?;
        let transactions =
            config.transaction.as_ref().map(|one| Transactions::new(&config, one)).transpose()?;
        let shared = Shared {
            is_partitioner_given: config.properties.contains_key("partitioner"),
            config,
            topic: OnceLock::new(),
            producer,
            transactions,
            partitions_count: AtomicI32::new(1),
            counted: Mutex::new(Instant::now()),
            turn: AtomicU64::new(0),
            records_turn: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// How many partitions the topic has, where it is there.
    fn count_partitions(&self) -> Result<Option<i32>, KafkaError> {
        partitions_count(self.producer.client(), &self.config.topic, Duration::from_millis(CALL_MS))
    }

    /// The same for the first time: what is wrong with the cluster is told.
    fn partitions(&self) -> Result<Option<i32>, Fault> {
        expect_anybody(&self.config.bootstrap).map_err(|error| Fault::Fatal(Box::new(error)))?;
        self.count_partitions().map_err(|source| {
            let code = source.clone();
            let bootstrap = self.config.bootstrap.clone();
            match source.rdkafka_error_code() {
                Some(Kafka::TopicAuthorizationFailed) => {
                    fault(&code, Error::Denied { subject: format!("topic {}", self.config.topic), source })
                }
                Some(denied) if is_denied(denied) => {
                    fault(&code, Error::Denied { subject: format!("the client at {bootstrap}"), source })
                }
                _ => Fault::Fatal(Box::new(Error::Unreachable { bootstrap, source })),
            }
        })
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
        self.count_partitions_again();
        let turn = self.turn.fetch_add(1, Relaxed);
        let is_bare = batch.envelope.headers.is_none() && batch.envelope.timestamps_ms.is_none();
        let rejects = match is_bare {
            true => self.send_runs(batch, values, turn)?,
            false => self.send_each(batch, values, turn)?,
        };
        self.producer.poll(Duration::ZERO);
        self.check()?;
        Ok(rejects)
    }

    /// Records that say nothing but key and value, partition by partition: those of one lie beside each other in the client's queue,
    /// as it goes through them, and keep their order.
    fn send_runs(&self, batch: &Batch, values: &BinaryViewArray, turn: u64) -> Result<Rejects, Fault> {
        let mut rows: Vec<(i32, usize)> = (0..values.len())
            .map(|row| (self.partition(batch, row, turn).unwrap_or(ANY_PARTITION), row))
            .collect();
        rows.sort_by_key(|(partition, _)| *partition);
        let mut refused: Vec<(usize, Kafka)> = Vec::new();
        let mut run = Run::new(self.topic()?);
        for rows in rows.chunk_by(|one, other| one.0 == other.0) {
            for mut rows in rows.chunks(RUN_RECORDS_MAX) {
                for (_, row) in rows {
                    run.push(batch.envelope.key(*row), values.is_valid(*row).then(|| values.value(*row)));
                }
                while let Some((partition, _)) = rows.first() {
                    let done = run.offer(*partition, |place, code| refused.push((rows[place].1, code)));
                    rows = &rows[done..];
                    if !rows.is_empty() {
                        self.wait_for_room();
                    }
                }
            }
        }
        refused.sort_by_key(|(row, _)| *row);
        let refuse = |(row, code)| self.refuse(batch, values, row, code);
        refused.into_iter().map(refuse).collect::<Result<_, _>>().map(Rejects)
    }

    fn send_each(&self, batch: &Batch, values: &BinaryViewArray, turn: u64) -> Result<Rejects, Fault> {
        let mut rejects = Rejects::default();
        for row in 0..values.len() {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.config.topic);
            record.key = batch.envelope.key(row);
            record.partition = self.partition(batch, row, turn);
            record.payload = values.is_valid(row).then(|| values.value(row));
            record.timestamp = batch.envelope.timestamp_ms(row).filter(|time| *time >= 0);
            record.headers = batch
                .envelope
                .headers
                .as_ref()
                .map(|rows| &rows[row])
                .filter(|one| !one.is_empty())
                .map(headers);
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Kafka::QueueFull), back)) => {
                        record = back;
                        self.wait_for_room();
                    }
                    Err((KafkaError::MessageProduction(code), _)) => {
                        rejects.0.push(self.refuse(batch, values, row, code)?);
                        break;
                    }
                    Err((source, _)) => return Err(self.not_delivered(1, &source)),
                }
            }
        }
        Ok(rejects)
    }

    /// Found when the client knows the cluster: one that it is told of before it asks for half a second later.
    fn topic(&self) -> Result<&Topic, Fault> {
        if let Some(topic) = self.topic.get() {
            return Ok(topic);
        }
        let topic = Topic::find(&self.producer, &self.config.topic);
        let topic = topic.map_err(|source| self.not_delivered(1, &source))?;
        Ok(self.topic.get_or_init(|| topic))
    }

    /// Room comes as the broker acknowledges; a failure would come by this call.
    fn wait_for_room(&self) {
        self.producer.poll(Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(1));
    }

    /// What the client does not take: the record's fault, or the end of the transfer.
    fn refuse(
        &self,
        batch: &Batch,
        values: &BinaryViewArray,
        row: usize,
        code: Kafka,
    ) -> Result<Reject, Fault> {
        let value = values.is_valid(row).then(|| values.value(row));
        match code {
            Kafka::UnknownPartition => {
                let partition = self.config.partition.or_else(|| batch.envelope.partition(row));
                let reason = self.no_partition(partition.unwrap_or(ANY_PARTITION));
                Ok(Reject {
                    code: code::TM1482,
                    reason,
                    ..too_large(batch, row, batch.envelope.key(row), value)
                })
            }
            Kafka::MessageSizeTooLarge => Ok(too_large(batch, row, batch.envelope.key(row), value)),
            code => Err(self.not_delivered(1, &KafkaError::MessageProduction(code))),
        }
    }

    /// Partitions may be added while a load runs, and keys belong to them then.
    fn count_partitions_again(&self) {
        let mut counted = self.counted.lock();
        if counted.elapsed() < Duration::from_millis(COUNT_AGAIN_MS) {
            return;
        }
        *counted = Instant::now();
        match self.count_partitions() {
            Ok(count) => _ = self.partitions_count.fetch_max(count.unwrap_or(0), Relaxed),
            // It goes on with those that it knows; what is wrong with the cluster is told by records that are not delivered.
            Err(error) => tracing::debug!(%error, "the partitions were not counted"),
        }
    }

    /// Which one the record goes to; `None`: that is librdkafka's to say.
    fn partition(&self, batch: &Batch, row: usize, turn: u64) -> Option<i32> {
        let count = self.partitions_count.load(Relaxed).max(1).unsigned_abs();
        let in_turn = |turn: u64| i32::try_from(turn % u64::from(count)).ok();
        let of_key = |of: fn(&[u8], u32) -> u32| {
            batch.envelope.key(row).and_then(|key| i32::try_from(of(key, count)).ok())
        };
        match (self.config.partition, self.config.partitioner) {
            (Some(partition), _) => Some(partition),
            (None, Partitioner::Given) => batch.envelope.partition(row),
            (None, Partitioner::RoundRobin) => in_turn(self.records_turn.fetch_add(1, Relaxed)),
            (None, Partitioner::Sticky) => in_turn(turn),
            (None, Partitioner::Random) => in_turn(fastrand::u64(..)),
            _ if self.is_partitioner_given => None,
            (None, Partitioner::Murmur2) => of_key(wire::partition::of_key),
            // An empty key is none to librdkafka's own partitioner.
            (None, Partitioner::Crc32) if batch.envelope.key(row).is_some_and(<[u8]>::is_empty) => None,
            (None, Partitioner::Crc32) => of_key(wire::partition::of_key_crc32),
            (None, Partitioner::Fnv1a) => None,
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
            enqueue::flush(&self.producer, Duration::from_millis(WAIT_MS));
            // What was given up is on its way until it is told.
            self.producer.poll(Duration::ZERO);
            if Instant::now() > until {
                return Err(self.not_delivered(1, &KafkaError::Flush(Kafka::OperationTimedOut)));
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

fn too_large(batch: &Batch, row: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> Reject {
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
