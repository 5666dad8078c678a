//! A sink connector's offsets are those of its consumer group: shown, altered and reset as KIP-875 says.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer},
    error::KafkaError,
};
use serde_json::{Value, json};

use crate::{
    Error,
    kafka::{self, ANSWER_MS_MAX},
    store::{blocking, configs::Target},
};

use super::Worker;

const ANSWER: Duration = Duration::from_millis(ANSWER_MS_MAX);

/// One entry of the offsets API; `offset` is `None` where the partition's offset is to be forgotten.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    topic: String,
    partition: i32,
    offset: Option<i64>,
}

impl Worker {
    /// The consumer group of a connector: `connect-NAME`, or what `consumer.override.group.id` says.
    pub(super) fn group_id(&self, name: &str) -> Result<String, Error> {
        let config = self.config(name)?;
        let overridden = config.get("consumer.override.group.id").map(|group| group.trim().to_owned());
        Ok(overridden.filter(|group| !group.is_empty()).unwrap_or_else(|| format!("connect-{name}")))
    }

    /// `GET /connectors/NAME/offsets`.
    pub async fn offsets(&self, name: &str) -> Result<Value, Error> {
        let group_id = self.group_id(name)?;
        let chooser = Chooser::of(&self.config(name)?);
        let consumer = self.journal.kafka.reader(&group_id)?;
        let found = blocking(move || {
            let topics = kafka::topics(&consumer)?;
            let mut asked = TopicPartitionList::new();
            for (topic, partitions_count) in topics.iter().filter(|(topic, _)| chooser.takes(topic)) {
                asked.add_partition_range(topic, 0, partitions_count - 1);
            }
            if asked.count() == 0 {
                return Ok(asked);
            }
            kafka::patiently(|left| consumer.committed_offsets(asked.clone(), left))
        });
        let found = found
            .await
            .map_err(self.journal.kafka.failed(format!("tell the offsets of group {group_id}")))?;
        let shown = found.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(json!({
                "partition": {"kafka_topic": element.topic(), "kafka_partition": element.partition()},
                "offset": {"kafka_offset": offset},
            })),
            _ => None,
        });
        Ok(json!({"offsets": shown.collect::<Vec<_>>()}))
    }

    /// `PATCH /connectors/NAME/offsets`: only in state STOPPED.
    pub async fn alter_offsets(&self, name: &str, body: &Value) -> Result<Value, Error> {
        let _turn = self.turn.lock().await;
        self.refuse_unless_stopped(name)?;
        let entries = entries(body).map_err(|reason| Error::Request { reason })?;
        self.commit(name, entries).await?;
        Ok(json!({"message": "The offsets for this connector have been altered successfully"}))
    }

    /// `DELETE /connectors/NAME/offsets`: only in state STOPPED. The group is deleted, or, where the brokers cannot,
    /// set back to each partition's beginning, which is where a group without offsets starts.
    pub async fn reset_offsets(&self, name: &str) -> Result<Value, Error> {
        let _turn = self.turn.lock().await;
        self.refuse_unless_stopped(name)?;
        let group_id = self.group_id(name)?;
        if let Err(error) = self.delete_group(&group_id).await {
            tracing::debug!(%error, group_id, "the group cannot be deleted; it is set back instead");
            let shown = self.offsets(name).await?;
            let forget = |entry: Value| {
                let partition = &entry["partition"];
                json!({"partition": partition, "offset": null})
            };
            let all: Vec<Value> = shown["offsets"].as_array().cloned().unwrap_or_default();
            if !all.is_empty() {
                let body = json!({"offsets": all.into_iter().map(forget).collect::<Vec<_>>()});
                let entries = entries(&body).map_err(|reason| Error::Request { reason })?;
                self.commit(name, entries).await?;
            }
        }
        Ok(json!({"message": "The offsets for this connector have been reset successfully"}))
    }

    async fn delete_group(&self, group_id: &str) -> Result<(), KafkaError> {
        let admin: AdminClient<DefaultClientContext> = self.journal.kafka.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        let results = admin.delete_groups(&[group_id], &options).await?;
        drop(tokio::task::spawn_blocking(move || drop(admin)));
        match results.into_iter().next() {
            Some(Err((_, rdkafka::error::RDKafkaErrorCode::GroupIdNotFound))) | Some(Ok(_)) | None => Ok(()),
            Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
        }
    }

    fn refuse_unless_stopped(&self, name: &str) -> Result<(), Error> {
        match self.connectors.lock().get(name).map(|connector| connector.target) {
            None => Err(Error::connector_not_found(name)),
            Some(Target::Stopped) => Ok(()),
            Some(_) => Err(Error::NotStopped { name: name.to_owned() }),
        }
    }

    async fn commit(&self, name: &str, entries: Vec<Entry>) -> Result<(), Error> {
        let group_id = self.group_id(name)?;
        let consumer = self.journal.kafka.reader(&group_id)?;
        let known = blocking(move || {
            let topics = kafka::topics(&consumer);
            (consumer, topics)
        });
        let (consumer, topics) = known.await;
        let topics = topics.map_err(self.journal.kafka.failed("list its topics"))?;
        for entry in &entries {
            if topics.get(&entry.topic).is_none_or(|partitions_count| entry.partition >= *partitions_count) {
                let reason = format!("there is no partition {} of topic {}", entry.partition, entry.topic);
                return Err(Error::Request { reason });
            }
        }
        let committed = blocking(move || {
            let mut list = TopicPartitionList::new();
            for entry in &entries {
                let offset = match entry.offset {
                    Some(offset) => offset,
                    None => {
                        kafka::patiently(|left| {
                            consumer.fetch_watermarks(&entry.topic, entry.partition, left)
                        })?
                        .0
                    }
                };
                list.add_partition_offset(&entry.topic, entry.partition, Offset::Offset(offset))?;
            }
            kafka::patiently(|_| consumer.commit(&list, CommitMode::Sync))
        });
        committed.await.map_err(self.journal.kafka.failed(format!("alter the offsets of group {group_id}")))
    }
}

