//! DescribeShareGroupOffsets (key 90), versions 0-1 (KIP-932): where share groups are in the partitions that they share.
//! v1 how much is still to be done with (KIP-1226), which the codec does not write.
//! -1: nobody has read the partition for the group yet.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, TopicName,
        describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup,
        describe_share_group_offsets_response::{
            DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
            DescribeShareGroupOffsetsResponseTopic,
        },
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Call, Caller, Frame, Handler, Reply, Step, handmade, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    groups::{
        consumer::records::{put_compact, put_no_tags, put_optional, put_varint},
        share::Shared,
    },
    security::{access::Resource, acl::Operation},
    shares::records::{Key, UNINITIALIZED},
};

pub const HANDLER: Handler = Handler {
    key: DescribeShareGroupOffsetsRequest::KEY,
    name: "DescribeShareGroupOffsets",
    versions: 0..=1,
    shape: &shapes::DESCRIBE_SHARE_GROUP_OFFSETS,
    pipelined: false,
    call: |broker, Call { caller, body }| {
        Box::pin(async move {
            let request = handmade::describe_share_group_offsets(body)?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let response = act(&broker, request, &caller);
            match caller.version {
                0 => reply.encode(&response).map(Step::answer),
                _ => encode(&broker, reply, &response).map(Step::answer),
            }
        })
    },
    notes: "",
};

fn act(
    broker: &Arc<Broker>,
    request: DescribeShareGroupOffsetsRequest,
    caller: &Caller,
) -> DescribeShareGroupOffsetsResponse {
    let each = |asked: DescribeShareGroupOffsetsRequestGroup| {
        let group = DescribeShareGroupOffsetsResponseGroup::default().with_group_id(asked.group_id.clone());
        let allowed = broker.check(caller, Operation::Describe, Resource::Group(&asked.group_id));
        let shared = allowed.and_then(|()| {
            let shared = broker.groups.shared(&asked.group_id);
            shared.map(|(shared, _)| shared).ok_or(ResponseError::GroupIdNotFound)
        });
        match shared {
            Ok(shared) => group.with_error_message(None).with_topics(topics(broker, caller, &asked, &shared)),
            Err(error) => group
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(error.to_string()))),
        }
    };
    DescribeShareGroupOffsetsResponse::default().with_groups(request.groups.into_iter().map(each).collect())
}

/// The topics that are asked for; all that the caller may see where none are.
fn topics(
    broker: &Broker,
    caller: &Caller,
    asked: &DescribeShareGroupOffsetsRequestGroup,
    shared: &Shared,
) -> Vec<DescribeShareGroupOffsetsResponseTopic> {
    let group = &asked.group_id;
    let may_see = |name: &str| broker.check(caller, Operation::Describe, Resource::Topic(name));
    let Some(topics) = &asked.topics else {
        let known = shared.iter().filter(|(_, (name, _))| may_see(name).is_ok());
        let each = known.filter_map(|(_, (name, count))| {
            broker.topics.get(name)?;
            Some(described(broker, group, name, &(0..*count).collect::<Vec<_>>()))
        });
        return each.collect();
    };
    let each = topics.iter().map(|topic| match may_see(&topic.topic_name) {
        Ok(()) => described(broker, group, &topic.topic_name, &topic.partitions),
        Err(error) => refused(&topic.topic_name, &topic.partitions, error),
    });
    each.collect()
}

fn described(
    broker: &Broker,
    group: &str,
    name: &str,
    numbers: &[i32],
) -> DescribeShareGroupOffsetsResponseTopic {
    let Some(topic) = broker.topics.get(name) else {
        return refused(name, numbers, ResponseError::UnknownTopicOrPartition);
    };
    let each = |number: &i32| {
        let partition = DescribeShareGroupOffsetsResponsePartition::default().with_partition_index(*number);
        if topic.partition(*number).is_err() {
            return failed(partition, ResponseError::UnknownTopicOrPartition);
        }
        let key = Key { group: group.into(), topic: topic.id, partition: *number };
        let start = broker.shares.find(&key).map_or(UNINITIALIZED, |partition| partition.start());
        partition.with_start_offset(start).with_leader_epoch(LEADER_EPOCH).with_error_message(None)
    };
    DescribeShareGroupOffsetsResponseTopic::default()
        .with_topic_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_topic_id(topic.id)
        .with_partitions(numbers.iter().map(each).collect())
}

fn refused(name: &str, numbers: &[i32], error: ResponseError) -> DescribeShareGroupOffsetsResponseTopic {
    let each = |number: &i32| {
        failed(DescribeShareGroupOffsetsResponsePartition::default().with_partition_index(*number), error)
    };
    DescribeShareGroupOffsetsResponseTopic::default()
        .with_topic_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_partitions(numbers.iter().map(each).collect())
}

fn failed(
    partition: DescribeShareGroupOffsetsResponsePartition,
    error: ResponseError,
) -> DescribeShareGroupOffsetsResponsePartition {
    partition
        .with_start_offset(UNINITIALIZED)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(error.to_string())))
}

fn encode(
    broker: &Broker,
    reply: Reply,
    response: &DescribeShareGroupOffsetsResponse,
) -> Result<Frame, Malformed> {
    let mut out = BytesMut::new();
    out.put_u32(0); // the frame's length, known at the end
    out.put_i32(reply.correlation_id);
    put_no_tags(&mut out);
    out.put_i32(response.throttle_time_ms);
    put_varint(&mut out, response.groups.len() as u32 + 1);
    for group in &response.groups {
        put_compact(&mut out, group.group_id.as_bytes());
        put_varint(&mut out, group.topics.len() as u32 + 1);
        for topic in &group.topics {
            put_topic(&mut out, broker, &group.group_id, topic);
        }
        out.put_i16(group.error_code);
        put_optional(&mut out, group.error_message.as_deref());
        put_no_tags(&mut out);
    }
    put_no_tags(&mut out);
    let size = u32::try_from(out.len() - 4).map_err(|_| Malformed::Length)?;
    out[..4].copy_from_slice(&size.to_be_bytes());
    Ok(Frame::of(out))
}

fn put_topic(
    out: &mut BytesMut,
    broker: &Broker,
    group: &str,
    topic: &DescribeShareGroupOffsetsResponseTopic,
) {
    put_compact(out, topic.topic_name.as_bytes());
    out.put_slice(topic.topic_id.as_bytes());
    put_varint(out, topic.partitions.len() as u32 + 1);
    for partition in &topic.partitions {
        out.put_i32(partition.partition_index);
        out.put_i64(partition.start_offset);
        out.put_i32(partition.leader_epoch);
        out.put_i64(lag(broker, group, topic.topic_id, partition.partition_index).unwrap_or(-1));
        out.put_i16(partition.error_code);
        put_optional(out, partition.error_message.as_deref());
        put_no_tags(out);
    }
    put_no_tags(out);
}

/// How many records are still to be done with; `None`: nobody has begun.
fn lag(broker: &Broker, group: &str, topic: Uuid, number: i32) -> Option<i64> {
    let log = broker.topics.by_id(topic)?.partition(number).ok()?.clone();
    let partition = broker.shares.find(&Key { group: group.into(), topic, partition: number })?;
    Some(partition.lag(log.high_watermark()))
}
