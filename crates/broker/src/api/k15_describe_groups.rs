//! DescribeGroups (key 15), versions 0-6.
//! v3 authorized operations (KIP-430); v4 group_instance_id; v5 flexible; v6 an unknown group is GROUP_ID_NOT_FOUND
//! (KIP-1043), where before its state was just Dead; a consumer group is not known here.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeGroupsRequest, DescribeGroupsResponse,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    describing::{each, text},
    shapes,
};
use crate::{
    broker::Broker,
    groups::group::{Group, Member, State},
};

pub const HANDLER: Handler = Handler {
    key: DescribeGroupsRequest::KEY,
    name: "DescribeGroups",
    versions: 0..=6,
    shape: &shapes::DESCRIBE_GROUPS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "classic groups; for consumer groups there is ConsumerGroupDescribe",
};

fn act(broker: &Arc<Broker>, request: DescribeGroupsRequest, caller: &Caller) -> DescribeGroupsResponse {
    let version = caller.version;
    let show = |group: &Group| group.modern().is_none().then(|| (described(group, version), vec![]));
    let refuse = |error: ResponseError, reason| {
        let refused = DescribedGroup::default();
        let is_unknown = error == ResponseError::GroupIdNotFound;
        let state = if is_unknown { State::Dead.word() } else { "" };
        let refused = refused.with_group_state(StrBytes::from_static_str(state));
        match is_unknown && version < 6 {
            true => (refused, false),
            false => (refused.with_error_code(error.code()).with_error_message(reason), true),
        }
    };
    let asked = (request.groups, "classic", request.include_authorized_operations);
    let groups = each(broker, caller, asked, show, refuse, |told, id, operations| {
        told.with_group_id(id).with_authorized_operations(operations)
    });
    DescribeGroupsResponse::default().with_groups(groups)
}

fn described(group: &Group, version: i16) -> DescribedGroup {
    let stable = group.state == State::Stable;
    let protocol = group.protocol.as_deref().filter(|_| stable).unwrap_or_default();
    let member = |member: &Member| {
        let described = DescribedGroupMember::default()
            .with_member_id(text(&member.id))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host));
        let described = if version >= 4 {
            described.with_group_instance_id(member.instance_id.as_deref().map(text))
        } else {
            described
        };
        if stable {
            described
                .with_member_metadata(member.metadata(protocol))
                .with_member_assignment(member.assignment.clone())
        } else {
            described
        }
    };
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state.word()))
        .with_protocol_type(text(group.protocol_type.as_deref().unwrap_or_default()))
        .with_protocol_data(text(protocol))
        .with_members(group.members.values().map(member).collect())
}