/// Which topics a connector consumes.
pub(super) enum Chooser {
    List(Vec<String>),
    Pattern(Option<regex::Regex>),
}

impl Chooser {
    pub fn of(config: &crate::config::Config) -> Self {
        let list = config.get("topics").map(String::as_str).unwrap_or_default();
        if list.trim().is_empty() {
            let pattern = config.get("topics.regex").map(String::as_str).unwrap_or_default();
            return Chooser::Pattern(whole(pattern));
        }
        Chooser::List(list.split(',').map(|topic| topic.trim().to_owned()).collect())
    }

    pub fn takes(&self, topic: &str) -> bool {
        match self {
            Chooser::List(topics) => topics.iter().any(|own| own == topic),
            Chooser::Pattern(pattern) => pattern.as_ref().is_some_and(|pattern| pattern.is_match(topic)),
        }
    }
}

/// Whether `topics.regex` takes a topic; as in Java, the whole name has to match.
pub fn topic_matches(pattern: &str, topic: &str) -> bool {
    whole(pattern).is_some_and(|pattern| pattern.is_match(topic))
}

fn whole(pattern: &str) -> Option<regex::Regex> {
    regex::Regex::new(&format!("^(?:{})$", pattern.trim())).ok()
}

/// Reads `{"offsets":[{"partition":{"kafka_topic","kafka_partition"},"offset":{"kafka_offset"}}]}`.
fn entries(body: &Value) -> Result<Vec<Entry>, String> {
    let offsets = body.get("offsets").and_then(Value::as_array).filter(|offsets| !offsets.is_empty());
    let offsets = offsets.ok_or("Partitions / offsets need to be provided for an alter offsets request")?;
    offsets.iter().map(entry).collect()
}

fn entry(value: &Value) -> Result<Entry, String> {
    let wrong = || {
        format!(
            "{value} is not an offset of a sink connector: it has the form {{\"partition\":{{\"kafka_topic\":\"t\",\
             \"kafka_partition\":0}},\"offset\":{{\"kafka_offset\":5}}}}"
        )
    };
    // Connect takes numbers written as text too.
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    let partition = value.get("partition").ok_or_else(wrong)?;
    let topic = partition.get("kafka_topic").and_then(Value::as_str).ok_or_else(wrong)?;
    let number_of = partition.get("kafka_partition").and_then(number).ok_or_else(wrong)?;
    let offset = match value.get("offset") {
        None | Some(Value::Null) => None,
        Some(offset) => {
            let offset = offset.get("kafka_offset").and_then(number).ok_or_else(wrong)?;
            Some(Some(offset).filter(|offset| *offset >= 0).ok_or_else(wrong)?)
        }
    };
    let partition = i32::try_from(number_of).ok().filter(|partition| *partition >= 0).ok_or_else(wrong)?;
    Ok(Entry { topic: topic.to_owned(), partition, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_the_sink_shape_only() {
        let read = |text: &str| entries(&serde_json::from_str(text).unwrap());
        let good = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"1"},"offset":{"kafka_offset":5}},
            {"partition":{"kafka_topic":"t","kafka_partition":2},"offset":null}]}"#;
        let at = |partition, offset| Entry { topic: "t".to_owned(), partition, offset };
        assert_eq!(read(good), Ok(vec![at(1, Some(5)), at(2, None)]));
        assert!(read(r#"{"offsets":[]}"#).unwrap_err().contains("need to be provided"));
        for bad in ["{\"partition\":{}}", "{\"partition\":{\"kafka_topic\":\"t\",\"kafka_partition\":-1}}"] {
            let error = read(&format!("{{\"offsets\":[{bad}]}}")).unwrap_err();
            assert!(error.contains("is not an offset of a sink connector"), "{error}");
        }
    }
}
