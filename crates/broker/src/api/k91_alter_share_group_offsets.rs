//! AlterShareGroupOffsets (key 91), version 0 (KIP-932): where a share group without members is to go on. What it had done with from
//! there on is forgotten.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse,
        alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic,
        alter_share_group_offsets_response::{
            AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
        },
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    shares::records::Key,
    topics::Topic,
};

pub const HANDLER: Handler = Handler {
    key: AlterShareGroupOffsetsRequest::KEY,
    name: "AlterShareGroupOffsets",
    versions: 0..=0,
    shape: &shapes::ALTER_SHARE_GROUP_OFFSETS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: AlterShareGroupOffsetsRequest,
    caller: Caller,
) -> AlterShareGroupOffsetsResponse {
    let response = AlterShareGroupOffsetsResponse::default();
    if let Err(error) = may(&broker, &caller, Operation::Read, &request.group_id) {
        return response
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(error.to_string())));
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        responses.push(altered(&broker, &caller, &request.group_id, topic).await);
    }
    response.with_error_message(None).with_responses(responses)
}

/// Whether the caller may do this to the group, and nobody is in it.
pub fn may(broker: &Broker, caller: &Caller, operation: Operation, group: &str) -> Result<(), ResponseError> {
    broker.check(caller, operation, Resource::Group(group))?;
    match broker.groups.shared(group) {
        None => Err(ResponseError::GroupIdNotFound),
        Some((_, true)) => Err(ResponseError::NonEmptyGroup),
        Some((_, false)) => Ok(()),
    }
}

/// The topic, where the caller may read it.
pub fn readable(broker: &Broker, caller: &Caller, name: &str) -> Result<Arc<Topic>, ResponseError> {
    broker.check(caller, Operation::Read, Resource::Topic(name))?;
    broker.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)
}

async fn altered(
    broker: &Arc<Broker>,
    caller: &Caller,
    group: &str,
    asked: AlterShareGroupOffsetsRequestTopic,
) -> AlterShareGroupOffsetsResponseTopic {
    let topic = readable(broker, caller, &asked.topic_name);
    let answered = AlterShareGroupOffsetsResponseTopic::default().with_topic_name(asked.topic_name);
    let mut answered = match &topic {
        Ok(topic) => answered.with_topic_id(topic.id),
        Err(_) => answered,
    };
    for partition in asked.partitions {
        let number = partition.partition_index;
        let outcome = match &topic {
            Ok(topic) => alter(broker, group, topic, number, partition.start_offset).await,
            Err(error) => Err(*error),
        };
        let done = AlterShareGroupOffsetsResponsePartition::default().with_partition_index(number);
        answered.partitions.push(match outcome {
            Ok(()) => done.with_error_message(None),
            Err(error) => done
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(error.to_string()))),
        });
    }
    answered
}

async fn alter(
    broker: &Arc<Broker>,
    group: &str,
    topic: &Topic,
    number: i32,
    start: i64,
) -> Result<(), ResponseError> {
    topic.partition(number)?;
    if start < 0 {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let begun = [(topic.id, topic.name.to_string(), topic.partitions.len() as i32)];
    broker.groups.set_shared(group, &begun, &[]).await?;
    broker.shares.reset(Key { group: group.into(), topic: topic.id, partition: number }, start).await
}
