//! Consumer groups: their members, what these read, and how far they are behind.

use axum::extract::State;
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared, cluster_of,
    links::{Links, with},
};
use crate::{
    Error,
    kafka::{
        groups::{Group, Lag, Member},
        topics::Asked,
    },
    service::Proxy,
};

async fn group_of(proxy: &Proxy, ask: &Ask) -> Result<(Group, Links), Error> {
    let (_, links) = cluster_of(proxy, ask, Asked::None).await?;
    Ok((proxy.kafka.group(ask.named("group")).await?, links))
}

fn member_of<'a>(group: &'a Group, ask: &Ask) -> Result<&'a Member, Error> {
    let id = ask.named("consumer");
    group.members.iter().find(|member| member.id == id).ok_or(Error::Http(Refused::Page))
}

pub(super) async fn all(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let data = proxy.kafka.groups().await?.iter().map(|group| shown(group, &links)).collect();
        Ok(links.list("KafkaConsumerGroupList", &["consumer-groups"], data))
    };
    Answer::from(found.await)
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = group_of(&proxy, &ask).await;
    Answer::from(found.map(|(group, links)| shown(&group, &links)))
}

pub(super) async fn consumers(State(proxy): Shared, ask: Ask) -> Answer {
    let found = group_of(&proxy, &ask).await;
    Answer::from(found.map(|(group, links)| {
        let data = group.members.iter().map(|member| shown_member(&group, member, &links));
        let path = ["consumer-groups", &group.id, "consumers"];
        links.list("KafkaConsumerList", &path, data.collect())
    }))
}

pub(super) async fn consumer(State(proxy): Shared, ask: Ask) -> Answer {
    let found = group_of(&proxy, &ask).await;
    Answer::from(found.and_then(|(group, links)| {
        member_of(&group, &ask).map(|member| shown_member(&group, member, &links))
    }))
}

pub(super) async fn assignments(State(proxy): Shared, ask: Ask) -> Answer {
    let found = group_of(&proxy, &ask).await;
    Answer::from(found.and_then(|(group, links)| {
        let member = member_of(&group, &ask)?;
        let data = member.assigned.iter().map(|place| shown_assignment(&group, member, place, &links));
        let path = ["consumer-groups", &group.id, "consumers", &member.id, "assignments"];
        Ok(links.list("KafkaConsumerAssignmentList", &path, data.collect()))
    }))
}

pub(super) async fn assignment(State(proxy): Shared, ask: Ask) -> Answer {
    let found = group_of(&proxy, &ask).await;
    Answer::from(found.and_then(|(group, links)| {
        let place = (ask.named("topic").to_owned(), ask.number("partition")?);
        let member = member_of(&group, &ask)?;
        let found =
            member.assigned.iter().find(|known| **known == place).ok_or(Error::Http(Refused::Page))?;
        Ok(shown_assignment(&group, member, found, &links))
    }))
}

pub(super) async fn lags(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (group, links) = group_of(&proxy, &ask).await?;
        let lags = proxy.kafka.lags(&group).await?;
        let data = lags.iter().map(|lag| shown_lag(&group, lag, &links)).collect();
        Ok(links.list("KafkaConsumerLagList", &["consumer-groups", &group.id, "lags"], data))
    };
    Answer::from(found.await)
}

pub(super) async fn lag(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (topic, partition) = (ask.named("topic"), ask.number("partition")?);
        let (group, links) = group_of(&proxy, &ask).await?;
        let lags = proxy.kafka.lags(&group).await?;
        let lag = lags.iter().find(|lag| lag.topic == topic && lag.partition == partition);
        Ok(shown_lag(&group, lag.ok_or(Error::Http(Refused::Page))?, &links))
    };
    Answer::from(found.await)
}

pub(super) async fn lag_summary(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (group, links) = group_of(&proxy, &ask).await?;
        let lags = proxy.kafka.lags(&group).await?;
        let most = lags.iter().rev().max_by_key(|lag| lag.lag()).ok_or(Error::Http(Refused::Page))?;
        Ok(shown_summary(&group, most, lags.iter().map(Lag::lag).sum(), &links))
    };
    Answer::from(found.await)
}

