//! DeleteTopics (key 20), versions 1-6.
//! v4 flexible; v5 error messages and throttling errors (KIP-599); v6 by id (KIP-516). What groups committed for the topic goes with it.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, TopicName, delete_topics_request::DeleteTopicState,
        delete_topics_response::DeletableTopicResult,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::denied, shapes};
use crate::{
    broker::Broker,
    quotas::mutations::Mutations,
    security::{access::Resource, acl::Operation},
    topics::{Refusal, is_internal},
};

pub const HANDLER: Handler = Handler {
    key: DeleteTopicsRequest::KEY,
    name: "DeleteTopics",
    versions: 1..=6,
    shape: &shapes::DELETE_TOPICS,
    pipelined: false,
    call: |broker, call| call.answer_throttled(move |request, caller| act(broker, request, caller)),
    notes: "internal topics cannot be deleted",
};

async fn act(
    broker: Arc<Broker>,
    request: DeleteTopicsRequest,
    caller: Caller,
) -> (DeleteTopicsResponse, u32) {
    let version = caller.version;
    let mut mutations = Mutations::of(&broker.quotas, &caller, 5);
    let by_name = |name: TopicName| DeleteTopicState::default().with_name(Some(name));
    let wanted =
        if version >= 6 { request.topics } else { request.topic_names.into_iter().map(by_name).collect() };
    let mut response = DeleteTopicsResponse::default();
    for topic in wanted {
        let mut result =
            DeletableTopicResult::default().with_topic_id(topic.topic_id).with_name(topic.name.clone());
        let deleted = match topic.name.map(|name| name.to_string()) {
            Some(name) => delete(&broker, name, &caller, &mut mutations).await,
            None => match broker.topics.by_id(topic.topic_id) {
                Some(found) if !broker.allows(&caller, Operation::Describe, Resource::Topic(&found.name)) => {
                    Err(denied(ResponseError::TopicAuthorizationFailed)) // not even its name is told
                }
                Some(found) => {
                    result.name = Some(TopicName(StrBytes::from_string(found.name.to_string())));
                    delete(&broker, found.name.to_string(), &caller, &mut mutations).await
                }
                None => Err(Refusal::new(ResponseError::UnknownTopicId, "No topic has this id.")),
            },
        };
        if let Err(refusal) = deleted {
            result.error_code = refusal.error.code();
            if version >= 5 {
                result.error_message = Some(StrBytes::from_string(refusal.reason));
            }
        }
        response.responses.push(result);
    }
    let throttle_ms = mutations.throttle_ms();
    (response.with_throttle_time_ms(throttle_ms as i32), throttle_ms)
}

async fn delete(
    broker: &Arc<Broker>,
    name: String,
    caller: &Caller,
    mutations: &mut Mutations<'_>,
) -> Result<(), Refusal> {
    broker.check(caller, Operation::Delete, Resource::Topic(&name)).map_err(denied)?;
    if is_internal(&name) {
        let reason = format!("The topic '{name}' is internal: it keeps what groups have committed.");
        return Err(Refusal::new(ResponseError::InvalidTopicException, reason));
    }
    let topic = broker.topics.get(&name);
    if let Some(topic) = &topic {
        mutations.charge(topic.partitions.len())?;
    }
    let deleted = broker.blocking(move |broker| broker.topics.delete(&name).map(|()| name)).await?;
    broker.groups.forget_topic(&deleted, topic.map(|topic| topic.id));
    Ok(())
}
