//! ListPartitionReassignments (key 46), version 0 (KIP-455). There are never any.

use kafka_protocol::{
    messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse},
    protocol::Request,
};

use super::{Handler, shapes};
use crate::security::{access::Resource, acl::Operation};

pub const HANDLER: Handler = Handler {
    key: ListPartitionReassignmentsRequest::KEY,
    name: "ListPartitionReassignments",
    versions: 0..=0,
    shape: &shapes::LIST_PARTITION_REASSIGNMENTS,
    pipelined: false,
    call: |broker, call| {
        call.answer(move |_: ListPartitionReassignmentsRequest, caller| async move {
            let allowed = broker.check(&caller, Operation::Describe, Resource::Cluster);
            let code = allowed.map_or_else(|error| error.code(), |()| 0);
            ListPartitionReassignmentsResponse::default().with_error_code(code)
        })
    },
    notes: "there are never any",
};
