//! CreatePartitions (key 37), versions 0-3.
//! v2 flexible; v3 throttling errors (KIP-599). `count` is the new number in all; keys will go to other partitions from then on.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::denied, shapes};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    quotas::mutations::Mutations,
    security::{access::Resource, acl::Operation},
    topics::{Refusal, is_internal},
};

pub const HANDLER: Handler = Handler {
    key: CreatePartitionsRequest::KEY,
    name: "CreatePartitions",
    versions: 0..=3,
    shape: &shapes::CREATE_PARTITIONS,
    pipelined: false,
    call: |broker, call| call.answer_throttled(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: CreatePartitionsRequest,
    caller: Caller,
) -> (CreatePartitionsResponse, u32) {
    let mut mutations = Mutations::of(&broker.quotas, &caller, 3);
    let mut response = CreatePartitionsResponse::default();
    for topic in request.topics {
        let allowed = broker.check(&caller, Operation::Alter, Resource::Topic(&topic.name));
        let grown = match allowed {
            Ok(()) => grow(&broker, &topic, request.validate_only, &mut mutations).await,
            Err(error) => Err(denied(error)),
        };
        let mut result = CreatePartitionsTopicResult::default().with_name(topic.name);
        if let Err(refusal) = grown {
            result.error_code = refusal.error.code();
            result.error_message = Some(StrBytes::from_string(refusal.reason));
        }
        response.results.push(result);
    }
    let throttle_ms = mutations.throttle_ms();
    (response.with_throttle_time_ms(throttle_ms as i32), throttle_ms)
}

async fn grow(
    broker: &Arc<Broker>,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    mutations: &mut Mutations<'_>,
) -> Result<(), Refusal> {
    let name = topic.name.to_string();
    if is_internal(&name) {
        let reason = format!("The topic '{name}' is internal: its partitions are fixed.");
        return Err(Refusal::new(ResponseError::InvalidTopicException, reason));
    }
    if let Some(assignments) = &topic.assignments {
        let current = broker.topics.get(&name).map_or(0, |topic| topic.partitions.len());
        let here = assignments.iter().all(|each| each.broker_ids.iter().map(|id| id.0).eq([NODE_ID]));
        if !here || current as i64 + assignments.len() as i64 != i64::from(topic.count) {
            let reason = format!("Each new partition must be assigned to the one broker, {NODE_ID}.");
            return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, reason));
        }
    }
    let count = topic.count;
    if let Some(topic) = broker.topics.get(&name)
        && !validate_only
    {
        mutations.charge((count.max(0) as usize).saturating_sub(topic.partitions.len()))?;
    }
    broker.blocking(move |broker| broker.topics.grow(&name, count, validate_only)).await
}
