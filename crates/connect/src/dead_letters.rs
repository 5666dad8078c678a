//! Refused records that are tolerated: to the log, to a dead letter topic with Connect's headers, or nowhere else.
//! Source: KIP-298; the headers are those of Kafka's `DeadLetterQueueReporter`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use base::{Extent, Fault, Place, Reject, Rejects, Split, code};
use bytes::Bytes;
use engine::DeadLetters;
use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Message, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};

use crate::{
    Error,
    converters::Side,
    errors::Reason,
    kafka::{self, ANSWER_MS_MAX, Kafka, Wanted},
    store::blocking,
    worker::{Errors, Settings, Worker},
};

const TASK_CLASS: &str = "io.confluent.connect.s3.S3SinkTask";
/// The producer's queue is full: how long until it is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

pub(crate) struct TopicDeadLetters {
    kafka: Kafka,
    producer: FutureProducer,
    connector: Arc<str>,
    task: usize,
    errors: Errors,
    value_class: String,
    key_class: String,
    /// Sent and not yet known to have arrived, by split.
    sent: Mutex<HashMap<Arc<str>, Vec<DeliveryFuture>>>,
}

impl TopicDeadLetters {
    /// Creates the dead letter topic where it is missing.
    pub async fn open(worker: &Worker, settings: &Settings, value_class: String) -> Result<Self, Fault> {
        let kafka = worker.journal.kafka.clone();
        if let Some((topic, replication_factor)) = &settings.errors.topic {
            let consumer = kafka.reader("tidemill-dead-letters").map_err(transient)?;
            let present = blocking(move || kafka::topics(&consumer)).await;
            let present = present.map_err(kafka.failed("list its topics")).map_err(transient)?;
            let wanted = Wanted {
                name: topic,
                partitions_count: 1,
                replication_factor: *replication_factor,
                compacted: false,
            };
            let created = kafka.create_missing(&[wanted], &present).await;
            created.map_err(|error| Fault::Fatal(error.into()))?;
        }
        Ok(Self {
            producer: worker.journal.producer.clone(),
            connector: settings.name.clone(),
            task: settings.number,
            errors: settings.errors.clone(),
            key_class: settings.key.class(),
            value_class,
            sent: Mutex::default(),
            kafka,
        })
    }

    fn log(&self, reject: &Reject) {
        if !self.errors.logs {
            return;
        }
        let (connector, task, stage, code) = (&*self.connector, self.task, reject.stage, reject.code.id);
        if self.errors.logs_messages {
            tracing::error!(connector, task, stage, code, record = %reject.origin, "record refused: {}", reject.reason);
        } else {
            tracing::error!(connector, task, stage, code, "record refused: {}", reject.reason);
        }
    }

    async fn send(&self, topic: &str, reject: Reject) -> Result<DeliveryFuture, Fault> {
        let value = self.value_of(&reject).await?;
        let mut headers = OwnedHeaders::new_with_capacity(reject.headers.len() + 10);
        for header in &reject.headers {
            headers = headers.insert(Header { key: &header.name, value: header.value.as_deref() });
        }
        if self.errors.has_headers {
            headers = self.with_context(headers, &reject);
        }
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
        record.key = reject.key.as_deref();
        record.payload = value.as_deref();
        record.timestamp = reject.timestamp_ms;
        loop {
            match self.producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(QUEUE_FULL_WAIT).await;
                }
                Err((error, _)) => return Err(self.failed(topic, &error)),
            }
        }
    }

    /// The value as it was received. A record that was refused after its conversion no longer has it: it is read again.
    async fn value_of(&self, reject: &Reject) -> Result<Option<Bytes>, Fault> {
        if reject.value.is_some() || reject.code == code::TM0752 {
            return Ok(reject.value.clone());
        }
        let (Place::Topic { topic, partition }, Some(offset)) = (&*reject.origin.place, reject.origin.mark)
        else {
            return Ok(None);
        };
        let consumer = self.kafka.reader("tidemill-dead-letters").map_err(transient)?;
        let (name, partition) = (topic.clone(), *partition);
        let found = blocking(move || read_one(&consumer, &name, partition, offset)).await;
        found.map_err(|error| self.failed(topic, &error))
    }

    fn with_context(&self, headers: OwnedHeaders, reject: &Reject) -> OwnedHeaders {
        let (topic, partition) = match &*reject.origin.place {
            Place::Topic { topic, partition } => (topic.to_string(), *partition),
            place => (place.to_string(), 0),
        };
        let class = match reject.stage {
            stage if stage == Side::Key.stage() => &self.key_class,
            stage if stage == Side::Value.stage() => &self.value_class,
            _ => TASK_CLASS,
        };
        let message = format!("{} {}", reject.code.id, reject.reason);
        let exception = "org.apache.kafka.connect.errors.DataException";
        let context = [
            ("topic", topic),
            ("partition", partition.to_string()),
            ("offset", reject.origin.mark.unwrap_or_default().to_string()),
            ("connector.name", self.connector.to_string()),
            ("task.id", self.task.to_string()),
            ("stage", reject.stage.to_owned()),
            ("class.name", class.to_owned()),
            ("exception.class.name", exception.to_owned()),
            ("exception.stacktrace", format!("{exception}: {message}\n\tat {}", reject.origin)),
            ("exception.message", message),
        ];
        context.iter().fold(headers, |headers, (name, value)| {
            let name = format!("__connect.errors.{name}");
            headers.insert(Header { key: &name, value: Some(value) })
        })
    }

    fn failed(&self, topic: &str, error: &KafkaError) -> Fault {
        let told = Error::DeadLetters { topic: topic.to_owned(), source: Reason(error.to_string()) };
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::MessageSizeTooLarge,
            ) => Fault::Denied(told.into()),
            _ => Fault::Transient(told.into()),
        }
    }
}

fn transient(error: Error) -> Fault {
    Fault::Transient(error.into())
}

/// Reads the value of one record by its offset.
fn read_one(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Bytes>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&list)?;
    const TURN_MS: u64 = 100;
    for _ in 0..ANSWER_MS_MAX / TURN_MS {
        match consumer.poll(Duration::from_millis(TURN_MS)) {
            Some(Ok(message)) if message.offset() == offset => {
                return Ok(message.payload().map(Bytes::copy_from_slice));
            }
            // It is gone by retention: the letter goes without its value.
            Some(Ok(_)) | Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(_)) | None => {}
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

#[async_trait]
impl DeadLetters for TopicDeadLetters {
    async fn put(&self, split: &Split, rejects: Rejects) -> Result<(), Fault> {
        for reject in rejects.0 {
            self.log(&reject);
            if let Some((topic, _)) = &self.errors.topic {
                let delivery = self.send(topic, reject).await?;
                self.sent.lock().entry(split.id.clone()).or_default().push(delivery);
            }
        }
        Ok(())
    }

    async fn flush(&self, extent: &Extent) -> Result<(), Fault> {
        let Some((topic, _)) = &self.errors.topic else { return Ok(()) };
        let sent = self.sent.lock().remove(&extent.split.id).unwrap_or_default();
        for delivery in sent {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(self.failed(topic, &error)),
                Err(_) => return Err(self.failed(topic, &KafkaError::Canceled)),
            }
        }
        Ok(())
    }

    async fn discard(&self, split: &Split) {
        self.sent.lock().remove(&split.id);
    }
}
