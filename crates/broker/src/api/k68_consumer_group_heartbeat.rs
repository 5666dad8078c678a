//! ConsumerGroupHeartbeat (key 68), versions 0-1 (KIP-848): joining, staying in and leaving a consumer group.
//! v1 a regular expression for the topics, and the client makes its own id (v0: the broker gives it one).
//! The answer comes when what follows from the heartbeat is in the log.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_response::{Assignment, TopicPartitions},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::{
        configs::Setting,
        consumer::{Answer, Heartbeat, Partitions},
        pace::interval_ms,
    },
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: ConsumerGroupHeartbeatRequest::KEY,
    name: "ConsumerGroupHeartbeat",
    versions: 0..=1,
    shape: &shapes::CONSUMER_GROUP_HEARTBEAT,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "assignors `uniform` and `range`; static members; regular expressions in the syntax of RE2; the next \
            heartbeat is due sooner while the group settles",
};

async fn act(
    broker: Arc<Broker>,
    request: ConsumerGroupHeartbeatRequest,
    caller: Caller,
) -> ConsumerGroupHeartbeatResponse {
    if let Err(error) = may(&broker, &caller, &request) {
        return ConsumerGroupHeartbeatResponse::default().with_error_code(error.code());
    }
    let group_id = request.group_id.clone();
    let beat = Heartbeat { sight: broker.sight(&caller), ..heartbeat(request, &caller) };
    match broker.groups.consumer_heartbeat(&group_id, beat).await {
        Ok(answer) => answered(answer, broker.groups.setting(&group_id, Setting::HeartbeatInterval)),
        Err(refused) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(refused.error.code())
            .with_error_message(Some(StrBytes::from_string(refused.reason))),
    }
}

/// A topic that the caller may not see makes the whole heartbeat fail, as in Kafka.
fn may(
    broker: &Broker,
    caller: &Caller,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), ResponseError> {
    broker.check(caller, Operation::Read, Resource::Group(&request.group_id))?;
    let mut topics = request.subscribed_topic_names.iter().flatten();
    topics.try_for_each(|topic| broker.check(caller, Operation::Describe, Resource::Topic(topic)))
}

/// Copies: what a group keeps must not hold on to the frame it came in.
fn heartbeat(request: ConsumerGroupHeartbeatRequest, caller: &Caller) -> Heartbeat {
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let member_id = match request.member_id.is_empty() && request.member_epoch == 0 && caller.version == 0 {
        true => Uuid::new_v4().to_string(),
        false => request.member_id.to_string(),
    };
    let names = |names: Vec<kafka_protocol::messages::TopicName>| {
        names.into_iter().map(|name| name.to_string()).collect()
    };
    let owned = request.topic_partitions.map(|topics| {
        let mut owned = Partitions::new();
        for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
            owned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        owned
    });
    Heartbeat {
        member_id,
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout_ms| *timeout_ms != -1),
        topics: request.subscribed_topic_names.map(names),
        regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned,
        client_id: caller.client_id.to_string(),
        client_host: format!("/{}", caller.host),
        ..Heartbeat::default()
    }
}

fn answered(answer: Answer, setting_ms: u32) -> ConsumerGroupHeartbeatResponse {
    let topic = |(id, partitions): (Uuid, BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(id).with_partitions(partitions.into_iter().collect())
    };
    let assignment = answer.assignment.map(|partitions| {
        Assignment::default().with_topic_partitions(partitions.into_iter().map(topic).collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(answer.member_id)))
        .with_member_epoch(answer.member_epoch)
        .with_heartbeat_interval_ms(interval_ms(setting_ms, answer.within))
        .with_assignment(assignment)
}
