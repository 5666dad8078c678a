//! Topics: listed, made, grown and deleted.

use axum::extract::State;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{integer, member, needed, only},
    cluster_of,
    links::{Links, with},
    topic_of,
};
use crate::{
    Error,
    http::Reply,
    kafka::{
        acls::{OPERATIONS, word},
        topics::{Asked, NewTopic, Topic},
    },
};

/// How often a topic that was just made is looked for: other brokers learn of it a moment later.
const TRIES: u32 = 50;

pub(super) async fn all(State(proxy): Shared, ask: Ask) -> Answer {
    let found = cluster_of(&proxy, &ask, Asked::All).await;
    Answer::from(found.map(|(cluster, links)| {
        let data = cluster.topics.iter().map(|topic| shown(topic, &links));
        links.list("KafkaTopicList", &["topics"], data.collect())
    }))
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = topic_of(&proxy, &ask).await;
    Answer::from(found.map(|(_, topic, links)| shown(&topic, &links)))
}

pub(super) async fn create(State(proxy): Shared, ask: Ask) -> Answer {
    let made = async {
        let new = asked_for(&ask)?;
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        proxy.kafka.create_topic(&new).await?;
        proxy.producer.forget(&new.name);
        if new.validate_only {
            // There is nothing to be shown but what was asked for.
            let replicas = new.assignments.first().map(|(_, brokers)| brokers.len());
            let factor =
                new.replication_factor.map_or(replicas.unwrap_or(0), |factor| factor.max(0) as usize);
            let count = new.partitions_count.map_or(new.assignments.len(), |count| count.max(0) as usize);
            return Ok(Reply::from(shown_as(&new.name, false, factor, count, None, &links)));
        }
        for _ in 0..TRIES {
            if let Some(topic) = proxy.kafka.topic(&new.name).await? {
                let location = links.url(&["topics", &new.name]);
                return Ok(Reply::created(Some(shown(&topic, &links)), location));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Err(Error::refused(3, None))
    };
    Answer(made.await)
}

fn asked_for(ask: &Ask) -> Result<NewTopic, Error> {
    const MEMBERS: [&str; 6] = [
        "topic_name",
        "partitions_count",
        "replication_factor",
        "replicas_assignments",
        "configs",
        "validate_only",
    ];
    let body = ask.object(&MEMBERS)?;
    let mut new = NewTopic {
        name: needed(&body, "topic_name", Json::as_str)?.to_owned(),
        partitions_count: member(&body, "partitions_count", integer)?,
        replication_factor: member(&body, "replication_factor", |json| i16::try_from(json.as_i64()?).ok())?,
        validate_only: member(&body, "validate_only", Json::as_bool)?.unwrap_or(false),
        ..NewTopic::default()
    };
    for assignment in member(&body, "replicas_assignments", Json::as_array)?.into_iter().flatten() {
        only(assignment, &["partition_id", "broker_ids"])?;
        let ids = |json: &Json| json.as_array()?.iter().map(integer).collect::<Option<Vec<i32>>>();
        let partition = needed(assignment, "partition_id", integer)?;
        new.assignments.push((partition, needed(assignment, "broker_ids", ids)?));
    }
    for config in member(&body, "configs", Json::as_array)?.into_iter().flatten() {
        only(config, &["name", "value"])?;
        let name = needed(config, "name", Json::as_str)?.to_owned();
        new.configs.push((name, member(config, "value", |value| Some(text(value)))?));
    }
    Ok(new)
}

/// A value of a setting, however it is written.
pub(super) fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) async fn grow(State(proxy): Shared, ask: Ask) -> Answer {
    let grown = async {
        let body = ask.object(&["partitions_count"])?;
        let count = needed(&body, "partitions_count", integer)?;
        let (_, topic, links) = topic_of(&proxy, &ask).await?;
        proxy.kafka.grow_topic(&topic.name, count).await?;
        proxy.producer.forget(&topic.name);
        // Asked at once, a broker may still tell how many there were.
        let count = usize::try_from(count).unwrap_or_default();
        let replication_factor = topic.replication_factor();
        Ok(shown_as(&topic.name, topic.is_internal, replication_factor, count, topic.operations, &links))
    };
    Answer::from(grown.await)
}

pub(super) async fn delete(State(proxy): Shared, ask: Ask) -> Answer {
    let deleted = async {
        cluster_of(&proxy, &ask, Asked::None).await?;
        let name = ask.named("topic");
        proxy.kafka.delete_topic(name).await?;
        proxy.producer.forget(name);
        Ok(Reply::nothing())
    };
    Answer(deleted.await)
}

fn shown(topic: &Topic, links: &Links) -> Json {
    let count = topic.partitions.len();
    shown_as(&topic.name, topic.is_internal, topic.replication_factor(), count, topic.operations, links)
}

fn shown_as(
    name: &str,
    is_internal: bool,
    replication_factor: usize,
    partitions_count: usize,
    operations: Option<i32>,
    links: &Links,
) -> Json {
    // A bit for each number; those that the broker was not asked for are none.
    let operations = operations.filter(|bits| *bits != i32::MIN).unwrap_or(0);
    let allowed =
        (0..31i8).filter(|number| operations & (1 << number) != 0).map(|number| word(OPERATIONS, number));
    let own = json!({
        "topic_name": name,
        "is_internal": is_internal,
        "replication_factor": replication_factor,
        "partitions_count": partitions_count,
        "partitions": links.related(&["topics", name, "partitions"]),
        "configs": links.related(&["topics", name, "configs"]),
        "partition_reassignments": links.related(&["topics", name, "partitions", "-", "reassignment"]),
        "authorized_operations": allowed.collect::<Vec<_>>(),
    });
    with(links.resource("KafkaTopic", &["topics", name], &[("topic", Some(name))]), own)
}