fn shown(group: &Group, links: &Links) -> Json {
    let below = |last: &str| links.related(&["consumer-groups", &group.id, last]);
    let own = json!({
        "consumer_group_id": group.id,
        "is_simple": group.is_simple,
        "partition_assignor": group.assignor,
        "state": group.state,
        "coordinator": links.related(&["brokers", &group.coordinator.to_string()]),
        "consumers": below("consumers"),
        "lag_summary": below("lag-summary"),
    });
    let name = [("consumer-group", Some(group.id.as_str()))];
    with(links.resource("KafkaConsumerGroup", &["consumer-groups", &group.id], &name), own)
}

fn shown_member(group: &Group, member: &Member, links: &Links) -> Json {
    let path = ["consumer-groups", &group.id, "consumers", &member.id];
    let own = json!({
        "consumer_group_id": group.id,
        "consumer_id": member.id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "assignments": links.related(&[&path[..], &["assignments"]].concat()),
    });
    let name = [("consumer-group", Some(group.id.as_str())), ("consumer", Some(member.id.as_str()))];
    with(links.resource("KafkaConsumer", &path, &name), own)
}

fn shown_assignment(group: &Group, member: &Member, place: &(String, i32), links: &Links) -> Json {
    let (topic, id) = (place.0.as_str(), place.1.to_string());
    let own = json!({
        "consumer_group_id": group.id,
        "consumer_id": member.id,
        "topic_name": topic,
        "partition_id": place.1,
        "partition": links.related(&["topics", topic, "partitions", &id]),
        "lag": links.related(&["consumer-groups", &group.id, "lags", topic, "partitions", &id]),
    });
    let path =
        ["consumer-groups", &group.id, "consumers", &member.id, "assignments", topic, "partitions", &id];
    let name = [
        ("consumer-group", Some(group.id.as_str())),
        ("consumer", Some(member.id.as_str())),
        ("assignment", Some(topic)),
        ("partition", Some(id.as_str())),
    ];
    with(links.resource("KafkaConsumerAssignment", &path, &name), own)
}

/// Who reads a partition: its ids, empty where nobody does.
fn reader<'a>(group: &'a Group, lag: &Lag) -> (&'a str, Option<&'a str>, &'a str) {
    let member = lag.member.and_then(|row| group.members.get(row));
    member.map_or(("", None, ""), |member| (&member.id, member.instance_id.as_deref(), &member.client_id))
}

fn shown_lag(group: &Group, lag: &Lag, links: &Links) -> Json {
    let (consumer_id, instance_id, client_id) = reader(group, lag);
    let own = json!({
        "consumer_group_id": group.id,
        "topic_name": lag.topic,
        "partition_id": lag.partition,
        "current_offset": lag.committed,
        "log_end_offset": lag.end,
        "lag": lag.lag(),
        "consumer_id": consumer_id,
        "instance_id": instance_id,
        "client_id": client_id,
    });
    let id = lag.partition.to_string();
    let path = ["consumer-groups", &group.id, "lags", &lag.topic, "partitions", &id];
    let name = [
        ("consumer-group", Some(group.id.as_str())),
        ("lag", Some(lag.topic.as_str())),
        ("partition", Some(id.as_str())),
    ];
    with(links.resource("KafkaConsumerLag", &path, &name), own)
}

fn shown_summary(group: &Group, most: &Lag, total: i64, links: &Links) -> Json {
    let (consumer_id, instance_id, client_id) = reader(group, most);
    let own = json!({
        "consumer_group_id": group.id,
        "max_lag_consumer_id": consumer_id,
        "max_lag_instance_id": instance_id,
        "max_lag_client_id": client_id,
        "max_lag_topic_name": most.topic,
        "max_lag_partition_id": most.partition,
        "max_lag": most.lag(),
        "total_lag": total,
        "max_lag_consumer": links.related(&["consumer-groups", &group.id, "consumers", consumer_id]),
        "max_lag_partition": links.related(&["topics", &most.topic, "partitions", &most.partition.to_string()]),
    });
    let name = [("consumer-group", Some(group.id.as_str())), ("lag-summary", None)];
    let path = ["consumer-groups", &group.id, "lag-summary"];
    with(links.resource("KafkaConsumerGroupLagSummary", &path, &name), own)
}
