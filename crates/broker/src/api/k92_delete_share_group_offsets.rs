//! DeleteShareGroupOffsets (key 92), version 0 (KIP-932): forgets what a share group without members has done with of a topic. It begins
//! anew there.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse,
        delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic,
        delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic,
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k91_alter_share_group_offsets::{may, readable},
    shapes,
};
use crate::{broker::Broker, security::acl::Operation, topics::Topic};

pub const HANDLER: Handler = Handler {
    key: DeleteShareGroupOffsetsRequest::KEY,
    name: "DeleteShareGroupOffsets",
    versions: 0..=0,
    shape: &shapes::DELETE_SHARE_GROUP_OFFSETS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: DeleteShareGroupOffsetsRequest,
    caller: Caller,
) -> DeleteShareGroupOffsetsResponse {
    let response = DeleteShareGroupOffsetsResponse::default();
    if let Err(error) = may(&broker, &caller, Operation::Delete, &request.group_id) {
        return response
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(error.to_string())));
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    for DeleteShareGroupOffsetsRequestTopic { topic_name, .. } in request.topics {
        let topic = readable(&broker, &caller, &topic_name);
        let done = DeleteShareGroupOffsetsResponseTopic::default().with_topic_name(topic_name);
        let (done, outcome) = match topic {
            Ok(topic) => (done.with_topic_id(topic.id), delete(&broker, &request.group_id, &topic).await),
            Err(error) => (done, Err(error)),
        };
        responses.push(match outcome {
            Ok(()) => done.with_error_message(None),
            Err(error) => done
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(error.to_string()))),
        });
    }
    response.with_error_message(None).with_responses(responses)
}

async fn delete(broker: &Broker, group: &str, topic: &Topic) -> Result<(), ResponseError> {
    broker.shares.delete(|key| *key.group == *group && key.topic == topic.id).await?;
    broker.groups.set_shared(group, &[], &[topic.id]).await
}
