//! OffsetCommit (key 8), versions 1-10.
//! v1 neither the codec nor Kafka 4 knows, and librdkafka before 1.2 commits by no other; v5 drops retention_time; v6 leader epoch (KIP-320, stored); v7 group_instance_id (KIP-345); v8 flexible; v9 what members
//! of consumer groups use (KIP-848): their epoch stands where the generation did; v10 topics by their ids (KIP-848), so that nothing is
//! committed for another topic that has the name by now.
//! It has no error at the top: what is wrong with the member is repeated for each partition, as Kafka does.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetCommitRequest, OffsetCommitResponse,
        offset_commit_request::OffsetCommitRequestPartition,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
    protocol::Request,
};

use super::{
    Call, Caller, Handler, Pending, Reply, Step,
    handmade::{self, IDS_SINCE},
    shapes,
};
use crate::{
    broker::Broker,
    groups::{Commit, group::Claim},
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: OffsetCommitRequest::KEY,
    name: "OffsetCommit",
    versions: 1..=10,
    shape: &shapes::OFFSET_COMMIT,
    pipelined: false,
    call: |broker, call| match call.caller.version {
        1 => first_version(broker, call),
        IDS_SINCE.. => {
            call.answer_handmade(handmade::offset_commit, move |request, caller| act(broker, request, caller))
        }
        _ => call.answer(move |request, caller| act(broker, request, caller)),
    },
    notes: "v1 for old clients; metadata up to `offset_metadata_bytes_max` (4096); the retention time of v2-4 is not honoured",
};

/// Clients of this version know of member epochs.
const EPOCHS_SINCE: i16 = 9;

/// Its answer is v2's.
fn first_version(broker: Arc<Broker>, call: Call) -> Pending {
    Box::pin(async move {
        let caller = call.caller;
        let reply = Reply { version: 2, correlation_id: caller.correlation_id };
        let request = handmade::first_offset_commit(call.body)?;
        reply.encode(&act(broker, request, caller).await).map(Step::answer)
    })
}

async fn act(broker: Arc<Broker>, request: OffsetCommitRequest, caller: Caller) -> OffsetCommitResponse {
    let version = caller.version;
    let mut commits = vec![];
    let group_allowed = broker.check(&caller, Operation::Read, Resource::Group(&request.group_id));
    let mut response = OffsetCommitResponse::default();
    for topic in &request.topics {
        let (name, mut answered) = match version >= IDS_SINCE {
            true => {
                let name = broker.topics.by_id(topic.topic_id).map(|found| found.name.clone());
                (name, OffsetCommitResponseTopic::default().with_topic_id(topic.topic_id))
            }
            false => {
                let name = Some(topic.name.as_str().into());
                (name, OffsetCommitResponseTopic::default().with_name(topic.name.clone()))
            }
        };
        let name: Result<Arc<str>, _> = name.ok_or(ResponseError::UnknownTopicId);
        let allowed = group_allowed
            .and(name)
            .and_then(|name| broker.check(&caller, Operation::Read, Resource::Topic(&name)).map(|()| name));
        for partition in &topic.partitions {
            let staged = allowed.as_ref().map_err(|error| *error);
            let staged = staged.and_then(|name| stage(&broker, name, staging(partition)));
            let staged = staged.map(|commit| commits.push(commit));
            answered.partitions.push(
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(staged.map_or_else(|error| error.code(), |()| 0)),
            );
        }
        response.topics.push(answered);
    }
    if group_allowed.is_err() {
        return response;
    }
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation_id: request.generation_id_or_member_epoch,
    };
    let knows_epochs = version >= EPOCHS_SINCE;
    // Durable before the answer.
    let verdict = broker.groups.commit(&request.group_id, claim, knows_epochs, commits).await;
    if let Err(error) = verdict {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == 0 {
                partition.error_code = error.code();
            }
        }
    }
    response
}

fn staging(partition: &OffsetCommitRequestPartition) -> Staging<'_> {
    Staging {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
    }
}

/// What a request wants committed for one partition.
pub struct Staging<'a> {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: &'a str,
}

/// The commit, if the partition is there and the metadata is short enough.
pub fn stage(broker: &Broker, topic: &Arc<str>, staging: Staging<'_>) -> Result<Commit, ResponseError> {
    let Staging { partition, offset, leader_epoch, metadata } = staging;
    broker.topics.partition(topic, partition)?;
    if !broker.groups.takes_metadata(metadata) {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(Commit { topic: topic.clone(), partition, offset, leader_epoch, metadata: metadata.into() })
}
