//! DescribeGroups (key 15), versions 0-6.
//! v3 authorized operations (KIP-430); v4 group_instance_id; v5 flexible; v6 an unknown group is GROUP_ID_NOT_FOUND
//! (KIP-1043), where before its state was just Dead; a consumer group is not known here.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::group::{Group, Member, State},
    security::{access::Resource, acl::Operation},
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
    let wanted = request.include_authorized_operations;
    let each = |id: GroupId| {
        if let Err(error) = broker.check(caller, Operation::Describe, Resource::Group(&id)) {
            return DescribedGroup::default().with_group_id(id).with_error_code(error.code());
        }
        let operations = broker.operations(caller, wanted, Resource::Group(&id));
        let known = broker.groups.get(&id);
        let known = known.as_ref().map(|group| group.lock());
        let described = match known {
            Some(group) if group.consumer.is_none() && group.share.is_none() => described(&group, version),
            Some(_) => not_found(format!("Group {} is not a classic group.", id.as_str()), version),
            None => not_found(format!("Group {} not found.", id.as_str()), version),
        };
        described.with_group_id(id).with_authorized_operations(operations)
    };
    DescribeGroupsResponse::default().with_groups(request.groups.into_iter().map(each).collect())
}

fn not_found(reason: String, version: i16) -> DescribedGroup {
    let described = DescribedGroup::default().with_group_state(StrBytes::from_static_str(State::Dead.word()));
    if version < 6 {
        return described;
    }
    described
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(reason)))
}

fn described(group: &Group, version: i16) -> DescribedGroup {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
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
