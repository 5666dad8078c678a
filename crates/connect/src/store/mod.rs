//! What a worker remembers, in the internal topics and in the form of Kafka Connect's own workers: keys are text,
//! values JSON without schema (its internal `JsonConverter` with `schemas.enable=false`).
//! Source: `KafkaConfigBackingStore`, `KafkaStatusBackingStore` of Kafka 4.x.
//!
//! Map: `configs` `connect-configs` record by record; `status` `connect-status`. `connect-offsets` holds the offsets
//! of source connectors: this part has none, and only makes sure that the topic is there.

pub(crate) mod configs;
pub(crate) mod status;

use std::time::Duration;

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, Producer},
};
use serde_json::Value;

use crate::{
    Error, Options,
    kafka::{self, Kafka, Wanted},
};
use configs::Configs;
use status::Statuses;

/// Writes to the internal topics; each write is in Kafka when it returns.
pub(crate) struct Journal {
    pub kafka: Kafka,
    pub producer: FutureProducer,
    config_topic: String,
    status_topic: String,
}

/// What was read back at the start.
pub(crate) struct Remembered {
    pub configs: Configs,
    pub statuses: Statuses,
    pub cluster_id: Option<String>,
}

impl Journal {
    /// Creates the topics that are missing and reads the others to their end.
    pub async fn open(options: &Options) -> Result<(Self, Remembered), Error> {
        let kafka = Kafka { servers: options.kafka.clone(), properties: options.kafka_properties.clone() };
        let consumer = kafka.reader(&options.group_id)?;
        let (consumer, present, cluster_id) = blocking(move || {
            let present = kafka::topics(&consumer);
            let cluster_id = consumer.client().fetch_cluster_id(Duration::from_millis(kafka::ANSWER_MS_MAX));
            (consumer, present, cluster_id)
        })
        .await;
        let present = present.map_err(kafka.failed("list its topics"))?;
        if present.get(&options.config_topic).is_some_and(|count| *count != 1) {
            let reason = "it has more than one partition, and configurations need one order".to_owned();
            return Err(Error::InternalTopic { topic: options.config_topic.clone(), reason });
        }
        let wanted = wanted(options);
        let created = kafka.create_missing(&wanted, &present).await?;
        let read: Vec<(String, i32)> = [&options.config_topic, &options.status_topic]
            .into_iter()
            .filter(|topic| !created.contains(topic))
            .filter_map(|topic| Some((topic.clone(), *present.get(topic)?)))
            .collect();
        let (configs, statuses) = read_back(&kafka, consumer, read, &options.config_topic).await?;
        let journal = Self {
            producer: kafka.producer()?,
            kafka,
            config_topic: options.config_topic.clone(),
            status_topic: options.status_topic.clone(),
        };
        Ok((journal, Remembered { configs, statuses, cluster_id }))
    }

    pub async fn put_config(&self, key: &str, value: Option<Value>) -> Result<(), Error> {
        self.put(&self.config_topic, key, value).await
    }

    pub async fn put_status(&self, key: &str, value: Option<Value>) -> Result<(), Error> {
        self.put(&self.status_topic, key, value).await
    }

    async fn put(&self, topic: &str, key: &str, value: Option<Value>) -> Result<(), Error> {
        let value = value.map(|value| value.to_string());
        let sent = kafka::send(&self.producer, topic, key, value.as_deref().map(str::as_bytes)).await;
        sent.map_err(self.kafka.failed(format!("write {key} to {topic}")))
    }

    /// Waits until everything that was sent without waiting has arrived.
    pub async fn flush(&self) {
        let producer = self.producer.clone();
        const FLUSH_MS_MAX: u64 = 2_000;
        if let Err(error) = blocking(move || producer.flush(Duration::from_millis(FLUSH_MS_MAX))).await {
            tracing::warn!(%error, "some states of connectors did not reach the status topic");
        }
    }
}

fn wanted(options: &Options) -> [Wanted<'_>; 3] {
    let topic = |name, partitions_count| Wanted {
        name,
        partitions_count,
        replication_factor: options.replication_factor,
        compacted: true,
    };
    [
        topic(&options.config_topic, 1),
        topic(&options.offset_topic, options.offset_partitions_count),
        topic(&options.status_topic, options.status_partitions_count),
    ]
}

async fn read_back(
    kafka: &Kafka,
    consumer: BaseConsumer,
    topics: Vec<(String, i32)>,
    config_topic: &str,
) -> Result<(Configs, Statuses), Error> {
    if topics.is_empty() {
        drop(tokio::task::spawn_blocking(move || drop(consumer)));
        return Ok(<_>::default());
    }
    let config_topic = config_topic.to_owned();
    let (configs, statuses, read) = blocking(move || {
        let (mut configs, mut statuses) = (Configs::default(), Statuses::default());
        let read = kafka::read_to_end(&consumer, &topics, |topic, entry| {
            let value = entry.value.as_deref().map(serde_json::from_slice::<Value>);
            let value = match value.transpose() {
                Ok(value) => value,
                Err(error) => {
                    tracing::warn!(topic, key = entry.key, %error, "a record of an internal topic is not JSON");
                    return;
                }
            };
            if topic == config_topic { configs.take(&entry.key, value) } else { statuses.take(&entry.key, value) }
        });
        // Closing a consumer joins its threads; the worker need not wait for that.
        drop(tokio::task::spawn_blocking(move || drop(consumer)));
        (configs, statuses, read)
    })
    .await;
    read.map_err(kafka.failed("read its internal topics"))?;
    Ok((configs, statuses))
}

/// Runs a call of librdkafka that blocks, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.expect("a blocking call does not panic and is not cancelled")
}

#[cfg(test)]
mod tests;
