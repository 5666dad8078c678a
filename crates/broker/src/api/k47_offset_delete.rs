//! OffsetDelete (key 47), version 0 (KIP-496).
//! Deletes committed offsets of topics that no member of the group subscribes to.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: OffsetDeleteRequest::KEY,
    name: "OffsetDelete",
    versions: 0..=0,
    shape: &shapes::OFFSET_DELETE,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(broker: Arc<Broker>, request: OffsetDeleteRequest, caller: Caller) -> OffsetDeleteResponse {
    if let Err(error) = broker.check(&caller, Operation::Delete, Resource::Group(&request.group_id)) {
        return OffsetDeleteResponse::default().with_error_code(error.code());
    }
    let check = |topic: &str| broker.check(&caller, Operation::Read, Resource::Topic(topic));
    let mut wanted: Vec<(Arc<str>, i32)> = Vec::new();
    for topic in request.topics.iter().filter(|topic| check(&topic.name).is_ok()) {
        let name: Arc<str> = topic.name.as_str().into();
        wanted.extend(topic.partitions.iter().map(|partition| (name.clone(), partition.partition_index)));
    }
    let verdicts = match broker.groups.delete_offsets(&request.group_id, &wanted).await {
        Ok(verdicts) => verdicts,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let mut verdicts = verdicts.into_iter();
    let mut response = OffsetDeleteResponse::default();
    for topic in request.topics {
        let allowed = check(&topic.name);
        let known = broker.topics.get(&topic.name);
        let mut answered = OffsetDeleteResponseTopic::default().with_name(topic.name);
        for partition in topic.partitions {
            let index = partition.partition_index;
            let verdict = allowed.and_then(|()| verdicts.next().unwrap_or(Ok(())));
            let exists = known.as_ref().is_some_and(|topic| topic.partition(index).is_ok());
            let verdict = if exists || allowed.is_err() {
                verdict
            } else {
                Err(ResponseError::UnknownTopicOrPartition)
            };
            answered.partitions.push(
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(verdict.map_or_else(|error| error.code(), |()| 0)),
            );
        }
        response.topics.push(answered);
    }
    response
}
