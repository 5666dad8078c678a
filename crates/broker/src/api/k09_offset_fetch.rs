//! OffsetFetch (key 9), versions 1-10.
//! v2 an error at the top, null topics mean all; v5 leader epoch; v6 flexible; v7 require_stable (KIP-447: an offset that an
//! open transaction is about to change is UNSTABLE_OFFSET_COMMIT, and the client asks again); v8 several groups at once
//! (KIP-709); v9 id and epoch of a member of a consumer group (KIP-848): an epoch that is over is STALE_MEMBER_EPOCH; v10 topics by
//! their ids (KIP-848): one that is not there is UNKNOWN_TOPIC_ID, and where all are asked for it is left out.
//! A partition that was never committed has offset -1 and no error, as has a group that does not exist.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetFetchRequest, OffsetFetchResponse, TopicName,
        offset_fetch_request::OffsetFetchRequestTopics,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{
    Caller, Handler,
    handmade::{self, IDS_SINCE},
    shapes,
};
use crate::{
    broker::Broker,
    groups::records::Committed,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: OffsetFetchRequest::KEY,
    name: "OffsetFetch",
    versions: 1..=10,
    shape: &shapes::OFFSET_FETCH,
    pipelined: false,
    call: |broker, call| match call.caller.version {
        IDS_SINCE.. => {
            call.answer_handmade(handmade::offset_fetch, move |request, caller| act(broker, request, caller))
        }
        _ => call.answer(move |request, caller| act(broker, request, caller)),
    },
    notes: "",
};

/// Before, what is wrong with the group is repeated for each partition.
const ERROR_AT_THE_TOP_SINCE: i16 = 2;

/// What was committed for a partition, or why it is not told.
type Known = Result<Option<Committed>, ResponseError>;
type Found = Vec<(TopicName, Vec<(i32, Known)>)>;
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;

async fn act(broker: Arc<Broker>, request: OffsetFetchRequest, caller: Caller) -> OffsetFetchResponse {
    let mut response = OffsetFetchResponse::default();
    let stable = request.require_stable;
    if caller.version < 8 {
        let wanted =
            request.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
        match find(&broker, &caller, &request.group_id, None, &wanted, stable) {
            Ok(found) => response.topics = found.into_iter().map(old_topic).collect(),
            Err(error) if caller.version < ERROR_AT_THE_TOP_SINCE => {
                let each = |(name, partitions): (TopicName, Vec<i32>)| {
                    (name, partitions.into_iter().map(|partition| (partition, Err(error))).collect())
                };
                response.topics = wanted.into_iter().flatten().map(each).map(old_topic).collect();
            }
            Err(error) => response.error_code = error.code(),
        }
        return response;
    }
    for group in request.groups {
        let by_id = caller.version >= IDS_SINCE;
        let ids = group.topics.as_ref().map(|topics| topics.iter().map(|topic| topic.topic_id).collect());
        let named = |topic: OffsetFetchRequestTopics| match by_id {
            true => (name_of(&broker, topic.topic_id), topic.partition_indexes),
            false => (topic.name, topic.partition_indexes),
        };
        let wanted = group.topics.map(|topics| topics.into_iter().map(named).collect());
        let member = group.member_id.as_ref().map(|id| (&**id, group.member_epoch));
        let found = find(&broker, &caller, &group.group_id, member, &wanted, stable);
        let answered = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
        response.groups.push(match found {
            Ok(found) if by_id => answered.with_topics(with_ids(&broker, found, ids)),
            Ok(found) => answered.with_topics(found.into_iter().map(new_topic).collect()),
            Err(error) => answered.with_error_code(error.code()),
        });
    }
    response
}

fn find(
    broker: &Broker,
    caller: &Caller,
    group_id: &str,
    member: Option<(&str, i32)>,
    wanted: &Wanted,
    stable: bool,
) -> Result<Found, ResponseError> {
    broker.check(caller, Operation::Describe, Resource::Group(group_id))?;
    let check = |topic: &str| broker.check(caller, Operation::Describe, Resource::Topic(topic));
    if group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let group = broker.groups.get(group_id);
    let group = group.as_ref().map(|group| group.lock());
    if let (Some(group), Some((id, epoch))) = (&group, member) {
        group.check_epoch(id, epoch)?;
    }
    let known = |place: &(Arc<str>, i32)| {
        let Some(group) = &group else { return Ok(None) };
        match stable && group.is_unsettled(place) {
            true => Err(ResponseError::UnstableOffsetCommit),
            false => Ok(group.offsets.get(place).cloned()),
        }
    };
    let Some(wanted) = wanted else {
        let mut all: std::collections::BTreeMap<String, Vec<(i32, Known)>> = Default::default();
        for place in group.iter().flat_map(|group| group.offsets.keys()) {
            all.entry(place.0.to_string()).or_default().push((place.1, known(place)));
        }
        let named = |(name, mut partitions): (String, Vec<(i32, Known)>)| {
            partitions.sort_by_key(|(partition, _)| *partition);
            (TopicName(StrBytes::from_string(name)), partitions)
        };
        return Ok(all.into_iter().filter(|(name, _)| check(name).is_ok()).map(named).collect());
    };
    let topic = |(name, partitions): &(TopicName, Vec<i32>)| {
        let key: Arc<str> = name.as_str().into();
        let allowed = if name.is_empty() { Err(ResponseError::UnknownTopicId) } else { check(name) };
        let each = |partition| (partition, allowed.and_then(|()| known(&(key.clone(), partition))));
        let partitions = partitions.iter().copied().map(each).collect();
        (name.clone(), partitions)
    };
    Ok(wanted.iter().map(topic).collect())
}

/// Empty where no topic has the id.
fn name_of(broker: &Broker, id: Uuid) -> TopicName {
    let name = broker.topics.by_id(id).map(|found| found.name.to_string());
    TopicName(StrBytes::from_string(name.unwrap_or_default()))
}

/// `ids` are those that were asked for. Without them all topics were, and one that is no more has no id to be told by.
fn with_ids(broker: &Broker, found: Found, ids: Option<Vec<Uuid>>) -> Vec<OffsetFetchResponseTopics> {
    let one = |(place, (name, partitions)): (usize, (TopicName, Vec<(i32, Known)>))| {
        let id = match &ids {
            Some(ids) => *ids.get(place)?,
            None => broker.topics.get(&name)?.id,
        };
        Some(new_topic((TopicName::default(), partitions)).with_topic_id(id))
    };
    found.into_iter().enumerate().filter_map(one).collect()
}

fn old_topic((name, partitions): (TopicName, Vec<(i32, Known)>)) -> OffsetFetchResponseTopic {
    let partition = |(index, known): (i32, Known)| {
        let (offset, epoch, metadata, error_code) = fields(known);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error_code)
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
}

fn new_topic((name, partitions): (TopicName, Vec<(i32, Known)>)) -> OffsetFetchResponseTopics {
    let partition = |(index, known): (i32, Known)| {
        let (offset, epoch, metadata, error_code) = fields(known);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error_code)
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
}

fn fields(known: Known) -> (i64, i32, StrBytes, i16) {
    match known {
        Ok(Some(committed)) => {
            let metadata = StrBytes::from_string(committed.metadata.to_string());
            (committed.offset, committed.leader_epoch, metadata, 0)
        }
        Ok(None) => (-1, -1, StrBytes::default(), 0),
        Err(error) => (-1, -1, StrBytes::default(), error.code()),
    }
}
