//! Partitions, their replicas, and which of these are being moved.

use axum::extract::State;
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared, cluster_of,
    links::{Links, with},
    topic_of,
};
use crate::{
    Error,
    kafka::topics::{Asked, Partition, Reassignment},
};

/// In the place of a name: all of them.
const EVERY: &str = "-";

pub(super) async fn all(State(proxy): Shared, ask: Ask) -> Answer {
    let found = topic_of(&proxy, &ask).await;
    Answer::from(found.map(|(_, topic, links)| {
        let data = topic.partitions.iter().map(|partition| shown(&topic.name, partition, &links));
        links.list("KafkaPartitionList", &["topics", &topic.name, "partitions"], data.collect())
    }))
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let id = ask.number("partition")?;
        let (_, topic, links) = topic_of(&proxy, &ask).await?;
        let partition = topic.partition(id).ok_or(Error::Http(Refused::Page))?;
        Ok(shown(&topic.name, partition, &links))
    };
    Answer::from(found.await)
}

pub(super) async fn replicas(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let id = ask.number("partition")?;
        let (_, topic, links) = topic_of(&proxy, &ask).await?;
        let partition = topic.partition(id).ok_or(Error::Http(Refused::Page))?;
        let data =
            partition.replicas.iter().map(|broker| shown_replica(&topic.name, partition, *broker, &links));
        let path = ["topics", &topic.name, "partitions", &id.to_string(), "replicas"];
        Ok(links.list("KafkaReplicaList", &path, data.collect()))
    };
    Answer::from(found.await)
}

pub(super) async fn replica(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (id, broker) = (ask.number("partition")?, ask.number("broker")?);
        let (_, topic, links) = topic_of(&proxy, &ask).await?;
        let partition = topic.partition(id).filter(|partition| partition.replicas.contains(&broker));
        let partition = partition.ok_or(Error::Http(Refused::Page))?;
        Ok(shown_replica(&topic.name, partition, broker, &links))
    };
    Answer::from(found.await)
}

/// What a broker holds.
pub(super) async fn of_broker(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let broker = ask.number("broker")?;
        let (cluster, links) = cluster_of(&proxy, &ask, Asked::All).await?;
        if !cluster.brokers.iter().any(|known| known.id == broker) {
            return Err(Error::Http(Refused::Page));
        }
        let data = cluster.topics.iter().flat_map(|topic| {
            let held = topic.partitions.iter().filter(|partition| partition.replicas.contains(&broker));
            held.map(|partition| shown_replica(&topic.name, partition, broker, &links))
        });
        let data = data.collect();
        Ok(links.list("KafkaReplicaList", &["brokers", &broker.to_string(), "partition-replicas"], data))
    };
    Answer::from(found.await)
}

/// `topics/-/partitions/-/reassignment`, `topics/t/partitions/-/reassignment`, or that of one partition.
pub(super) async fn reassignments(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (topic, partition) = (ask.named("topic"), ask.named("partition"));
        if topic == EVERY {
            let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
            let moved = proxy.kafka.reassignments(None).await?;
            return Ok(shown_reassignments(&moved, topic, &links));
        }
        let (_, found, links) = topic_of(&proxy, &ask).await?;
        if partition == EVERY {
            let ids = found.partitions.iter().map(|partition| partition.id).collect();
            let moved = proxy.kafka.reassignments(Some((topic, ids))).await?;
            return Ok(shown_reassignments(&moved, topic, &links));
        }
        let id = ask.number("partition")?;
        let moved = proxy.kafka.reassignments(Some((topic, vec![id]))).await?;
        moved.first().map(|moved| shown_reassignment(moved, &links)).ok_or(Error::Http(Refused::Page))
    };
    Answer::from(found.await)
}

fn shown(topic: &str, partition: &Partition, links: &Links) -> Json {
    let id = partition.id.to_string();
    let path = ["topics", topic, "partitions", &id];
    let below = |last: &[&str]| links.related(&[&path, last].concat());
    let leader = partition.leader.map(|leader| below(&["replicas", &leader.to_string()]));
    let own = json!({
        "topic_name": topic,
        "partition_id": partition.id,
        "leader": leader,
        "replicas": below(&["replicas"]),
        "reassignment": below(&["reassignment"]),
    });
    let name = [("topic", Some(topic)), ("partition", Some(id.as_str()))];
    with(links.resource("KafkaPartition", &path, &name), own)
}

fn shown_replica(topic: &str, partition: &Partition, broker: i32, links: &Links) -> Json {
    let (id, holder) = (partition.id.to_string(), broker.to_string());
    let own = json!({
        "topic_name": topic,
        "partition_id": partition.id,
        "broker_id": broker,
        "is_leader": partition.leader == Some(broker),
        "is_in_sync": partition.in_sync.contains(&broker),
        "broker": links.related(&["brokers", &holder]),
    });
    let path = ["topics", topic, "partitions", &id, "replicas", &holder];
    let name = [("topic", Some(topic)), ("partition", Some(id.as_str())), ("replica", Some(holder.as_str()))];
    with(links.resource("KafkaReplica", &path, &name), own)
}

fn shown_reassignments(moved: &[Reassignment], topic: &str, links: &Links) -> Json {
    let data = moved.iter().map(|moved| shown_reassignment(moved, links)).collect();
    links.list("KafkaReassignmentList", &["topics", topic, "partitions", EVERY, "reassignment"], data)
}

fn shown_reassignment(moved: &Reassignment, links: &Links) -> Json {
    let (topic, id) = (moved.topic.as_str(), moved.partition.to_string());
    let own = json!({
        "topic_name": topic,
        "partition_id": moved.partition,
        "adding_replicas": moved.adding,
        "removing_replicas": moved.removing,
        "replicas": links.related(&["topics", topic, "partitions", &id, "replicas"]),
    });
    let name = [("topic", Some(topic)), ("partition", Some(id.as_str())), ("reassignment", None)];
    with(
        links.resource("KafkaReassignment", &["topics", topic, "partitions", &id, "reassignment"], &name),
        own,
    )
}
