//! LeaveGroup (key 13), versions 0-5.
//! v3 several members at once, static ones by their instance alone (KIP-345); v4 flexible; v5 reason (KIP-800).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_response::MemberResponse},
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: LeaveGroupRequest::KEY,
    name: "LeaveGroup",
    versions: 0..=5,
    shape: &shapes::LEAVE_GROUP,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "",
};

fn act(broker: &Arc<Broker>, request: LeaveGroupRequest, caller: &Caller) -> LeaveGroupResponse {
    if let Err(error) = broker.check(caller, Operation::Read, Resource::Group(&request.group_id)) {
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let code = |left: Result<(), ResponseError>| left.map_or_else(|error| error.code(), |()| 0);
    let leave =
        |member: &str, instance: Option<&str>| broker.groups.leave(&request.group_id, member, instance);
    if caller.version < 3 {
        return LeaveGroupResponse::default().with_error_code(code(leave(&request.member_id, None)));
    }
    let mut response = LeaveGroupResponse::default();
    for member in request.members {
        let left = leave(&member.member_id, member.group_instance_id.as_deref());
        response.members.push(
            MemberResponse::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
                .with_error_code(code(left)),
        );
    }
    response
}
