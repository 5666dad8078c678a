//! ConsumerGroupDescribe (key 69), versions 0-1 (KIP-848): consumer groups with their members, what these hold and what they
//! are to hold.
//! v1 tells members of the classic protocol from those of the consumer protocol.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName,
        consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::consumer::{self, Consumer, Partitions},
    security::{access::Resource, acl::Operation},
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
    let wanted = request.include_authorized_operations;
    let each = |id: GroupId| {
        if let Err(error) = broker.check(caller, Operation::Describe, Resource::Group(&id)) {
            return DescribedGroup::default().with_group_id(id).with_error_code(error.code());
        }
        let operations = broker.operations(caller, wanted, Resource::Group(&id));
        let known = broker.groups.get(&id);
        let known = known.as_ref().map(|group| group.lock());
        let described = match known.as_ref().map(|group| &group.consumer) {
            Some(Some(consumer)) => whole(described(broker, consumer, caller.version), broker, caller),
            Some(None) => not_found(format!("Group {} is not a consumer group.", id.as_str())),
            None => not_found(format!("Group {} not found.", id.as_str())),
        };
        described.with_group_id(id).with_authorized_operations(operations)
    };
    ConsumerGroupDescribeResponse::default().with_groups(request.group_ids.into_iter().map(each).collect())
}

/// A group that holds a topic which the caller may not see is not told in part, as in Kafka.
fn whole(described: DescribedGroup, broker: &Broker, caller: &Caller) -> DescribedGroup {
    let may_see = |assignment: &Assignment| {
        let topics = &mut assignment.topic_partitions.iter();
        topics.all(|topic| broker.allows(caller, Operation::Describe, Resource::Topic(&topic.topic_name)))
    };
    let members = &mut described.members.iter();
    if members.all(|member| may_see(&member.assignment) && may_see(&member.target_assignment)) {
        return described;
    }
    let reason = "Members hold topics that you may not describe.";
    DescribedGroup::default()
        .with_error_code(ResponseError::TopicAuthorizationFailed.code())
        .with_error_message(Some(StrBytes::from_static_str(reason)))
}

fn not_found(reason: String) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(reason)))
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
        .with_assignment(named(broker, &member.standing.assigned))
        .with_target_assignment(named(broker, target));
    match (version, member.is_classic()) {
        (0, _) => shown,
        (_, true) => shown.with_member_type(CLASSIC),
        (_, false) => shown.with_member_type(CONSUMER),
    }
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
