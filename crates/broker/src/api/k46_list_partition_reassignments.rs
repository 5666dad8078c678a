//! ListPartitionReassignments (key 46), version 0 (KIP-455). There are never any.

use kafka_protocol::{
    messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse},
    protocol::Request,
};

use super::{Handler, shapes};

pub const HANDLER: Handler = Handler {
    key: ListPartitionReassignmentsRequest::KEY,
    name: "ListPartitionReassignments",
    versions: 0..=0,
    shape: &shapes::LIST_PARTITION_REASSIGNMENTS,
    pipelined: false,
    call: |_, call| {
        call.answer(|_: ListPartitionReassignmentsRequest, _| async {
            ListPartitionReassignmentsResponse::default()
        })
    },
    notes: "there are never any",
};
