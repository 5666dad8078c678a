//! AlterReplicaLogDirs (key 34), versions 1-2 (KIP-113).
//! v2 flexible. There is one folder: a partition that is to lie in it does already, and no other can be meant.

use std::{path::Path, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
        alter_replica_log_dirs_request::AlterReplicaLogDirTopic,
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
    },
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: AlterReplicaLogDirsRequest::KEY,
    name: "AlterReplicaLogDirs",
    versions: 1..=2,
    shape: &shapes::ALTER_REPLICA_LOG_DIRS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "the data folder is the only one: every other is LOG_DIR_NOT_FOUND",
};

fn act(
    broker: &Arc<Broker>,
    request: &AlterReplicaLogDirsRequest,
    caller: &Caller,
) -> AlterReplicaLogDirsResponse {
    let allowed = broker.check(caller, Operation::Alter, Resource::Cluster);
    let mut response = AlterReplicaLogDirsResponse::default();
    for dir in &request.dirs {
        let there = match Path::new(dir.path.as_str()) == broker.topics.data_dir() {
            true => Ok(()),
            false => Err(ResponseError::LogDirNotFound),
        };
        let answers = |topic| answered(broker, topic, allowed.and(there));
        response.results.extend(dir.topics.iter().map(answers));
    }
    response
}

fn answered(
    broker: &Broker,
    topic: &AlterReplicaLogDirTopic,
    verdict: Result<(), ResponseError>,
) -> AlterReplicaLogDirTopicResult {
    let each = |index: &i32| {
        let moved = verdict.and_then(|()| broker.topics.partition(&topic.name, *index).map(drop));
        AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(*index)
            .with_error_code(moved.map_or_else(|error| error.code(), |()| 0))
    };
    AlterReplicaLogDirTopicResult::default()
        .with_topic_name(topic.name.clone())
        .with_partitions(topic.partitions.iter().map(each).collect())
}
