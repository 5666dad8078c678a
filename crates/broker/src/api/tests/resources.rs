//! Examples of what lists and moves the broker's own things: its folders, and what can be configured.

use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, ListConfigResourcesRequest,
    alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic},
};

use super::{Example, example, text, topic};

pub(super) fn resource_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        34 => {
            let moved =
                AlterReplicaLogDirTopic::default().with_name(topic("frames")).with_partitions(vec![0, 7]);
            let dir = AlterReplicaLogDir::default().with_path(text("/elsewhere")).with_topics(vec![moved]);
            example(version, &AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]))
        }
        74 => {
            let request = ListConfigResourcesRequest::default();
            example(version, &if version >= 1 { request.with_resource_types(vec![2, 4]) } else { request })
        }
        _ => return None,
    })
}
