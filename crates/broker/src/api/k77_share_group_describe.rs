//! ShareGroupDescribe (key 77), version 1 (KIP-932): share groups with their members, and what these read.
//! v0 was Kafka 4.0's early access.

use std::sync::Arc;

use super::{
    Caller, Handler,
    describing::{each, named, text},
    shapes,
};
use crate::{
    broker::Broker,
    groups::{
        consumer::Partitions,
        group::Group,
        share::{self, Share, assignor},
    },
};
use kafka_protocol::{
    ResponseError,
    messages::{
        ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName,
        share_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
    },
    protocol::{Request, StrBytes},
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
    let show = |group: &Group| {
        let described = described(broker, group.share.as_ref()?);
        let topics = described.members.iter().flat_map(|member| &member.assignment.topic_partitions);
        let topics = topics.map(|topic| topic.topic_name.clone()).collect();
        Some((described, topics))
    };
    let refuse = |error: ResponseError, reason| {
        (DescribedGroup::default().with_error_code(error.code()).with_error_message(reason), true)
    };
    let asked = (request.group_ids, "share", request.include_authorized_operations);
    let groups = each(broker, caller, asked, show, refuse, |told, id, operations| {
        told.with_group_id(id).with_authorized_operations(operations)
    });
    ShareGroupDescribeResponse::default().with_groups(groups)
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
        .with_assignment(assignment(broker, &member.standing.assigned))
}

fn assignment(broker: &Broker, partitions: &Partitions) -> Assignment {
    let each = |(id, name, numbers)| {
        TopicPartitions::default().with_topic_id(id).with_topic_name(name).with_partitions(numbers)
    };
    Assignment::default().with_topic_partitions(named(broker, partitions).map(each).collect())
}
