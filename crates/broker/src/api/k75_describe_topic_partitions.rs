//! DescribeTopicPartitions (key 75), version 0 (KIP-966): topics by name, in pages of partitions.
//! Without names all topics are meant. What does not fit an answer begins at its cursor.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::{LEADER_EPOCH, NODE_ID},
    security::{access::Resource, acl::Operation},
    topics::{Topic, is_internal},
};

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_COUNT_MAX: usize = 2_000;

pub const HANDLER: Handler = Handler {
    key: DescribeTopicPartitionsRequest::KEY,
    name: "DescribeTopicPartitions",
    versions: 0..=0,
    shape: &shapes::DESCRIBE_TOPIC_PARTITIONS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "at most 2,000 partitions an answer",
};

fn act(
    broker: &Arc<Broker>,
    request: DescribeTopicPartitionsRequest,
    caller: &Caller,
) -> DescribeTopicPartitionsResponse {
    let may_see = |name: &str| broker.allows(caller, Operation::Describe, Resource::Topic(name));
    let mut names: BTreeSet<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    if request.topics.is_empty() {
        let all = broker.topics.all();
        names = all.iter().map(|topic| topic.name.to_string()).filter(|name| may_see(name)).collect();
    }
    let (first_name, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index.max(0) as usize),
        None => (String::new(), 0),
    };
    let mut room = (request.response_partition_limit.max(1) as usize).min(PARTITIONS_COUNT_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(first_name.clone()..) {
        if !may_see(name) {
            response.topics.push(refused(name, ResponseError::TopicAuthorizationFailed));
            continue;
        }
        let Some(topic) = broker.topics.get(name) else {
            response.topics.push(refused(name, ResponseError::UnknownTopicOrPartition));
            continue;
        };
        let from = if *name == first_name { first_partition.min(topic.partitions.len()) } else { 0 };
        let upto = topic.partitions.len().min(from + room);
        room -= upto - from;
        if upto > from {
            let operations = broker.operations(caller, true, Resource::Topic(name));
            response.topics.push(described(&topic, from..upto).with_topic_authorized_operations(operations));
        }
        if upto < topic.partitions.len() {
            let cursor = Cursor::default().with_topic_name(name_of(name)).with_partition_index(upto as i32);
            response.next_cursor = Some(cursor);
            break;
        }
    }
    response
}

fn name_of(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn refused(name: &str, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name_of(name)))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(i32::MIN)
}

fn described(topic: &Topic, range: std::ops::Range<usize>) -> DescribeTopicPartitionsResponseTopic {
    let here = vec![BrokerId(NODE_ID)];
    let partition = |index: usize| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(here.clone())
            .with_isr_nodes(here.clone())
            .with_eligible_leader_replicas(Some(vec![]))
            .with_last_known_elr(Some(vec![]))
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(name_of(&topic.name)))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions(range.map(partition).collect())
}
