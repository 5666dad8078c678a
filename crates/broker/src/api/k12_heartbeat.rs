//! Heartbeat (key 12), versions 0-4.
//! v3 static members (KIP-345); v4 flexible. REBALANCE_IN_PROGRESS tells a member to join again.

use kafka_protocol::{
    messages::{HeartbeatRequest, HeartbeatResponse},
    protocol::Request,
};

use super::{Handler, shapes};
use crate::{
    groups::group::Claim,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: HeartbeatRequest::KEY,
    name: "Heartbeat",
    versions: 0..=4,
    shape: &shapes::HEARTBEAT,
    pipelined: false,
    call: |broker, call| {
        call.answer(move |request: HeartbeatRequest, caller| async move {
            let allowed = broker.check(&caller, Operation::Read, Resource::Group(&request.group_id));
            let claim = Claim {
                member_id: &request.member_id,
                instance_id: request.group_instance_id.as_deref(),
                generation_id: request.generation_id,
            };
            let beat = allowed.and_then(|()| broker.groups.heartbeat(&request.group_id, claim));
            HeartbeatResponse::default().with_error_code(beat.map_or_else(|error| error.code(), |()| 0))
        })
    },
    notes: "",
};
