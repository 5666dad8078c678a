//! TxnOffsetCommit (key 28), versions 0-5.
//! v2 leader epoch; v3 flexible, and the member who commits (KIP-447); v4 TRANSACTION_ABORTABLE; v5 transactions of version
//! 2 (KIP-890): the group's partition of `__consumer_offsets` is added to the transaction here. The offsets count when the
//! transaction is committed. As with OffsetCommit, what is wrong with all of it is repeated for each partition.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        txn_offset_commit_request::TxnOffsetCommitRequestPartition,
        txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
    },
    protocol::Request,
};

use super::{
    Caller, Handler,
    k08_offset_commit::{Staging, stage},
    k25_add_offsets_to_txn::{offsets, offsets_partition},
    shapes,
};
use crate::{
    broker::Broker,
    groups::{Commit, group::Claim, journal::OFFSETS_TOPIC},
    security::{access::Resource, acl::Operation},
    transactions::transaction::Producer,
};

pub const HANDLER: Handler = Handler {
    key: TxnOffsetCommitRequest::KEY,
    name: "TxnOffsetCommit",
    versions: 0..=5,
    shape: &shapes::TXN_OFFSET_COMMIT,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "metadata up to `offset_metadata_bytes_max` (4096)",
};

async fn act(
    broker: Arc<Broker>,
    request: TxnOffsetCommitRequest,
    caller: Caller,
) -> TxnOffsetCommitResponse {
    let mut commits = vec![];
    let id = Resource::TransactionalId(&request.transactional_id);
    let all_allowed = broker.check(&caller, Operation::Write, id);
    let group = Resource::Group(&request.group_id);
    let all_allowed = all_allowed.and_then(|()| broker.check(&caller, Operation::Read, group));
    let mut response = TxnOffsetCommitResponse::default();
    for topic in &request.topics {
        let mut answered = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
        let name: Arc<str> = topic.name.as_str().into();
        let allowed =
            all_allowed.and_then(|()| broker.check(&caller, Operation::Read, Resource::Topic(&name)));
        for partition in &topic.partitions {
            let staged = allowed.and_then(|()| stage(&broker, &name, staging(partition)));
            let staged = staged.map(|commit| commits.push(commit));
            answered.partitions.push(
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(staged.map_or_else(|error| error.code(), |()| 0)),
            );
        }
        response.topics.push(answered);
    }
    if all_allowed.is_err() {
        return response;
    }
    if let Err(error) = commit(&broker, &request, commits, caller.version).await {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == 0 {
                partition.error_code = error.code();
            }
        }
    }
    response
}

fn staging(partition: &TxnOffsetCommitRequestPartition) -> Staging<'_> {
    Staging {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
    }
}

async fn commit(
    broker: &Arc<Broker>,
    request: &TxnOffsetCommitRequest,
    commits: Vec<Commit>,
    version: i16,
) -> Result<(), ResponseError> {
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let told = |error| match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        ResponseError::InvalidTxnState if version >= 4 => ResponseError::TransactionAbortable,
        error => error,
    };
    let id = &*request.transactional_id;
    let partition = offsets_partition(broker, &request.group_id).await?;
    if version >= 5 {
        broker.transactions.add_missing(id, producer, offsets(partition)).await.map_err(told)?;
    }
    let _pass = broker.transactions.admit(id, producer, OFFSETS_TOPIC, partition).await.map_err(told)?;
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation_id: request.generation_id,
    };
    broker.groups.commit_in_transaction(&request.group_id, claim, producer, commits).await
}
