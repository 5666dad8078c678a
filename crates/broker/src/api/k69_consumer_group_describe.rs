//! ConsumerGroupDescribe (key 69), versions 0-1 (KIP-848): consumer groups with their members, what these hold and what they
//! are to hold.
//! v1 tells members of the classic protocol from those of the consumer protocol.

use std::sync::Arc;

use super::{
    Caller, Handler,
    describing::{each, named, text},
    shapes,
};
use crate::{
    broker::Broker,
    groups::{
        consumer::{self, Consumer, Partitions},
        group::Group,
    },
};
use kafka_protocol::{
    ResponseError,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName,
        consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
    },
    protocol::{Request, StrBytes},
};

/// Kafka's numbers for the protocol that a member speaks.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub const HANDLER: Handler = Handler {
    key: ConsumerGroupDescribeRequest::KEY,
    name: "ConsumerGroupDescribe",
    versions: 0..=1,
    shape: &shapes::CONSUMER_GROUP_DESCRIBE,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "",
};

fn act(
    broker: &Arc<Broker>,
    request: ConsumerGroupDescribeRequest,
    caller: &Caller,
) -> ConsumerGroupDescribeResponse {
    let show = |group: &Group| {
        let described = described(broker, group.consumer.as_ref()?, caller.version);
        let both =
            described.members.iter().flat_map(|member| [&member.assignment, &member.target_assignment]);
        let topics = both.flat_map(|one| &one.topic_partitions).map(|topic| topic.topic_name.clone());
        let topics = topics.collect();
        Some((described, topics))
    };
    let refuse = |error: ResponseError, reason| {
        (DescribedGroup::default().with_error_code(error.code()).with_error_message(reason), true)
    };
    let asked = (request.group_ids, "consumer", request.include_authorized_operations);
    let groups = each(broker, caller, asked, show, refuse, |told, id, operations| {
        told.with_group_id(id).with_authorized_operations(operations)
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups)
}

fn described(broker: &Broker, group: &Consumer, version: i16) -> DescribedGroup {
    let none = Partitions::new();
    let members = group.members.iter().map(|(id, member)| {
        let target = group.targets.get(id).unwrap_or(&none);
        shown(broker, id, member, target, version)
    });
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state().word()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(text(group.assignor()))
        .with_members(members.collect())
}

fn shown(broker: &Broker, id: &str, member: &consumer::Member, target: &Partitions, version: i16) -> Member {
    let profile = &member.profile;
    let shown = Member::default()
        .with_member_id(text(id))
        .with_instance_id(profile.instance_id.as_deref().map(text))
        .with_rack_id(profile.rack_id.as_deref().map(text))
        .with_member_epoch(member.standing.epoch)
        .with_client_id(text(&profile.client_id))
        .with_client_host(text(&profile.client_host))
        .with_subscribed_topic_names(profile.topics.iter().map(|name| TopicName(text(name))).collect())
        .with_subscribed_topic_regex(Some(text(&profile.regex)))
        .with_assignment(assignment(broker, &member.standing.assigned))
        .with_target_assignment(assignment(broker, target));
    match (version, member.is_classic()) {
        (0, _) => shown,
        (_, true) => shown.with_member_type(CLASSIC),
        (_, false) => shown.with_member_type(CONSUMER),
    }
}

fn assignment(broker: &Broker, partitions: &Partitions) -> Assignment {
    let each = |(id, name, numbers)| {
        TopicPartitions::default().with_topic_id(id).with_topic_name(name).with_partitions(numbers)
    };
    Assignment::default().with_topic_partitions(named(broker, partitions).map(each).collect())
}
