//! DescribeLogDirs (key 35), versions 1-4.
//! v2 flexible; v3 an error at the top; v4 the size of the disk (KIP-827; -1: not told). There is one log dir, the data
//! folder, and no replica behind the end of a log.

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    topics::Topic,
};

pub const HANDLER: Handler = Handler {
    key: DescribeLogDirsRequest::KEY,
    name: "DescribeLogDirs",
    versions: 1..=4,
    shape: &shapes::DESCRIBE_LOG_DIRS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "the data folder; the size of the disk is not told (-1)",
};

fn act(broker: &Arc<Broker>, request: DescribeLogDirsRequest, caller: &Caller) -> DescribeLogDirsResponse {
    if let Err(error) = broker.check(caller, Operation::Describe, Resource::Cluster) {
        let code = if caller.version >= 3 { error.code() } else { 0 };
        return DescribeLogDirsResponse::default().with_error_code(code);
    }
    let topics = match request.topics {
        None => broker.topics.all().iter().map(|topic| described(topic, |_| true)).collect(),
        Some(wanted) => {
            let found = wanted.iter().filter_map(|wanted| {
                let topic = broker.topics.get(&wanted.topic)?;
                Some(described(&topic, |index| wanted.partitions.contains(&index)))
            });
            found.collect()
        }
    };
    let dir = StrBytes::from_string(broker.topics.data_dir().display().to_string());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(dir)
        .with_topics(topics)
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn described(topic: &Topic, is_wanted: impl Fn(i32) -> bool) -> DescribeLogDirsTopic {
    let partitions =
        (0..).zip(&topic.partitions).filter(|(index, _)| is_wanted(*index)).map(|(index, log)| {
            DescribeLogDirsPartition::default()
                .with_partition_index(index)
                .with_partition_size(log.size_bytes() as i64)
        });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
        .with_partitions(partitions.collect())
}
