//! DescribeLogDirs (key 35), versions 1-4.
//! v2 flexible; v3 an error at the top; v4 the size of the disk (KIP-827). There is one log dir, the data
//! folder, and no replica behind the end of a log.

use std::{path::Path, sync::Arc};

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

/// From this version on the size of the disk is told.
const DISK_SINCE: i16 = 4;

pub const HANDLER: Handler = Handler {
    key: DescribeLogDirsRequest::KEY,
    name: "DescribeLogDirs",
    versions: 1..=4,
    shape: &shapes::DESCRIBE_LOG_DIRS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "the data folder",
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
    let result = DescribeLogDirsResult::default().with_log_dir(dir).with_topics(topics);
    let result = match disk(broker.topics.data_dir()) {
        Some((total, usable)) if caller.version >= DISK_SINCE => {
            result.with_total_bytes(total).with_usable_bytes(usable)
        }
        _ => result,
    };
    DescribeLogDirsResponse::default().with_results(vec![result])
}

/// The bytes of the file system that a folder lies in, and those of them that are free for us.
fn disk(path: &Path) -> Option<(i64, i64)> {
    let told = nix::sys::statvfs::statvfs(path).ok()?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(told.fragment_size())).unwrap_or(i64::MAX);
    Some((bytes(told.blocks()), bytes(told.blocks_available())))
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
