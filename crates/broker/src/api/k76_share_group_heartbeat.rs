//! ShareGroupHeartbeat (key 76), version 1 (KIP-932): joining, staying in and leaving a share group.
//! v0 was Kafka 4.0's early access. The answer comes when what follows from the heartbeat is in the log.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
        share_group_heartbeat_response::{Assignment, TopicPartitions},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::{configs::Setting, consumer::Answer, pace::interval_ms, share::Heartbeat},
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: ShareGroupHeartbeatRequest::KEY,
    name: "ShareGroupHeartbeat",
    versions: 1..=1,
    shape: &shapes::SHARE_GROUP_HEARTBEAT,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "assignor `simple`",
};

async fn act(
    broker: Arc<Broker>,
    request: ShareGroupHeartbeatRequest,
    caller: Caller,
) -> ShareGroupHeartbeatResponse {
    if let Err(error) = may(&broker, &caller, &request) {
        return ShareGroupHeartbeatResponse::default().with_error_code(error.code());
    }
    let group_id = request.group_id.clone();
    match broker.groups.share_heartbeat(&group_id, heartbeat(request, &caller)).await {
        Ok(answer) => answered(answer, broker.groups.setting(&group_id, Setting::ShareHeartbeatInterval)),
        Err(refused) => ShareGroupHeartbeatResponse::default()
            .with_error_code(refused.error.code())
            .with_error_message(Some(StrBytes::from_string(refused.reason))),
    }
}

/// A topic that the caller may not see makes the whole heartbeat fail, as in Kafka.
fn may(broker: &Broker, caller: &Caller, request: &ShareGroupHeartbeatRequest) -> Result<(), ResponseError> {
    broker.check(caller, Operation::Read, Resource::Group(&request.group_id))?;
    let mut topics = request.subscribed_topic_names.iter().flatten();
    topics.try_for_each(|topic| broker.check(caller, Operation::Describe, Resource::Topic(topic)))
}

/// Copies: what a group keeps must not hold on to the frame it came in.
fn heartbeat(request: ShareGroupHeartbeatRequest, caller: &Caller) -> Heartbeat {
    let names = |names: Vec<kafka_protocol::messages::TopicName>| {
        names.into_iter().map(|name| name.to_string()).collect()
    };
    Heartbeat {
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        rack_id: request.rack_id.map(|rack| rack.to_string()),
        topics: request.subscribed_topic_names.map(names),
        client_id: caller.client_id.to_string(),
        client_host: format!("/{}", caller.host),
    }
}

fn answered(answer: Answer, setting_ms: u32) -> ShareGroupHeartbeatResponse {
    let topic = |(id, partitions): (Uuid, BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(id).with_partitions(partitions.into_iter().collect())
    };
    let assignment = answer.assignment.map(|partitions| {
        Assignment::default().with_topic_partitions(partitions.into_iter().map(topic).collect())
    });
    ShareGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(answer.member_id)))
        .with_member_epoch(answer.member_epoch)
        .with_heartbeat_interval_ms(interval_ms(setting_ms, answer.within))
        .with_assignment(assignment)
}
