//! ShareGroupDescribe (key 77), version 1 (KIP-932): share groups with their members, and what these read.
//! v0 was Kafka 4.0's early access.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName,
        share_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::{
        consumer::Partitions,
        share::{self, Share, assignor},
    },
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: ShareGroupDescribeRequest::KEY,
    name: "ShareGroupDescribe",
    versions: 1..=1,
    shape: &shapes::SHARE_GROUP_DESCRIBE,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "",
};

fn act(
    broker: &Arc<Broker>,
    request: ShareGroupDescribeRequest,
    caller: &Caller,
) -> ShareGroupDescribeResponse {
    let wanted = request.include_authorized_operations;
    let each = |id: GroupId| {
        if let Err(error) = broker.check(caller, Operation::Describe, Resource::Group(&id)) {
            return DescribedGroup::default().with_group_id(id).with_error_code(error.code());
        }
        let operations = broker.operations(caller, wanted, Resource::Group(&id));
        let known = broker.groups.get(&id);
        let known = known.as_ref().map(|group| group.lock());
        let described = match known.as_ref().map(|group| &group.share) {
            Some(Some(share)) => whole(described(broker, share), broker, caller),
            Some(None) => not_found(format!("Group {} is not a share group.", id.as_str())),
            None => not_found(format!("Group {} not found.", id.as_str())),
        };
        described.with_group_id(id).with_authorized_operations(operations)
    };
    ShareGroupDescribeResponse::default().with_groups(request.group_ids.into_iter().map(each).collect())
}

/// A group that reads a topic which the caller may not see is not told in part, as in Kafka.
fn whole(described: DescribedGroup, broker: &Broker, caller: &Caller) -> DescribedGroup {
    let may_see = |topic: &TopicPartitions| {
        broker.allows(caller, Operation::Describe, Resource::Topic(&topic.topic_name))
    };
    if described.members.iter().all(|member| member.assignment.topic_partitions.iter().all(may_see)) {
        return described;
    }
    let reason = "Members read topics that you may not describe.";
    DescribedGroup::default()
        .with_error_code(ResponseError::TopicAuthorizationFailed.code())
        .with_error_message(Some(StrBytes::from_static_str(reason)))
}

fn not_found(reason: String) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(reason)))
}

fn described(broker: &Broker, group: &Share) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state().word()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(assignor::NAME))
        .with_members(group.members.iter().map(|(id, member)| shown(broker, id, member)).collect())
}

fn shown(broker: &Broker, id: &str, member: &share::Member) -> Member {
    let profile = &member.profile;
    Member::default()
        .with_member_id(text(id))
        .with_rack_id(profile.rack_id.as_deref().map(text))
        .with_member_epoch(member.standing.epoch)
        .with_client_id(text(&profile.client_id))
        .with_client_host(text(&profile.client_host))
        .with_subscribed_topic_names(profile.topics.iter().map(|name| TopicName(text(name))).collect())
        .with_assignment(named(broker, &member.standing.assigned))
}

/// Topics that are gone are left out.
fn named(broker: &Broker, partitions: &Partitions) -> Assignment {
    let each = |(id, numbers): (&Uuid, &BTreeSet<i32>)| {
        let topic = broker.topics.by_id(*id)?;
        let named =
            TopicPartitions::default().with_topic_id(*id).with_topic_name(TopicName(text(&topic.name)));
        Some(named.with_partitions(numbers.iter().copied().collect()))
    };
    Assignment::default().with_topic_partitions(partitions.iter().filter_map(each).collect())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
