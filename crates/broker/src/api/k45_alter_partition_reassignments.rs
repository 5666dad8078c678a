//! AlterPartitionReassignments (key 45), versions 0-1 (KIP-455).
//! v1 may forbid a change of the replication factor. A partition can only be where it is; that is taken and done at once.
//! There is never a reassignment to cancel.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
        alter_partition_reassignments_request::ReassignablePartition,
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    security::{access::Resource, acl::Operation},
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: AlterPartitionReassignmentsRequest::KEY,
    name: "AlterPartitionReassignments",
    versions: 0..=1,
    shape: &shapes::ALTER_PARTITION_REASSIGNMENTS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "to the one node only",
};

fn act(
    broker: &Arc<Broker>,
    request: AlterPartitionReassignmentsRequest,
    caller: &Caller,
) -> AlterPartitionReassignmentsResponse {
    let mut response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(request.allow_replication_factor_change);
    if let Err(error) = broker.check(caller, Operation::Alter, Resource::Cluster) {
        let message = StrBytes::from_string(error.to_string());
        return response.with_error_code(error.code()).with_error_message(Some(message));
    }
    for topic in request.topics {
        let mut answered = ReassignableTopicResponse::default().with_name(topic.name.clone());
        for partition in topic.partitions {
            let result =
                ReassignablePartitionResponse::default().with_partition_index(partition.partition_index);
            answered.partitions.push(match reassign(broker, &topic.name, &partition) {
                Ok(()) => result,
                Err(refusal) => result
                    .with_error_code(refusal.error.code())
                    .with_error_message(Some(StrBytes::from_string(refusal.reason))),
            });
        }
        response.responses.push(answered);
    }
    response
}

fn reassign(broker: &Broker, topic: &str, partition: &ReassignablePartition) -> Result<(), Refusal> {
    let refused = |error: ResponseError| Refusal::new(error, error.to_string());
    broker.topics.partition(topic, partition.partition_index).map_err(refused)?;
    let Some(replicas) = &partition.replicas else {
        return Err(refused(ResponseError::NoReassignmentInProgress));
    };
    if replicas.iter().map(|id| id.0).eq([NODE_ID]) {
        return Ok(());
    }
    let reason = format!("A partition can only be on the one broker, {NODE_ID}.");
    Err(Refusal::new(ResponseError::InvalidReplicaAssignment, reason))
}
