//! What DescribeGroups, ConsumerGroupDescribe, ShareGroupDescribe and StreamsGroupDescribe have in common: who is told of a group, and why one is not told.

use kafka_protocol::{
    ResponseError,
    messages::{GroupId, TopicName},
    protocol::StrBytes,
};
use uuid::Uuid;

use super::Caller;
use crate::{
    broker::Broker,
    groups::{consumer::Partitions, group::Group},
    security::{access::Resource, acl::Operation},
};

/// Each of the groups, with what the caller may do with it where that is wanted. `show`: the group and the topics that the caller has to
/// see, or he is told nothing of it, as in Kafka; `None` where it is not of this kind. `refuse`: why a group is not told, and whether that is
/// an error, of which nothing may be done; nothing is said where the caller may not even ask.
pub fn each<T>(
    broker: &Broker,
    caller: &Caller,
    (ids, kind, wants_operations): (Vec<GroupId>, &str, bool),
    show: impl Fn(&Group) -> Option<(T, Vec<TopicName>)>,
    refuse: impl Fn(ResponseError, Option<StrBytes>) -> (T, bool),
    finish: impl Fn(T, GroupId, i32) -> T,
) -> Vec<T> {
    let one = |id: GroupId| {
        if let Err(error) = broker.check(caller, Operation::Describe, Resource::Group(&id)) {
            return finish(refuse(error, None).0, id, i32::MIN);
        }
        let operations = broker.operations(caller, wants_operations, Resource::Group(&id));
        let may_see = |topic: &TopicName| broker.allows(caller, Operation::Describe, Resource::Topic(topic));
        let (error, reason) = match broker.groups.get(&id).map(|group| show(&group.lock())) {
            Some(Some((told, topics))) if topics.iter().all(may_see) => return finish(told, id, operations),
            Some(Some(_)) => {
                let reason = "Members have topics that you may not describe.".to_owned();
                (ResponseError::TopicAuthorizationFailed, reason)
            }
            Some(None) => {
                (ResponseError::GroupIdNotFound, format!("Group {} is not a {kind} group.", id.as_str()))
            }
            None => (ResponseError::GroupIdNotFound, format!("Group {} not found.", id.as_str())),
        };
        let (refused, is_error) = refuse(error, Some(StrBytes::from_string(reason)));
        finish(refused, id, if is_error { i32::MIN } else { operations })
    };
    ids.into_iter().map(one).collect()
}

/// Partitions with the names of their topics. Topics that are gone are left out.
pub fn named(broker: &Broker, partitions: &Partitions) -> impl Iterator<Item = (Uuid, TopicName, Vec<i32>)> {
    partitions.iter().filter_map(|(id, numbers)| {
        let topic = broker.topics.by_id(*id)?;
        Some((*id, TopicName(text(&topic.name)), numbers.iter().copied().collect()))
    })
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
