//! Topics, partitions and brokers, as they are.

use axum::extract::State;
use serde_json::{Map, Value as Json, json};

use super::{Answer, Ask, Shared};
use crate::{
    Error,
    kafka::{
        configs::Owner,
        topics::{Asked, Partition, Topic},
    },
    service::Proxy,
};

async fn topic_of(proxy: &Proxy, ask: &Ask) -> Result<Topic, Error> {
    proxy.kafka.topic(ask.named("topic")).await?.ok_or(Error::TopicNotFound)
}

pub(super) async fn brokers(State(proxy): Shared) -> Answer {
    let found = proxy.kafka.metadata(Asked::None).await;
    Answer::from(found.map(|cluster| {
        let ids: Vec<i32> = cluster.brokers.iter().map(|broker| broker.id).collect();
        json!({ "brokers": ids })
    }))
}

pub(super) async fn all(State(proxy): Shared) -> Answer {
    let found = proxy.kafka.metadata(Asked::All).await;
    Answer::from(found.map(|cluster| cluster.topics.into_iter().map(|topic| topic.name).collect()))
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let topic = topic_of(&proxy, &ask).await?;
        let configs = proxy.kafka.configs(&Owner::Topic(topic.name.clone()), None).await?;
        let configs = configs.into_iter().map(|config| (config.name, Json::from(config.value)));
        let partitions: Vec<Json> = topic.partitions.iter().map(shown).collect();
        let configs = Json::Object(configs.collect::<Map<_, _>>());
        Ok(json!({ "name": topic.name, "configs": configs, "partitions": partitions }))
    };
    Answer::from(found.await)
}

pub(super) async fn partitions(State(proxy): Shared, ask: Ask) -> Answer {
    let found = topic_of(&proxy, &ask).await;
    Answer::from(found.map(|topic| topic.partitions.iter().map(shown).collect()))
}

pub(super) async fn partition(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let id = ask.number("partition")?;
        let topic = topic_of(&proxy, &ask).await?;
        topic.partition(id).map(shown).ok_or(Error::PartitionNotFound)
    };
    Answer::from(found.await)
}

pub(super) async fn offsets(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let id = ask.number("partition")?;
        let topic = topic_of(&proxy, &ask).await?;
        let (first, next) = proxy.kafka.ends(&topic, id).await?;
        Ok(json!({ "beginning_offset": first, "end_offset": next }))
    };
    Answer::from(found.await)
}

fn shown(partition: &Partition) -> Json {
    let replicas = partition.replicas.iter().map(|broker| {
        json!({
            "broker": broker,
            "leader": partition.leader == Some(*broker),
            "in_sync": partition.in_sync.contains(broker),
        })
    });
    json!({
        "partition": partition.id,
        "leader": partition.leader.unwrap_or(-1),
        "replicas": replicas.collect::<Vec<_>>(),
    })
}
