//! OffsetFetch (key 9), versions 1-9.
//! v2 an error at the top, null topics mean all; v5 leader epoch; v6 flexible; v7 require_stable (KIP-447; there are no
//! transactions to wait for); v8 several groups at once (KIP-709); v9 member id and epoch of the new protocol (not used).
//! A partition that was never committed has offset -1 and no error, as has a group that does not exist.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetFetchRequest, OffsetFetchResponse, TopicName,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::{Request, StrBytes},
};

use super::{Handler, shapes};
use crate::{broker::Broker, groups::records::Committed};

pub const HANDLER: Handler = Handler {
    key: OffsetFetchRequest::KEY,
    name: "OffsetFetch",
    versions: 1..=9,
    shape: &shapes::OFFSET_FETCH,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller.version)),
    notes: "",
};

/// Topic, and partition with what was committed for it.
type Found = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;

async fn act(broker: Arc<Broker>, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let mut response = OffsetFetchResponse::default();
    if version < 8 {
        let wanted =
            request.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
        match find(&broker, &request.group_id, wanted) {
            Ok(found) => response.topics = found.into_iter().map(old_topic).collect(),
            Err(error) => response.error_code = error.code(),
        }
        return response;
    }
    for group in request.groups {
        let wanted =
            group.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
        let found = find(&broker, &group.group_id, wanted);
        let answered = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
        response.groups.push(match found {
            Ok(found) => answered.with_topics(found.into_iter().map(new_topic).collect()),
            Err(error) => answered.with_error_code(error.code()),
        });
    }
    response
}

fn find(broker: &Broker, group_id: &str, wanted: Wanted) -> Result<Found, ResponseError> {
    if group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let group = broker.groups.get(group_id);
    let group = group.as_ref().map(|group| group.lock());
    let Some(wanted) = wanted else {
        let mut all: std::collections::BTreeMap<String, Vec<(i32, Option<Committed>)>> = Default::default();
        for ((topic, partition), committed) in group.iter().flat_map(|group| &group.offsets) {
            all.entry(topic.to_string()).or_default().push((*partition, Some(committed.clone())));
        }
        let named = |(name, mut partitions): (String, Vec<(i32, Option<Committed>)>)| {
            partitions.sort_by_key(|(partition, _)| *partition);
            (TopicName(StrBytes::from_string(name)), partitions)
        };
        return Ok(all.into_iter().map(named).collect());
    };
    let topic = |(name, partitions): (TopicName, Vec<i32>)| {
        let key: Arc<str> = name.as_str().into();
        let committed = |partition| {
            let committed =
                group.as_ref().and_then(|group| group.offsets.get(&(key.clone(), partition)).cloned());
            (partition, committed)
        };
        let partitions = partitions.into_iter().map(committed).collect();
        (name, partitions)
    };
    Ok(wanted.into_iter().map(topic).collect())
}

fn old_topic((name, partitions): (TopicName, Vec<(i32, Option<Committed>)>)) -> OffsetFetchResponseTopic {
    let partition = |(index, committed): (i32, Option<Committed>)| {
        let (offset, epoch, metadata) = fields(committed);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
}

fn new_topic((name, partitions): (TopicName, Vec<(i32, Option<Committed>)>)) -> OffsetFetchResponseTopics {
    let partition = |(index, committed): (i32, Option<Committed>)| {
        let (offset, epoch, metadata) = fields(committed);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
}

fn fields(committed: Option<Committed>) -> (i64, i32, StrBytes) {
    match committed {
        Some(committed) => {
            (committed.offset, committed.leader_epoch, StrBytes::from_string(committed.metadata.to_string()))
        }
        None => (-1, -1, StrBytes::default()),
    }
}
