//! Sending records: one librdkafka producer, made with the first record, that keeps the order and writes none twice.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Timestamp,
    error::{KafkaError, RDKafkaErrorCode},
    message::{self, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
    util::Timeout,
};

use crate::{
    Error, Options,
    kafka::{Kafka, client, topics::Asked},
};

/// How long a topic is taken for what it was.
const TOPIC_FRESH: Duration = Duration::from_secs(5);
const TOPICS_COUNT_MAX: usize = 10_000;
/// How often a topic that brokers may be making is looked for.
const TOPIC_TRIES: u32 = 5;
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a record waits for room among those that are not sent yet.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Producer {
    config: ClientConfig,
    current: Mutex<Option<Arc<FutureProducer>>>,
    /// When it was asked, and how many partitions there were.
    topics: Mutex<HashMap<String, (Instant, usize)>>,
}

/// A name, and a value or none.
pub(crate) type Header = (String, Option<Vec<u8>>);

#[derive(Debug, Default)]
pub(crate) struct Record {
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    pub timestamp_ms: Option<i64>,
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
}

/// A record on its way.
pub(crate) struct Sent(DeliveryFuture);

impl Producer {
    pub fn new(options: &Options) -> Self {
        let mut config = client(options);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Where Java's producer puts a key.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "30000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", (options.producer_buffer_bytes_max >> 10).max(1).to_string())
            .set("message.max.bytes", options.request_bytes_max.clamp(1_000, 1_000_000_000).to_string());
        Self { config, current: Mutex::new(None), topics: Mutex::default() }
    }

    /// How many partitions a topic has; made where the brokers make topics by themselves.
    pub async fn partitions_count(&self, kafka: &Kafka, topic: &str) -> Result<usize, Error> {
        if let Some((since, count)) = self.topics.lock().get(topic)
            && since.elapsed() < TOPIC_FRESH
        {
            return Ok(*count);
        }
        for turn in 0..TOPIC_TRIES {
            if turn > 0 {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            let found = kafka.metadata(Asked::Wanted(topic)).await?.topics.pop();
            let Some(count) = found.map(|topic| topic.partitions.len()).filter(|count| *count > 0) else {
                continue;
            };
            let mut topics = self.topics.lock();
            if topics.len() >= TOPICS_COUNT_MAX {
                topics.clear();
            }
            topics.insert(topic.to_owned(), (Instant::now(), count));
            return Ok(count);
        }
        Err(Error::TopicNotFound)
    }

    /// Another look at a topic is due: it was changed here.
    pub fn forget(&self, topic: &str) {
        self.topics.lock().remove(topic);
    }

    /// Hands a record over; records come to a partition in the order of these calls.
    pub async fn send(&self, topic: &str, record: &Record) -> Result<Sent, Error> {
        let producer = self.producer()?;
        let began = Instant::now();
        loop {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in &record.headers {
                headers = headers.insert(message::Header { key, value: value.as_ref() });
            }
            let sent = FutureRecord::<[u8], [u8]> {
                topic,
                partition: record.partition,
                payload: record.value.as_deref(),
                key: record.key.as_deref(),
                timestamp: record.timestamp_ms,
                headers: (!record.headers.is_empty()).then_some(headers),
            };
            match producer.send_result(sent) {
                Ok(delivery) => return Ok(Sent(delivery)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if began.elapsed() < ROOM_TIMEOUT =>
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err((error, _)) => return Err(self.failed(&error)),
            }
        }
    }

    pub async fn delivered(&self, sent: Sent) -> Result<Delivered, Error> {
        let stopped = |_| Error::Client { reason: "the producer has stopped".to_owned(), retriable: true };
        let delivery = sent.0.await.map_err(stopped)?.map_err(|(error, _)| self.failed(&error))?;
        let timestamp_ms = match delivery.timestamp {
            Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at) if at >= 0 => Some(at),
            Timestamp::NotAvailable | Timestamp::CreateTime(_) | Timestamp::LogAppendTime(_) => None,
        };
        Ok(Delivered { partition: delivery.partition, offset: delivery.offset, timestamp_ms })
    }

    fn producer(&self) -> Result<Arc<FutureProducer>, Error> {
        let mut current = self.current.lock();
        if let Some(producer) = &*current {
            return Ok(producer.clone());
        }
        let made = self.config.create::<FutureProducer>();
        let made = Arc::new(made.map_err(|error| client_error(&error))?);
        *current = Some(made.clone());
        Ok(made)
    }

    /// After a fatal error a producer takes no more: the next record gets a new one.
    fn failed(&self, error: &KafkaError) -> Error {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            *self.current.lock() = None;
        }
        client_error(error)
    }

    /// Waits for what is on its way.
    pub async fn flush(&self) {
        let Some(producer) = self.current.lock().take() else { return };
        let flushed = tokio::task::spawn_blocking(move || producer.flush(Timeout::After(FLUSH_TIMEOUT)));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "records were on their way when the REST proxy stopped");
        }
    }
}

/// librdkafka's error: the broker's number where it is one of a broker.
pub(crate) fn client_error(error: &KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let reason = error.to_string();
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopic) => Error::refused(3, None),
        Some(Code::UnknownPartition) => Error::PartitionNotFound,
        Some(Code::Authentication) => Error::refused(58, Some(&reason)),
        Some(code) if code as i32 > 0 => i16::try_from(code as i32)
            .map_or_else(|_| Error::refused(-1, None), |code| Error::refused(code, None)),
        Some(
            Code::MessageTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::QueueFull
            | Code::Resolve,
        ) => Error::Client { reason, retriable: true },
        Some(_) | None => Error::Client { reason, retriable: false },
    }
}
