//! ElectLeaders (key 43), versions 0-2.
//! v1 the kind of election (KIP-460); v2 flexible. The one node leads every partition, so an election is never needed; as in
//! Kafka, asked for all partitions there is nothing to tell, asked for some each is ELECTION_NOT_NEEDED.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        ElectLeadersRequest, ElectLeadersResponse,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: ElectLeadersRequest::KEY,
    name: "ElectLeaders",
    versions: 0..=2,
    shape: &shapes::ELECT_LEADERS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "never needed: the one node leads every partition",
};

fn act(broker: &Arc<Broker>, request: ElectLeadersRequest, caller: &Caller) -> ElectLeadersResponse {
    let mut response = ElectLeadersResponse::default();
    let allowed = broker.check(caller, Operation::Alter, Resource::Cluster);
    if let (Err(error), 1..) = (allowed, caller.version) {
        response.error_code = error.code();
    }
    for topic in request.topic_partitions.unwrap_or_default() {
        let mut answered = ReplicaElectionResult::default().with_topic(topic.topic.clone());
        for index in topic.partitions {
            let found = allowed.and_then(|()| broker.topics.partition(&topic.topic, index));
            let error = found.err().unwrap_or(ResponseError::ElectionNotNeeded);
            answered.partition_result.push(
                PartitionResult::default()
                    .with_partition_id(index)
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(error.to_string()))),
            );
        }
        response.replica_election_results.push(answered);
    }
    response
}
