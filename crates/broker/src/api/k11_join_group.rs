//! JoinGroup (key 11), versions 0-9.
//! v1 rebalance timeout (v0: the session's); v4 member ids are given before joining (KIP-394); v5 static members
//! (KIP-345); v6 flexible; v7 protocol type in the answer; v8 reason (KIP-800); v9 skip_assignment (KIP-814).

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::{
    messages::{JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember},
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::group::{Join, Joined},
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: JoinGroupRequest::KEY,
    name: "JoinGroup",
    versions: 0..=9,
    shape: &shapes::JOIN_GROUP,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "the classic protocol, with static members; the session timeout must be 6 s to 30 min",
};

async fn act(broker: Arc<Broker>, request: JoinGroupRequest, caller: Caller) -> JoinGroupResponse {
    if let Err(error) = broker.check(&caller, Operation::Read, Resource::Group(&request.group_id)) {
        return answer(Joined::error(&request.member_id, error), caller.version);
    }
    let rebalance =
        if caller.version >= 1 { request.rebalance_timeout_ms } else { request.session_timeout_ms };
    // Copies: what a group keeps must not hold on to the frame it came in.
    let protocols = request
        .protocols
        .iter()
        .map(|each| (each.name.to_string(), Bytes::copy_from_slice(&each.metadata)))
        .collect();
    let join = Join {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        client_id: caller.client_id.to_string(),
        client_host: format!("/{}", caller.host),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: rebalance,
        protocol_type: request.protocol_type.to_string(),
        protocols,
        member_id_required: caller.version >= 4,
        may_skip_assignment: caller.version >= 9,
        sight: broker.sight(&caller),
    };
    answer(broker.groups.join(&request.group_id, join).await, caller.version)
}

fn answer(joined: Joined, version: i16) -> JoinGroupResponse {
    let text = StrBytes::from_string;
    let member = |(id, instance_id, metadata): (Arc<str>, Option<String>, Bytes)| {
        let member =
            JoinGroupResponseMember::default().with_member_id(text(id.to_string())).with_metadata(metadata);
        if version >= 5 { member.with_group_instance_id(instance_id.map(text)) } else { member }
    };
    // Before v7 a null name is not possible.
    let name = joined.protocol.map(text).or((version < 7).then(StrBytes::default));
    let response = JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation_id)
        .with_protocol_name(name)
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_skip_assignment(joined.skip_assignment)
        .with_members(joined.members.into_iter().map(member).collect());
    if version >= 7 { response.with_protocol_type(joined.protocol_type.map(text)) } else { response }
}
