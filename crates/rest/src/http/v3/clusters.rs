//! The cluster and its brokers.

use axum::extract::State;
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared, cluster_of,
    links::{Links, list, with},
};
use crate::{
    Error,
    kafka::topics::{Asked, Broker, Cluster},
};

pub(super) async fn all(State(proxy): Shared, ask: Ask) -> Answer {
    let found = proxy.kafka.metadata(Asked::None).await;
    Answer::from(found.map(|cluster| {
        let links = Links::new(&ask.base, &cluster.id);
        list("KafkaClusterList", links.clusters(), vec![shown(&cluster, &links)])
    }))
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = cluster_of(&proxy, &ask, Asked::None).await;
    Answer::from(found.map(|(cluster, links)| shown(&cluster, &links)))
}

pub(super) async fn brokers(State(proxy): Shared, ask: Ask) -> Answer {
    let found = cluster_of(&proxy, &ask, Asked::None).await;
    Answer::from(found.map(|(cluster, links)| {
        let data = cluster.brokers.iter().map(|broker| shown_broker(broker, &links));
        links.list("KafkaBrokerList", &["brokers"], data.collect())
    }))
}

pub(super) async fn broker(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let id = ask.number("broker")?;
        let (cluster, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let broker = cluster.brokers.iter().find(|broker| broker.id == id);
        broker.map(|broker| shown_broker(broker, &links)).ok_or(Error::Http(Refused::Page))
    };
    Answer::from(found.await)
}

fn shown(cluster: &Cluster, links: &Links) -> Json {
    let controller = cluster.controller.map(|id| links.related(&["brokers", &id.to_string()]));
    let own = json!({
        "controller": controller,
        "acls": links.related(&["acls"]),
        "brokers": links.related(&["brokers"]),
        "broker_configs": links.related(&["broker-configs"]),
        "consumer_groups": links.related(&["consumer-groups"]),
        "topics": links.related(&["topics"]),
        "partition_reassignments": links.related(&["topics", "-", "partitions", "-", "reassignment"]),
    });
    with(links.resource("KafkaCluster", &[], &[]), own)
}

fn shown_broker(broker: &Broker, links: &Links) -> Json {
    let id = broker.id.to_string();
    let own = json!({
        "broker_id": broker.id,
        "host": broker.host,
        "port": broker.port,
        "rack": broker.rack,
        "configs": links.related(&["brokers", &id, "configs"]),
        "partition_replicas": links.related(&["brokers", &id, "partition-replicas"]),
    });
    with(links.resource("KafkaBroker", &["brokers", &id], &[("broker", Some(&id))]), own)
}
